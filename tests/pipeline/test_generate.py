"""Conversations are held turn after turn, with the system's own earlier answers between the user's turns."""

import json
import math

import pytest

from judgekit.pipeline.generate import without_thoughts
from judgekit.records import Response
from judgekit.thoughts import STRIP, Thoughts
from talkers import Talker
from talks import config, rows, talk, write


def test_a_chat_backend_gets_the_turns_as_messages(execute):
    outcome = execute()
    asked = [request.messages for request in Talker.asked if "2 of 3" in request.messages[-1].content]
    history = [message.content for message in asked[0]]
    assert [message.role for message in asked[0]] == ["user", "assistant", "user", "assistant", "user"]
    (mine,) = [one for one in outcome.folder.responses("one") if one.sample_id == "talk-2"]
    assert history == ["Tell me 2 of 1.", mine.text, "Tell me 2 of 2.", mine.turns[0], "Tell me 2 of 3."]
    assert mine.answers == tuple(f"I heard '2 of {turn}.' among {2 * turn - 1}." for turn in (1, 2, 3))


def test_each_turn_is_one_call_and_is_paid_for_once(execute):
    first = execute()
    turns = sum(1 + number % 3 for number in range(6))
    assert len(Talker.asked) == 2 * turns
    assert execute().asked == 0
    assert len(Talker.asked) == 2 * turns
    record = (first.folder.path / "record.json").read_bytes()
    answers = first.folder.responses("two").path.read_bytes()
    again = execute(fresh=True, jobs=1)
    assert (again.folder.path / "record.json").read_bytes() == record
    assert again.folder.responses("two").path.read_bytes() == answers


def test_a_turn_that_fails_ends_the_conversation_with_its_status(here, execute):
    broken = talk(0, 3)
    broken["conversations"][2]["value"] = "CHOKE on this"
    cut = talk(1, 2)
    cut["conversations"][2]["value"] = "CUT here"
    write(here, [broken, cut, talk(2, 2)])
    outcome = execute()
    first, second, third = list(outcome.folder.responses("one"))
    assert (first.status, first.detail, len(first.answers)) == (
        "refused", "turn 2: that is none of my business", 2,
    )  # fmt: skip
    assert first.text.startswith("I heard")
    assert (second.status, second.turns, second.detail) == ("truncated", ("half an",), "turn 2: no room left")
    assert (third.status, third.detail) == ("complete", "")
    found = rows(outcome)
    assert [row.status for row in found.values()] == ["refused", "truncated", "scored"]
    assert found["talk-0"].verdicts[0].detail == "no complete response: turn 2: that is none of my business"
    assert not found["talk-0"].series


def test_repeats_are_conversations_of_their_own(execute):
    models = {"one": {"backend": "talker", "temperature": 1.0, "repeats": 3}}
    outcome = execute(config(models=models))
    seeds = {request.sampling.seed for request in Talker.asked}
    assert seeds == {0, 1, 2}
    assert [(one.sample_id, one.repeat) for one in outcome.folder.responses("one")][:4] == [
        ("talk-0", 0), ("talk-0", 1), ("talk-0", 2), ("talk-1", 0),
    ]  # fmt: skip


def test_more_conversations_than_are_held_at_once_come_in_order(here, execute, monkeypatch):
    monkeypatch.setattr("judgekit.pipeline.generate.WINDOW", 4)
    write(here, [talk(number, 1 + number % 3) for number in range(11)])
    outcome = execute()
    assert [one.sample_id for one in outcome.folder.responses("one")] == [f"talk-{number}" for number in range(11)]
    assert all(len(one.answers) == 1 + int(one.sample_id[5:]) % 3 for one in outcome.folder.responses("one"))


def test_a_backend_without_chat_reads_the_history_as_one_text(execute):
    execute(config(models={"one": {"backend": "plain_talker"}}))
    (asked,) = [request for request in Talker.asked if request.messages[-1].content.endswith("2 of 3.\nAnswer:")]
    assert len(asked.messages) == 1
    assert asked.prompt == (
        "Question: Tell me 2 of 1.\nAnswer:I heard 'of 1. Answer:' among 1."
        + "\n\nQuestion: Tell me 2 of 2.\nAnswer:I heard 'of 2. Answer:' among 1."
        + "\n\nQuestion: Tell me 2 of 3.\nAnswer:"
    )


def test_a_text_models_answer_ends_where_its_style_says(execute):
    """What training taught it to write at the end of an answer is no part of one."""
    execute(config(models={"one": {"backend": "plain_talker", "style": "chatml"}}))
    assert {request.sampling.stop for request in Talker.asked} == {("<|im_end|>",)}
    Talker.asked.clear()
    execute(config(models={"one": {"backend": "talker", "style": "chatml"}}))
    assert {request.sampling.stop for request in Talker.asked} == {()}, "a server ends its turns itself"


