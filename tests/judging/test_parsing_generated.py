"""Generated replies: each is read as the score that its generator put there, or is a typed failure."""

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judge_replies import PROMPTS, cases
from judgekit.records import Reply
from judgekit_readings.parsing import FORMS, Asked, read
from judges import readings

NONCE = "0badc0de"
ASKED = Asked(NONCE)
GOOD_LINES = ("{}", "{}.", "**{}**", "Score: {}", "score = {}", "Final score: {}/100", f"Score {NONCE}: {{}}", "`{}`")
BAD_LINES = (
    "{}%", "about {}", "{} points", "{}-100", "{} {}", "{}.5", "{}e1", "+{}", "Score: {} or so", "Score {}",
    "grade: {}", "downscore: {}", "Score of {}", "{}/10", "Score deadbeef: {}", "${}$",
)  # fmt: skip
prose = st.text(st.characters(codec="utf-8"), max_size=80).map(lambda text: f"- {' '.join(text.split())}")
thoughts = st.text(st.characters(codec="utf-8", exclude_characters="<>"), max_size=40)
scores = st.integers(0, 100)


@settings(max_examples=100, deadline=None)
@given(scores, st.sampled_from(GOOD_LINES), thoughts, st.booleans())
def test_a_bare_score_is_read(score, line, thought, thinking):
    text = line.format(score)
    verdict = read("integer", Reply(text=f"<think>{thought}</think>{text}" if thinking else text), ASKED)
    assert verdict.value == score


@settings(max_examples=100, deadline=None)
@given(scores, scores, st.lists(prose, max_size=4), st.lists(prose, max_size=4))
def test_the_last_labelled_line_is_read_amid_prose(first, last, before, after):
    lines = [f"Score: {first}", *before, f"Score: {last}", *after]
    assert read("integer", Reply(text="\n".join(lines)), ASKED).value == last


@settings(max_examples=100, deadline=None)
@given(st.integers(-1000, 1000), st.sampled_from(BAD_LINES), st.lists(prose, max_size=2))
def test_any_other_line_is_no_score(score, line, before):
    verdict = read("integer", Reply(text="\n".join([*before, line.replace("{}", str(score))])), ASKED)
    assert (verdict.status, verdict.value) == ("unparsed", None)


@settings(max_examples=100, deadline=None)
@given(st.integers(), st.sampled_from(GOOD_LINES))
def test_a_score_off_the_scale_is_no_score(score, line):
    verdict = read("integer", Reply(text=line.format(score)), ASKED)
    assert verdict.value == (score if 0 <= score <= 100 else None)


@settings(max_examples=100, deadline=None)
@given(scores, st.text(st.characters(codec="utf-8")), st.sampled_from([None, 1]), prose)
def test_json_gives_its_own_score_whatever_its_rationale_says(score, rationale, indent, around):
    found = json.dumps({"rationale": rationale, "score": score, "nonce": NONCE}, indent=indent)
    around = around.replace("{", "").replace("}", "").replace("`", "")
    verdict = read("reason_json", Reply(text=f"{around}\n{found}\n{around}"), ASKED)
    assert (verdict.value, verdict.rationale) == (score, rationale)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(json_values, st.sampled_from([NONCE, "other", None]))
def test_json_of_any_other_shape_is_no_score(score, nonce):
    verdict = read("reason_json", Reply(text=json.dumps({"rationale": "r", "score": score, "nonce": nonce})), ASKED)
    is_score = (
        isinstance(score, int | float) and not isinstance(score, bool) and score == score // 1 and 0 <= score <= 100
    )
    assert verdict.value == (score if is_score and nonce == NONCE else None)


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.sampled_from("0123456789 ./:=-+Score\n{}\"'`*AB<>think/")) | st.text(), st.sampled_from(sorted(FORMS))
)
def test_any_text_gives_a_verdict_and_a_score_only_from_its_own_digits(text, form):
    verdict = read(form, Reply(text=text), ASKED)
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
    verdict = read(form, Reply(text=response), Asked(NONCE, responses=(response,)))
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
    said = case.replies[0].text
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
