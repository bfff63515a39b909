import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgekit.records import Continuation
from judgekit_readings.likelihood import likelihood_ratio, pairwise_likelihood


def seen(*logprobs):
    return Continuation(token_logprobs=logprobs)


EMPTY, GOLD, WORSE = seen(-3.0, -5.0), seen(-0.5, -0.5), seen(-9.0, -9.0)


@pytest.mark.parametrize(
    ("answer", "score"),
    [(EMPTY, 0), (GOLD, 100), (seen(-2.5, -2.0), 50), (WORSE, 0), (seen(-0.1, -0.1), 100), (seen(-6.25, 0.0), 25)],
)
def test_the_score_is_the_answers_place_between_its_anchors(answer, score):
    verdict = likelihood_ratio(answer, GOLD, EMPTY)
    assert verdict.value == pytest.approx(score)
    sums = {"answer": answer.loglikelihood, "gold": -1.0, "empty": -8.0, "tokens": 2}
    assert json.loads(verdict.raw) == pytest.approx(sums)

    on_five = likelihood_ratio(answer, GOLD, EMPTY, (1.0, 5.0))
    assert on_five.value == pytest.approx(1 + 4 * score / 100), "it is laid on the prompt's scale"


@pytest.mark.parametrize("gold", [EMPTY, seen(-4.0, -4.5)])
def test_without_separate_anchors_there_is_no_score_and_no_preference(gold):
    for verdict in (likelihood_ratio(GOLD, gold, EMPTY), pairwise_likelihood(GOLD, EMPTY, gold, EMPTY)):
        assert (verdict.status, verdict.value) == ("unparsed", None)
        assert verdict.detail.startswith("anchors do not separate")
        assert '"empty": -8.0' in verdict.raw


@pytest.mark.parametrize("trio", [(seen(-1.0), GOLD, EMPTY), (GOLD, GOLD, seen()), (seen(), seen(), seen())])
def test_log_likelihoods_of_different_texts_are_not_compared(trio):
    verdict = likelihood_ratio(*trio)
    assert (verdict.status, verdict.value) == ("error", None)


logprobs = st.floats(-1e6, 0)


@settings(deadline=None)
@given(logprobs, logprobs, logprobs)
def test_a_score_never_leaves_the_scale(answer, gold, empty):
    verdict = likelihood_ratio(seen(answer), seen(gold), seen(empty))
    if gold > empty:
        assert verdict.value is not None
        assert 0 <= verdict.value <= 100
    else:
        assert verdict.status == "unparsed"


@pytest.mark.parametrize(
    ("a", "b", "preference"),
    [(GOLD, EMPTY, 1), (EMPTY, GOLD, 0), (GOLD, GOLD, 0.5), (WORSE, EMPTY, 0.5), (seen(-2.0, -3.0), GOLD, 0)],
)
def test_the_answer_that_helps_the_reference_more_wins(a, b, preference):
    verdict = pairwise_likelihood(a, b, GOLD, EMPTY)
    assert verdict.value == preference
    assert json.loads(verdict.raw)["b"]["answer"] == pytest.approx(b.loglikelihood)


@settings(deadline=None)
@given(logprobs, logprobs)
def test_preferences_are_symmetric(a, b):
    first = pairwise_likelihood(seen(a), seen(b), seen(-1.0), seen(-50.0))
    second = pairwise_likelihood(seen(b), seen(a), seen(-1.0), seen(-50.0))
    assert first.value + second.value == 1
