"""Log-likelihoods against the definition: one naive forward pass, log-softmax over the whole vocabulary."""

import pytest

from asking_transformers import asked, backend_of
from judgekit.testing import tiny_llama


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama.folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def backend(folder):
    backend = backend_of(folder)
    yield backend
    backend.close()


def naive(folder, prompt, continuation):
    """The same number by the book, with the library's own tokenizer and a full pass."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    before = tokenizer(prompt, add_special_tokens=False).input_ids
    after = tokenizer(continuation, add_special_tokens=False).input_ids
    with torch.no_grad():
        logprobs = torch.log_softmax(tiny_llama.model()(torch.tensor([before + after])).logits[0].double(), dim=-1)
    return [float(logprobs[len(before) + i - 1, token]) for i, token in enumerate(after)]


def chat(text):
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("continuation", ["the", " the cat in a hat", "é¶", "7"])
def test_as_a_naive_forward_pass_says(backend, folder, continuation):
    (reply,) = backend.loglikelihood([asked("in the beginning", continuation)])
    expected = naive(folder, chat("in the beginning"), continuation)
    assert reply.status == "complete"
    assert reply.continuations[0].token_logprobs == pytest.approx(expected, abs=2e-5)
    assert reply.continuations[0].loglikelihood == pytest.approx(sum(expected), abs=1e-4)


def test_several_continuations_each_follow_the_prompt_alone(backend, folder):
    given = (" a", " the thing", "", " b", "the end of it")
    (reply,) = backend.loglikelihood([asked("in the beginning", *given)])
    for continuation, text in zip(reply.continuations, given, strict=True):
        assert continuation.token_logprobs == pytest.approx(naive(folder, chat("in the beginning"), text), abs=2e-5)


def test_the_next_token_is_a_distribution(backend):
    import string

    (reply,) = backend.loglikelihood([asked("x", *string.printable)])
    assert 0 < sum(2.718281828**c.loglikelihood for c in reply.continuations) < 1


def test_a_reply_does_not_depend_on_the_others(backend):
    requests = [asked("word " * n, " the thing", " a") if n % 2 else asked("word " * n, " the thing") for n in range(9)]
    together = backend.loglikelihood(requests)
    backwards = backend.loglikelihood(requests[::-1])[::-1]
    alone = [backend.loglikelihood([request])[0] for request in requests]
    assert together == backwards == alone


def test_plain_prompts_without_the_chat_template(folder):
    plain = backend_of(folder, chat=False)
    (reply,) = plain.loglikelihood([asked("in the beginning", " the")])
    assert reply.continuations[0].token_logprobs == pytest.approx(naive(folder, "in the beginning", " the"), abs=2e-5)


def test_an_empty_prompt_starts_from_the_first_token(folder):
    plain = backend_of(folder, chat=False)
    (reply,) = plain.loglikelihood([asked("", "the")])
    assert reply.continuations[0].token_logprobs == pytest.approx(naive(folder, "<|im_start|>", "the"), abs=2e-5)


def test_too_long_for_the_window_is_truncated(backend):
    long, short = backend.loglikelihood([asked("x" * 300, "the"), asked("x", "the")])
    assert (long.status, short.status) == ("truncated", "complete")
    assert long.detail == "prompt and continuation have 320 tokens, and the model reads 256"
    assert not long.continuations


def test_a_chat_template_that_refuses_is_an_error_of_this_call(tmp_path):
    refuses = (
        "{% if 'bad' in messages[0]['content'] %}{{ raise_exception('not that') }}{% endif %}" + tiny_llama.TEMPLATE
    )
    backend = backend_of(tiny_llama.folder(tmp_path, chat_template=refuses))
    good, bad = backend.loglikelihood([asked("good", "y"), asked("bad", "y")])
    assert good.status == "complete"
    assert (bad.status, bad.detail) == ("error", "the model's chat template refuses these messages: not that")
    assert [reply.status == "error" for reply in backend.generate([asked("bad"), asked("good")])] == [True, False]
