"""The backend against the emulation of an Ollama server with a scripted mind."""

from __future__ import annotations

import hashlib
import json

import pytest
from pydantic import ValidationError

from json_server import Answer
from judgekit import AuthError, BackendError, CallError, Message, ModelNotFound, Request, Sampling, Unreachable
from judgekit_ollama.backend import OllamaBackend, OllamaOptions
from loopback import closed_port
from ollama_emulation import OllamaEmulation, Script, Spoken
from openai_fake import OpenAIFake

KEY = "ollama-canary-0123456789"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def request(text="Grade this answer.", **sampling):
    sampling = Sampling(**{"temperature": 0.0, "seed": 123, "max_new_tokens": 8} | sampling)
    return Request(messages=(Message(role="user", content=text),), sampling=sampling)


def backend(server, **options):
    return OllamaBackend(OllamaOptions(**{"model": "llama3", "host": server.url, "retries": 0} | options))


def emulation(reply="85", **settings):
    return OllamaEmulation(Script(reply), **settings)


def test_a_reply():
    with emulation() as server:
        [reply] = backend(server).generate([request()])
    assert (reply.text, reply.status) == ("85", "complete")
    assert reply.usage.prompt_tokens == 7
    assert server.unknown_options == set()
    [sent] = server.chats
    assert sent["options"] == {"num_ctx": 4096, "seed": 123, "temperature": 0.0, "num_predict": 8}


def test_a_prompt_that_is_too_long_is_refused_and_truncated():
    with emulation() as server:
        [reply] = backend(server, num_ctx=64).generate([request("word " * 100)])
    assert (reply.status, reply.text) == ("truncated", "")
    assert "does not fit into num_ctx = 64" in reply.detail


@pytest.mark.parametrize("turns", [1, 5])
def test_an_old_server_that_cuts_silently_is_caught(turns):
    """One long message is cut after its first words; of many turns the oldest are dropped."""
    roles = ["user", "assistant"] * turns
    messages = tuple(Message(role=role, content="word " * (100 // turns)) for role in roles[: 2 * turns - 1])
    with emulation(version="0.12.3") as server:
        [reply] = backend(server, num_ctx=64).generate([Request(messages=messages)])
    assert (reply.status, reply.text) == ("truncated", "85")
    assert "so it was cut" in reply.detail


def test_thoughts_on_request():
    with emulation(lambda *_: Spoken("85", thinking="It names the capital."), thinks=True) as server:
        judge = backend(server, think=True)
        assert judge.generate([request()])[0].reasoning == "It names the capital."
        assert backend(server).generate([request()])[0].reasoning == ""


def test_a_model_that_cannot_think_stops_the_run():
    with emulation() as server, pytest.raises(BackendError, match="does not support thinking"):
        backend(server, think=True).generate([request()])


def test_a_model_that_is_not_pulled_names_the_command():
    with emulation(models=["mistral:latest"]) as server:
        judge = backend(server)
        with pytest.raises(ModelNotFound, match="`ollama pull llama3`"):
            judge.generate([request()])
        with pytest.raises(ModelNotFound, match="`ollama pull llama3`"):
            judge.identity()
        [problem] = judge.check()
    assert problem.exit_code == 4
    assert problem.message == "Ollama has no model 'llama3': get it with `ollama pull llama3`"


def test_a_server_that_is_not_running_names_the_command():
    dead = OllamaBackend(OllamaOptions(model="llama3", host=f"127.0.0.1:{closed_port()}", retries=0))
    for call in (dead.identity, lambda: dead.generate([request()])):
        with pytest.raises(Unreachable, match="`ollama serve`"):
            call()
    [problem] = dead.check()
    assert problem.exit_code == 4
    assert [line[:2] for line in dead.doctor()] == [("server", False)]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer({"error": "server busy, please try again. maximum pending requests"}, 503), CallError, "busy"),
        (Answer({"error": "unauthorized"}, 401), AuthError, "unauthorized"),
        (Answer({"error": "too many requests"}, 429), CallError, "too many"),
        (Answer({"error": "invalid format: expected \"json\" or a JSON schema"}, 400), CallError, "invalid format"),
        (Answer({"error": "an error was encountered while running the model"}, 500), CallError, "500"),
        (Answer({"error": "an error under 200"}), CallError, "an error under 200"),
        (Answer("<html>proxy</html>", 502), CallError, "proxy"),
        (Answer('{"message": {"content": "8'), CallError, "not JSON"),
        (Answer(drop=True), CallError, "lost"),
    ],
)  # fmt: skip
def test_errors_are_told_apart(answer, error, words):
    with emulation(faults=[answer]) as server, pytest.raises(error, match=words) as caught:
        backend(server).generate([request()])
    assert isinstance(caught.value, AuthError) is (error is AuthError)