def test_stored_conversations_are_judged_as_they_are(here, execute):
    models = {"gpt": {"backend": "responses", "path": "talks.json"}}
    outcome = execute(config(models=models))
    stored = {one.sample_id: one.answers for one in outcome.folder.responses("gpt")}
    assert stored["talk-2"] == ("It is 1.", "It is 2.", "It is 3.")
    assert rows(outcome, system="gpt")["talk-2"].value == 90
    assert outcome.record.status == "complete"


def test_a_stored_conversation_that_ends_early_is_incomplete_and_says_where(here, execute):
    short = talk(2, 3)
    short["conversations"] = short["conversations"][:3]
    write(here, [short], "short.json")
    write(here, [talk(2, 3)])
    outcome = execute(config(models={"gpt": {"backend": "responses", "path": "short.json"}}))
    assert outcome.record.status == "incomplete"
    (response,) = outcome.folder.responses("gpt")
    assert response.detail == "turn 2: short.json answers 1 of the turns of the sample 'talk-2', and not turn 2"


@pytest.mark.parametrize("kind", ["exact_match", "f1", "rouge_l"])
def test_a_reference_metric_compares_every_turn(here, execute, kind):
    write(here, [talk(number, 3) for number in range(4)], "answers.json")
    talks = [talk(number, 3) for number in range(4)]
    talks[0]["conversations"][5]["value"] = "Something else."
    write(here, talks)
    outcome = execute(
        config(
            models={"one": {"backend": "responses", "path": "answers.json"}}, metrics={"m": {"type": kind}}, judges={}
        )
    )
    found = rows(outcome, "m")
    assert found["talk-1"].value == 1
    assert found["talk-0"].value == pytest.approx(2 / 3)
    assert found["talk-0"].series == {"turn_1": 1, "turn_2": 1, "turn_3": 0}
    labels = [one.scale.label for one in outcome.record.estimates]
    assert labels[1:] == ["turn 1", "turn 2", "turn 3"]


def test_the_perplexity_of_a_conversation_follows_its_references(here, execute):
    talks = [talk(number, 1 + number % 3) for number in range(6)]
    talks[3]["conversations"][1]["value"] = "One of the first."
    write(here, talks)
    models = {"one": {"backend": "plain_talker"}}
    outcome = execute(config(models=models, metrics={"ppl": {"type": "perplexity"}}, judges={}))
    row = rows(outcome, "ppl")["talk-2"]
    assert row.series["tokens"] == 9
    asked = [request.prompt for request in Talker.asked if request.continuations == ("It is 3.",)]
    first, second = (f"Question: Tell me 2 of {turn}.\nAnswer:It is {turn}.\n\n" for turn in (1, 2))
    assert asked[0] == f"{first}{second}Question: Tell me 2 of 3.\nAnswer:"
    whole = next(one for one in outcome.record.estimates if one.series == "perplexity")
    assert json.loads((outcome.folder.path / "summary.json").read_text())["estimates"][-1]["series"] == "perplexity"
    nats = sum(one.series["nats"] for one in rows(outcome, "ppl").values())
    tokens = sum(one.series["tokens"] for one in rows(outcome, "ppl").values())
    assert whole.value == pytest.approx(math.exp(nats / tokens))
    assert whole.interval.low < whole.value < whole.interval.high
    assert whole.se > 0


def test_thoughts_of_an_answer_are_not_sent_back_with_the_next_turn(here, execute):
    voice = "<think>Who is there?</think>\nI heard"
    outcome = execute(config(models={"one": {"backend": "talker", "voice": voice}}))
    assert len(Talker.asked) > 6
    assert not [one for request in Talker.asked for one in request.messages if "think>" in one.content]
    for one in outcome.folder.responses("one"):
        assert all(answer.startswith("I heard") for answer in one.answers)
        assert [raw.startswith(voice) for raw in one.raw] == [True] * len(one.answers)
    kept = execute(config(models={"one": {"backend": "talker", "voice": voice, "thoughts": "keep"}}))
    assert all(one.text.startswith(voice) and not one.raw for one in kept.folder.responses("one"))


def test_a_stored_response_of_an_older_version_loses_its_thoughts():
    old = Response(system="s", sample_id="i", text="<think>a</think>b", turns=("c",))
    new = without_thoughts(old, STRIP)
    assert (new.answers, new.raw) == (("b", "c"), old.answers)
    assert without_thoughts(new, STRIP) is new
    assert without_thoughts(old, Thoughts(keep=True)) is old
