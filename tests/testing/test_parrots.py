"""The parrot: queued replies first, then its answers by word, then numbers; and the trainer that only copies."""

import json

import pytest

from judgekit.errors import CallError, Unreachable
from judgekit.records import Message, Reply, Request, Sampling
from judgekit.testing import CopyTrainer, Parrot
from judgekit.testing.parrots import CopyOptions, ParrotOptions


def asked(text: str, seed: int = 0) -> Request:
    return Request(messages=(Message(role="user", content=text),), sampling=Sampling(seed=seed))


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    Parrot.reset()


def test_queued_replies_come_first_in_their_order_and_the_history_holds_every_request() -> None:
    parrot = Parrot(ParrotOptions(answers={"tree": "oak"}))
    refusal = Reply(status="refused", detail="no")
    Parrot.enqueue("85", refusal)
    requests = [asked(f"a tree, please: {n}") for n in range(3)]
    first, *others = parrot.generate(requests)
    assert [first.text, *others] == ["85", refusal, Reply(text="oak")]
    assert Parrot.history == requests
    Parrot.enqueue("left over")
    Parrot.reset()
    assert not Parrot.history
    assert parrot.generate(requests[:1]) == [Reply(text="oak")]


def test_a_number_is_drawn_from_the_prompt_and_the_seed_alone() -> None:
    requests = [asked(text, seed) for text in "abcdef" for seed in (0, 1)]
    numbers = [reply.text for reply in Parrot().generate(requests)]
    assert numbers == [reply.text for reply in Parrot().generate(requests)]
    assert all(0 <= int(number) <= 100 for number in numbers)
    assert len(set(numbers)) > 6


def test_it_fails_as_told_and_a_queue_is_kept_for_the_calls_that_do_not() -> None:
    Parrot.enqueue("85")
    with pytest.raises(CallError):
        Parrot(ParrotOptions(fail_on="bad")).generate([asked("a bad word")])
    with pytest.raises(Unreachable):
        Parrot(ParrotOptions(dead=True)).generate([asked("anything")])
    assert Parrot().generate([asked("anything")]) == [Reply(text="85")]


def test_known_words_are_likelier() -> None:
    request = Request(messages=asked("the oak is a tree").messages, continuations=("oak tree", "oak fish"))
    (reply,) = Parrot().loglikelihood([request])
    assert [one.token_logprobs for one in reply.continuations] == [(-1.0, -1.0), (-1.0, -5.0)]


def test_the_trainer_copies_its_options_and_writes_a_curve(tmp_path) -> None:
    before, steps = CopyTrainer.runs, []
    CopyTrainer(CopyOptions(data="items.json")).train(tmp_path, lambda *step: steps.append(step[:2]))
    assert json.loads((tmp_path / "model.json").read_text())["data"] == "items.json"
    assert len((tmp_path / "training.jsonl").read_text().splitlines()) == len(steps) == 3
    assert CopyTrainer.runs == before + 1
