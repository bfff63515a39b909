import pytest

from asking_transformers import asked, backend_of
from judgekit.testing import tiny_llama


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    backend = backend_of(tiny_llama.folder(tmp_path_factory.mktemp("tiny")))
    yield backend
    backend.close()


def ask(backend, prompt="the thing", **sampling):
    (reply,) = backend.generate([asked(prompt, **sampling)])
    return reply


def test_greedy_is_the_likeliest_token_each_time(backend):
    import torch

    loaded = backend._ready()
    ids = loaded.tokenizer("<|im_start|>user\nthe thing<|im_end|>\n<|im_start|>assistant\n").input_ids
    expected = []
    with torch.no_grad():
        for _ in range(12):
            token = int(loaded.model(torch.tensor([ids + expected])).logits[0, -1].argmax())
            expected.append(token)
            if token == 2:
                break
    reply = ask(backend, max_new_tokens=12, temperature=0)
    assert reply.text == loaded.tokenizer.decode(expected, skip_special_tokens=True)
    assert reply.usage.prompt_tokens == len(ids)
    assert reply.usage.completion_tokens == len(expected)


def test_a_seed_fixes_the_sample_and_touches_no_one_elses(backend):
    import torch

    before = torch.random.get_rng_state()
    first, again = (ask(backend, max_new_tokens=20, temperature=1.0, seed=5) for _ in range(2))
    other = ask(backend, max_new_tokens=20, temperature=1.0, seed=6)
    assert first == again
    assert first.text != other.text
    assert torch.equal(before, torch.random.get_rng_state())


def test_cut_off_is_truncated_and_a_stop_text_is_not(backend):
    long = ask(backend, max_new_tokens=15, temperature=1.0, seed=5)
    assert long.status == "truncated"
    stop = long.text[4:6]
    stopped = ask(backend, max_new_tokens=15, temperature=1.0, seed=5, stop=(stop,))
    assert stopped.status == "complete"
    assert stopped.text == long.text[: long.text.index(stop)]
    assert stopped.usage.completion_tokens < 15


def test_a_prompt_that_fills_the_window_is_truncated_and_never_cut(backend):
    reply = ask(backend, prompt="x" * 300)
    assert (reply.status, reply.text) == ("truncated", "")
    assert reply.detail == "the prompt has 319 tokens, and the model reads 256"


def test_an_answer_that_the_window_ends_says_so(backend):
    reply = ask(backend, prompt="x" * 220, max_new_tokens=100)
    assert reply.status == "truncated"
    assert reply.usage.prompt_tokens + reply.usage.completion_tokens == 256
    assert reply.detail == "the model's window of 256 tokens was full"
