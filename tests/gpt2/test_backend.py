"""The backend `gpt2` as the harness sees it."""

import math
import shutil
import subprocess
import sys

import pytest
import torch

import judgekit
import judgekit.data
from judgekit_gpt2 import checkpoint, weights
from judgekit_gpt2.backend import GPT2Backend, GPT2Options

exact = pytest.mark.skipif(judgekit.data.held_below_avx512(), reason="refused: torch's int8 code for AVX2 is wrong")


@pytest.fixture(scope="module")
def backend(reference_folder):
    return GPT2Backend(GPT2Options(checkpoint=str(reference_folder)))


def _request(prompt, continuations=(), **sampling):
    return judgekit.Request(
        messages=(judgekit.Message(role="user", content=prompt),),
        sampling=judgekit.Sampling(**{"max_new_tokens": 8, **sampling}),
        continuations=continuations,
    )


def test_the_default_is_greedy_and_a_seed_matters_only_when_drawing(backend):
    settings = ({}, {"seed": 7, "temperature": 0.0}, {"seed": 7, "temperature": 1.0}, {"seed": 8, "temperature": 1.0})
    greedy, seeded, drawn, other = backend.generate([_request("The cat", **sampling) for sampling in settings])
    assert greedy == seeded
    assert len({greedy.text, drawn.text, other.text}) == 3


def test_two_prompts_do_not_share_their_random_numbers(backend, model):
    """With logits that are all alike, tokens are the random numbers themselves."""
    flat = GPT2Backend(backend.options)
    constant = type(model)(model.config)
    with torch.no_grad():
        for parameter in constant.parameters():
            parameter.zero_()
    flat._loaded = (constant.eval(), backend._load()[1])
    one, other = flat.generate([_request(prompt, temperature=1.0, seed=1) for prompt in "ab"])
    assert one.text != other.text


def test_running_to_the_limit_is_complete_with_a_note(backend):
    (reply,) = backend.generate([_request("The cat")])
    assert (reply.status, reply.notes) == ("complete", ("ended at the limit of new tokens",))
    assert reply.usage.completion_tokens == 8
    assert reply.usage.prompt_tokens == len(backend._load()[1].encode("The cat"))


def test_a_stop_string_ends_the_text_before_itself(backend):
    (plain,) = backend.generate([_request("The cat", max_new_tokens=20)])
    stop = plain.text[4:7]
    (reply,) = backend.generate([_request("The cat", max_new_tokens=20, stop=(stop, "never there"))])
    assert reply.text == plain.text[: plain.text.index(stop)]
    assert (reply.status, reply.notes) == ("complete", ())
    assert reply.usage.completion_tokens < 20


def test_a_prompt_that_fills_the_context_is_an_error_and_others_are_answered(backend):
    long, short = backend.generate([_request("x y " * 40), _request("The cat")])
    assert long.status == "truncated"
    assert long.detail.endswith("tokens are too many for the model's context of 64")
    assert short.status == "complete"


def test_a_reply_that_the_context_ends_is_truncated(backend):
    prompt = "x" * 60
    assert len(backend._load()[1].encode(prompt)) == 60
    asked, default = backend.generate([_request(prompt), _request(prompt, max_new_tokens=None)])
    assert asked.status == "truncated"
    assert asked.detail == "the model's context of 64 tokens was full after 4 new ones"
    assert (default.status, default.notes) == ("complete", ("ended at the limit of new tokens",)), "no limit asked for"


def test_an_empty_prompt_is_the_beginning_of_a_text(backend):
    (reply,) = backend.generate([_request("")])
    assert (reply.status, reply.usage.prompt_tokens) == ("complete", 1)


def test_hostile_text_neither_ends_a_prompt_nor_breaks_anything(backend):
    prompts = ["a<|endoftext|>b", "\ud800", "\x00", "‮", "{{7*7}}"]
    replies = backend.generate([_request(prompt) for prompt in prompts])
    assert {reply.status for reply in replies} == {"complete"}
    assert replies[0].usage.prompt_tokens > 3


