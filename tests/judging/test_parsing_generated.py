"""Generated replies: each is read as the score that its generator put there, or is a typed failure."""

import importlib
import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judge_replies import PROMPTS, cases
from judgekit.records import Reply
from judgekit.thoughts import STRIP
from judgekit_readings.answers import Asked
from judgekit_readings.parsing import FORMS, read
from judges import readings


def said(**given: object) -> Reply:
    """A reply as a judge's caller hands it out: without its thoughts."""
    return STRIP.cut(Reply(**given))


NONCE = "0badc0de"
ASKED = Asked(NONCE)
prose = st.text(st.characters(codec="utf-8"), max_size=80).map(lambda text: f"- {' '.join(text.split())}")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 100), st.text(st.characters(codec="utf-8")), st.sampled_from([None, 1]), prose)
def test_json_gives_its_own_score_whatever_its_rationale_says(score, rationale, indent, around):
    found = json.dumps({"rationale": rationale, "score": score, "nonce": NONCE}, indent=indent)
    around = around.replace("{", "").replace("}", "").replace("`", "")
    verdict = read("reason_json", said(text=f"{around}\n{found}\n{around}"), ASKED)
    assert (verdict.value, verdict.rationale) == (score, rationale)


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.sampled_from("0123456789 ./:=-+Score\n{}\"'`*AB<>think/")) | st.text(), st.sampled_from(sorted(FORMS))
)
def test_any_text_gives_a_verdict_and_a_score_only_from_its_own_digits(text, form):
    verdict = read(form, said(text=text), ASKED)
    assert verdict.raw == text
    if verdict.value is None:
        assert verdict.status == "unparsed"
        assert verdict.detail
    elif form == "integer":
        assert str(int(verdict.value)) in text
    else:
        assert form == "letter"  # nothing random is a JSON object with the nonce


@settings(max_examples=100, deadline=None)
@given(st.text(), st.sampled_from(sorted(FORMS)))
def test_an_echo_of_the_response_is_no_verdict(response, form):
    verdict = read(form, said(text=response), Asked(NONCE, responses=(response,)))
    assert verdict.status == "unparsed"


def read_as_it_must_be(case, seen):
    verdict = case.reading.verdict(case.question, case.replies)
    seen[case.reading.setting.template.front.reading, verdict.status] += 1
    if isinstance(case.must, str):
        assert (verdict.status, verdict.value) == (case.must, None), case.replies
        assert verdict.detail
    else:
        assert verdict.status == "scored", (verdict.detail, case.replies)
        assert verdict.value == pytest.approx(case.must, abs=1e-9), case.replies
    said = case.replies[0].whole
    if case.replies[0].tokens and verdict.raw != said:
        assert json.loads(verdict.raw)["said"] == said
    elif said:
        assert verdict.raw == said


def read_all(count, statuses, **options):
    """How often each reading gave each status, over so many generated replies; each of `statuses` at least once."""
    seen = Counter()

    for name in PROMPTS:  # a share each: drawn among the others, a reading may be left out by chance

        @settings(max_examples=count // len(PROMPTS), deadline=None, suppress_health_check=list(HealthCheck), **options)
        @given(cases(name))
        def each(case):
            read_as_it_must_be(case, seen)

        each()
    assert set(PROMPTS) == set(readings().classes), "a reading is left out"
    for status in statuses:
        assert {name for name, found in seen if found == status} == set(PROMPTS), status
    return seen


def test_a_reply_of_any_reading_is_the_score_that_was_put_there_or_a_typed_failure():
    assert sum(read_all(1_000, ["scored", "unparsed"], derandomize=True).values()) >= 1_000


@pytest.mark.slow
def test_ten_thousand_replies_of_all_readings():
    seen = read_all(10_000, ["scored", "unparsed", "refused", "truncated", "error"])
    assert sum(seen.values()) >= 10_000
    print(*sorted(seen.items()), sep="\n")


def test_none_of_the_benchmarks_replies_is_mis_scored(checkout, monkeypatch):
    monkeypatch.syspath_prepend(str(checkout / "benchmarks"))
    outcomes, wrong = importlib.import_module("replies").counted(3_000, 5, 0)
    assert not wrong
    assert sum(outcomes[kind, "read"] for kind in ("own", "echo, and own signed")) >= 0.95 * 1_500
    assert outcomes["echo", "unread"] == 1_000
