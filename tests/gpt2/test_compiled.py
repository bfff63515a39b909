"""Next tokens by torch's compiler: the same model, another way to compute it."""

import copy
import os
import shutil
import subprocess
import sys

import pytest
import torch

import judgekit
import judgekit.data
from judgekit_gpt2 import checkpoint
from judgekit_gpt2.backend import GPT2Backend, GPT2Options
from judgekit_gpt2.cache import KVCache
from judgekit_gpt2.compiled import CompiledGPT2
from judgekit_gpt2.generation import Prompt, generate
from judgekit_gpt2.inference import prepare
from judgekit_gpt2.model import left_pad

slow = pytest.mark.slow  # each form is compiled anew
exact = pytest.mark.skipif(judgekit.data.held_below_avx512(), reason="refused: torch's int8 code for AVX2 is wrong")
FORMS = [
    pytest.param({"quantise": "int8"}, 2e-3, id="int8", marks=exact),
    pytest.param({}, 1e-4, id="float32", marks=slow),
    pytest.param({"dtype": torch.bfloat16}, 0.25, id="bfloat16", marks=slow),
    pytest.param({"dtype": torch.bfloat16, "quantise": "int8"}, 0.25, id="int8 in bfloat16", marks=slow),
]


@pytest.mark.parametrize(("form", "most"), FORMS)
@torch.inference_mode()
def test_next_tokens_have_the_logits_of_the_model_that_is_not_compiled(model, form, most):
    plain = prepare(copy.deepcopy(model), **form)
    quick = CompiledGPT2(prepare(copy.deepcopy(model), **form, compiled=True))
    graphs = _graphs()
    for start in (5, 31, 40):
        ids = torch.randint(0, 290, (1, start + 20), generator=torch.Generator().manual_seed(start))
        for ours, want in zip(_step_by_step(quick, ids, start), _step_by_step(plain, ids, start), strict=True):
            assert (ours - want).abs().max() <= most
    assert 0 < _graphs() - graphs <= 2, "the blocks for every length, and the output layer"


def _step_by_step(model, ids, start):
    """Logits after each token from `start` on, of which the first is read with what is before it."""
    cache = KVCache.empty(model.config, 1, ids.shape[1], model.tokens.weight)
    read, positions = left_pad([ids[0, :start].tolist()])
    yield model.logits(model(read, positions, cache)[:, -1]).float()
    for at in range(start, ids.shape[1]):
        yield model.logits(model(ids[:, at : at + 1], torch.tensor([[at]]), cache)[:, -1]).float()


def _graphs():
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def test_several_sequences_are_written_as_without_the_compiler(model):
    """Nothing is compiled for them, so no compiler is waited for either."""
    graphs = _graphs()
    prompts = [Prompt([1, 2, 3, 4 + at], 6) for at in range(4)]
    quick = CompiledGPT2(prepare(copy.deepcopy(model), compiled=True))
    written = generate(quick, prompts, 999)
    assert [one.ids for one in written] == [one.ids for one in generate(prepare(copy.deepcopy(model)), prompts, 999)]
    assert _graphs() == graphs


@pytest.fixture(scope="module")
def backend(reference_folder):
    return GPT2Backend(GPT2Options(checkpoint=str(reference_folder), quantise="int8", compile=True))


def test_int8_is_refused_where_torchs_code_for_it_is_wrong(reference_folder, monkeypatch):
    monkeypatch.setattr(judgekit.data, "held_below_avx512", lambda: True)
    with pytest.raises(judgekit.UsageError, match="AVX-512"):
        checkpoint.require_compiler("int8")
    checkpoint.require_compiler(None)


@exact
def test_preflight_finds_nothing_wrong(backend):
    assert backend.check() == []


def test_it_is_for_a_cpu(reference_folder):
    with pytest.raises(ValueError, match="'compile' is for device: cpu"):
        GPT2Options(checkpoint=str(reference_folder), device="cuda", compile=True)


def test_a_missing_compiler_is_found_in_preflight(backend, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    (problem,) = backend.check()
    assert problem.message == "compile: true needs a C++ compiler; no-such-compiler is not there (CXX names another)"
    monkeypatch.setenv("CXX", shutil.which("sh"))
    monkeypatch.setattr(checkpoint.sysconfig, "get_path", lambda name: str(tmp_path))
    (problem,) = backend.check()
    assert "needs Python's headers (Debian: python3-dev)" in problem.message


def test_a_compiler_that_does_not_work_is_one_line():
    """In a process of its own: torch keeps what it found out about the compiler."""
    code = (
        "import torch; from judgekit_gpt2.config import GPT2Config; from judgekit_gpt2.model import GPT2; "
        "from judgekit_gpt2.inference import prepare; from judgekit_gpt2.compiled import CompiledGPT2; "
        "from judgekit_gpt2.generation import Prompt, generate; import judgekit\n"
        "model = GPT2(GPT2Config(300, 64, 32, 1, 4)); model.initialise(torch.Generator())\n"
        "quick = CompiledGPT2(prepare(model, compiled=True))\n"
        "try: generate(quick, [Prompt([1, 2, 3], 5)], 299)\n"
        "except judgekit.UsageError as error: print(error)"
    )
    environment = os.environ | {"CXX": shutil.which("false"), "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("compile: true cannot be had, torch's compiler failed: InvalidCxxCompiler")
    assert done.stdout.count("\n") == 1
