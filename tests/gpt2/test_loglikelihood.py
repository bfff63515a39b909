"""Log-likelihoods against a plain forward pass of the reference over the whole text."""

import pytest

from judgekit_gpt2.loglikelihood import loglikelihoods

PROMPT = [5, 17, 230, 8]
CONTINUATIONS = [[4], [9, 9, 120], [250], [7, 8], [33, 2, 1, 0, 299]]


@pytest.mark.parametrize("chosen", [CONTINUATIONS, CONTINUATIONS[:1], CONTINUATIONS[1:2], CONTINUATIONS[::2]])
def test_equal_to_a_plain_forward_pass(model, naive, chosen):
    for values, continuation in zip(loglikelihoods(model, PROMPT, chosen), chosen, strict=True):
        assert values == pytest.approx(naive(PROMPT, continuation), abs=1e-4)


def test_single_tokens_take_one_forward_pass(model, monkeypatch):
    calls = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda ids, *rest: calls.append(ids.shape) or forward(ids, *rest))
    loglikelihoods(model, PROMPT, [[4], [250], [7], [9]])
    assert calls == [(1, 4)]
    loglikelihoods(model, PROMPT, [[4], [7, 8]])
    assert calls == [(1, 4), (1, 4), (1, 1)]


def test_an_empty_continuation_is_certain_and_none_is_fine(model):
    assert loglikelihoods(model, PROMPT, [[], [4]])[0] == []
    assert loglikelihoods(model, PROMPT, []) == []
    assert loglikelihoods(model, PROMPT, [[]]) == [[]]


def test_the_context_may_be_filled_to_the_last_token(model, naive):
    prompt, continuation = list(range(60)), [1, 2, 3, 4, 5]  # 65 tokens, the last of which is never read
    (values,) = loglikelihoods(model, prompt, [continuation])
    assert values[:4] == pytest.approx(naive(prompt, continuation[:4]), abs=1e-4)
    assert len(values) == 5
    with pytest.raises(AssertionError, match="too long"):
        loglikelihoods(model, [*prompt, 6], [continuation])