def test_a_busy_server_is_asked_again_by_the_transport():
    busy = Answer({"error": "server busy"}, 503, {"retry-after-ms": "10"})
    with emulation(faults=[busy]) as server:
        [reply] = backend(server, retries=1).generate([request()])
    assert (reply.text, len(server.chats)) == ("85", 2)


def test_another_kind_of_server_is_named_as_such():
    with OpenAIFake() as fake, pytest.raises(BackendError, match="is this an Ollama server"):
        backend(fake).identity()


# --- identity, preflight, doctor ---


def test_identity_has_the_digest_and_is_asked_once():
    with emulation() as server:
        judge = backend(server, options={"num_thread": 2})
        identity = judge.identity()
        assert judge.identity() == identity
        assert judge.check() == []
    assert identity == {
        "adapter": "ollama/1",
        "model": "llama3",
        "version": "0.33.0",
        "digest": hashlib.sha256(b"llama3:latest").hexdigest(),
        "num_ctx": 4096,
        "think": False,
        "options": {"num_thread": 2},
    }
    assert [call.path for call in server.calls] == ["/api/version", "/api/tags"]
    assert server.url.rpartition(":")[2] not in json.dumps(identity)


@pytest.mark.parametrize(("asked", "served"), [("llama3", "llama3:latest"), ("llama3:8b", "llama3:8b")])
def test_a_model_is_found_with_and_without_its_tag(asked, served):
    with emulation(models=["other:latest", served]) as server:
        assert backend(server, model=asked).check() == []


def test_a_tag_that_is_not_there_is_missing():
    with emulation(models=["llama3:8b"]) as server:
        assert backend(server).check() != []


def test_doctor_in_one_screen():
    with emulation() as server:
        lines = list(backend(server).doctor())
    assert [line[:2] for line in lines] == [
        ("server", True),
        ("version", True),
        ("model", True),
        ("context length", True),
        ("JSON schema", True),
        ("log-probabilities", True),
    ]
    assert lines[3][2] == "8192 by the model, num_ctx is 4096"


def test_doctor_on_an_old_server_and_a_context_that_is_too_large():
    with emulation(version="0.4.9", context_length=2048) as server:
        lines = {name: (good, words) for name, good, words in backend(server).doctor()}
    assert lines["version"][0] is False
    assert "cuts long prompts silently" in lines["version"][1]
    assert lines["context length"] == (False, "2048 by the model, num_ctx is 4096: lower num_ctx to 2048 or less")
    assert lines["JSON schema"] == (False, "needs Ollama 0.5.0 or later")
    assert lines["log-probabilities"] == (False, "needs Ollama 0.12.11 or later")


def test_doctor_does_not_judge_a_build_from_source():
    with emulation(version="0.0.0") as server:
        lines = {name: good for name, good, _ in backend(server).doctor()}
    assert lines["version"] is None
    assert lines["JSON schema"] is None


def test_doctor_gives_the_pull_command():
    with emulation(models=[]) as server:
        *_, last = backend(server).doctor()
    assert last == ("model", False, "Ollama has no model 'llama3': get it with `ollama pull llama3`")


# --- addresses and keys ---


def test_the_environment_names_the_server(monkeypatch):
    with emulation() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://127.0.0.1"))
        [reply] = OllamaBackend(OllamaOptions(model="llama3")).generate([request()])
    assert reply.text == "85"


def test_an_address_that_is_none(monkeypatch):
    with pytest.raises(ValidationError, match="http"):
        OllamaOptions(model="llama3", host="ftp://x")
    monkeypatch.setenv("OLLAMA_HOST", "ftp://x")
    [problem] = OllamaBackend(OllamaOptions(model="llama3")).check()
    assert "OLLAMA_HOST" in problem.message


def test_the_environments_key_goes_to_the_environments_server_alone(monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    with emulation() as server:
        backend(server).generate([request()])
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        backend(server, host=None).generate([request()])
        backend(server, key_env="OLLAMA_API_KEY").generate([request()])
    assert [call.headers.get("authorization") for call in server.calls] == [None, f"Bearer {KEY}", f"Bearer {KEY}"]


def test_a_named_key_that_is_not_set_is_found_by_preflight():
    with emulation() as server:
        [problem] = backend(server, key_env="NO_SUCH_KEY").check()
    assert problem.exit_code == 4
    assert "NO_SUCH_KEY" in problem.message


def test_unknown_options_are_refused():
    with pytest.raises(ValidationError, match="did you mean 'num_thread'"):
        OllamaOptions(model="llama3", options={"num_thred": 2})
    with pytest.raises(ValidationError, match="num_cxt"):
        OllamaOptions(model="llama3", num_cxt=2048)