def test_alternatives_at_each_token_are_the_references(backend, reference):
    request = _request("The cat sat on the", temperature=0.0).model_copy(update={"top_logprobs": 3})
    drawn = _request("The cat", temperature=1.0, seed=3).model_copy(update={"top_logprobs": 2})
    plain = _request("The cat", temperature=1.0, seed=3)
    greedy, sampled, same = backend.generate([request, drawn, plain])
    assert (sampled.text, same.tokens) == (same.text, ())
    assert len(sampled.tokens) == 8 == len(greedy.tokens)
    tokenizer = backend._load()[1]
    ids = tokenizer.encode("The cat sat on the")
    for token in greedy.tokens:
        with torch.inference_mode():
            table = reference(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        best = table.topk(3)
        assert [text for text, _ in token.top] == [tokenizer.decode([one]) for one in best.indices.tolist()]
        assert [value for _, value in token.top] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert (token.text, token.logprob) == token.top[0]
        ids.append(int(best.indices[0]))


def test_loglikelihoods_are_the_models(backend, naive):
    tokenizer = backend._load()[1]
    options = (" mat", " log", " the capital")
    (reply,) = backend.loglikelihood([_request("The cat sat on the", options)])
    for option, scored in zip(options, reply.continuations, strict=True):
        want = naive(tokenizer.encode("The cat sat on the"), tokenizer.encode(option))
        assert scored.token_logprobs == pytest.approx(want, abs=1e-4)
        assert scored.loglikelihood == pytest.approx(math.fsum(want), abs=1e-4)


def test_loglikelihoods_of_too_long_a_text_are_an_error(backend):
    (reply,) = backend.loglikelihood([_request("x" * 60, ("y" * 6,))])
    assert (reply.status, reply.continuations) == ("truncated", ())
    (reply,) = backend.loglikelihood([_request("x" * 60, ("y" * 5,))])
    assert reply.continuations[0].tokens == 5


def test_the_identity_follows_the_weights_and_not_the_place(reference_folder, backend, tmp_path):
    moved = shutil.copytree(reference_folder, tmp_path / "moved")
    other = GPT2Backend(GPT2Options(checkpoint="moved", batch=3, threads=1), tmp_path)
    assert other.identity() == backend.identity()
    for form in ({"dtype": "bfloat16"}, {"quantise": "int8"}, {"compile": True}):
        assert GPT2Backend(GPT2Options(checkpoint="moved", **form), tmp_path).identity() != backend.identity()
    with (moved / checkpoint.MERGES).open("a") as file:
        file.write("\n")
    assert GPT2Backend(GPT2Options(checkpoint="moved"), tmp_path).identity() != backend.identity()


def test_neither_identity_nor_check_imports_torch(reference_folder):
    code = f"""
import sys
from judgekit_gpt2.backend import GPT2Backend, GPT2Options
backend = GPT2Backend(GPT2Options(checkpoint={str(reference_folder)!r}))
assert backend.check() == [] and len(backend.identity()["weights"]) == 64
assert not {{"torch", "numpy", "safetensors", "tiktoken"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_check_finds_a_bad_checkpoint(tmp_path, reference_folder):
    backend = GPT2Backend(GPT2Options(checkpoint="there"), tmp_path)
    (problem,) = backend.check()
    assert (problem.severity, problem.exit_code) == ("error", 2)
    assert "there: no such checkpoint folder; `judgekit gpt2 pretrain" in problem.message
    shutil.copytree(reference_folder, tmp_path / "there")
    assert backend.check() == []
    (tmp_path / "there" / checkpoint.SAFETENSORS).write_bytes(b"\x80\x04")
    assert "not a safetensors file" in backend.check()[0].message


def test_without_torch_the_line_that_installs_it_is_named(backend, monkeypatch):
    monkeypatch.setattr(checkpoint.importlib.util, "find_spec", lambda name: None if name == "torch" else object())
    (problem,) = backend.check()
    assert problem.message == f"torch is not installed; `{judgekit.install_hint('gpt2')}` brings it"


@pytest.mark.parametrize("gains", [True, False])
def test_a_form_that_only_slows_this_cpu_down_is_warned_of(reference_folder, monkeypatch, gains):
    monkeypatch.setattr(judgekit.data, "gains_from_bfloat16", lambda device: gains)
    checks = [
        GPT2Backend(GPT2Options(checkpoint=str(reference_folder), **options)).check()
        for options in ({"dtype": "bfloat16"}, {}, {"dtype": "bfloat16", "quantise": "int8"})
    ]
    assert [len(problems) for problems in checks] == [0 if gains else 1, 0, 0]
    assert gains or checks[0][0].severity == "warning"


@pytest.mark.parametrize(
    "options",
    [
        *({}, {"dtype": "bfloat16"}, {"dtype": "bfloat16", "quantise": "int8"}, {"quantise": "int8"}),
        pytest.param({"quantise": "int8", "compile": True}, marks=exact),
    ],
)
def test_no_form_of_the_weights_lets_a_reply_depend_on_the_other_requests(reference_folder, options):
    whole = GPT2Backend(GPT2Options(checkpoint=str(reference_folder), **options))
    small = GPT2Backend(GPT2Options(checkpoint=str(reference_folder), batch=2, **options))
    requests = [_request("The cat " * (at + 1), (" mat", " log."), temperature=at % 2, seed=at) for at in range(6)]
    requests.append(_request("The dog", max_new_tokens=50))  # which makes the cache longer
    written, scored = whole.generate(requests), whole.loglikelihood(requests)
    assert len({reply.text for reply in written}) > 3, "three are drawn"
    assert [small.generate([request])[0] for request in requests] == written
    assert small.generate(requests[::-1])[::-1] == written
    assert [small.loglikelihood([request])[0] for request in requests] == scored
    assert small.loglikelihood(requests[::-1])[::-1] == scored


@pytest.mark.parametrize("device", ["abacus", "cuda:7"])
def test_a_device_that_is_not_there_is_a_usage_error_of_one_line(reference_folder, device):
    backend = GPT2Backend(GPT2Options(checkpoint=str(reference_folder), device=device))
    with pytest.raises(judgekit.UsageError, match=f"device '{device}' cannot be used") as caught:
        backend.generate([_request("a")])
    assert "\n" not in str(caught.value)


def test_shared_beginnings_are_read_once_across_calls(backend, monkeypatch):
    examples = "What is the capital of France? Paris. " * 4
    backend.loglikelihood([_request(examples + "The dog", ("a", "b"))])
    model = backend._load()[0]
    read, forward = [], model.forward
    monkeypatch.setattr(model, "forward", lambda ids, *rest: read.append(ids.shape[1]) or forward(ids, *rest))
    prompt = examples + "The cat"
    backend.loglikelihood([_request(prompt, ("a", "b"))])
    length = len(backend._load()[1].encode(prompt))
    assert length > 40
    assert read == [length - 32]


def test_close_frees_the_model(reference_folder):
    backend = GPT2Backend(GPT2Options(checkpoint=str(reference_folder)))
    backend.generate([_request("a")])
    assert backend._loaded is not None
    backend.close()
    assert backend._loaded is None
    assert backend.generate([_request("a")])[0].status == "complete"


def test_gpt2s_vocabulary_is_used_where_a_checkpoint_has_none(make_reference, tmp_path):
    make_reference(vocab_size=50257, n_embd=8, n_head=2, n_layer=1).save_pretrained(tmp_path)
    assert weights.load(tmp_path)[1].end_of_text == 50256
