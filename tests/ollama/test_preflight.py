"""What is found before any call: identity, warnings, `judgekit doctor ollama`."""

import hashlib
import re

from json_server import Answer
from judgekit_ollama.backend import OllamaBackend, OllamaOptions
from ollama_emulation import OllamaEmulation, Script
from ollama_judge import backend, emulation
from tables import each


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
        "server": server.url,
    }
    assert [call.path for call in server.calls] == ["/api/version", "/api/tags", "/api/show"]


def test_servers_on_two_ports_are_two_and_the_default_one_is_as_ledgers_hold_it():
    with emulation() as one, emulation() as two:
        first, second = backend(one), backend(two)
        assert first.identity() != second.identity()
        assert first.is_identity(first.identity())
        assert not first.is_identity(second.identity())
    for host in (None, "localhost", "LOCALHOST:11434", "http://127.0.0.1:11434/"):
        usual = OllamaBackend(OllamaOptions(model="llama3", host=host))
        assert usual.is_identity({key: value for key, value in first.identity().items() if key != "server"})
        assert not usual.is_identity(first.identity())


@each(
    ("llama3", "llama3:latest"),
    ("llama3:8b", "llama3:8b"),
    ("Llama3:8B", "llama3:8b"),
    ("registry.ollama.ai/library/llama3", "llama3:latest"),
    ("hf.co/bartowski/Llama-3:Q4_K_M", "hf.co/bartowski/Llama-3:Q4_K_M"),
    ("hf.co:443/someone/model", "hf.co:443/someone/model:latest"),
)
def test_a_model_is_found_with_and_without_its_tag(asked, served):
    with emulation(models=["other:latest", served]) as server:
        assert backend(server, model=asked).check() == []


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
    assert [chat["options"]["num_predict"] for chat in server.chats] == [1]
    assert lines[3][2] == "8192 by the model, num_ctx is 4096"


def test_old_servers_and_missing_things_are_told():
    with emulation(version="0.4.9", context_length=2048) as server:
        lines = {name: (good, words) for name, good, words in backend(server).doctor()}
    assert lines["version"][0] is False
    assert "cuts long prompts silently" in lines["version"][1]
    assert lines["context length"] == (False, "2048 by the model, num_ctx is 4096: lower num_ctx to 2048 or less")
    assert lines["JSON schema"] == (False, "needs Ollama 0.5.0 or later")
    assert lines["log-probabilities"] == (False, "needs Ollama 0.12.11 or later")
    with emulation(version="0.0.0") as server:
        lines = {name: good for name, good, _ in backend(server, num_ctx=64).doctor()}
    assert lines["version"] is None
    assert lines["JSON schema"] is None
    with emulation() as server:
        thinking = {what: (good, words) for what, good, words in backend(server, think=True).doctor()}["thinking"]
    assert thinking == (False, "llama3 cannot: `think: true` will be left out")
    with emulation(models=[]) as server:
        *_, last = backend(server).doctor()
    assert last == ("model", False, "Ollama has no model 'llama3': get it with `ollama pull llama3`")
    with emulation(version="0.12.3") as server:
        [problem] = backend(server).check()
    assert problem.severity == "warning"
    assert problem.message.startswith("Ollama 0.12.3 cuts long prompts silently")
    assert server.chats == []
    with emulation(models=["llama3:8b"]) as server:
        assert backend(server).check() != []


@each(
    ({}, True, "given with a reply of one token"),
    ({"drops": ["logprobs"]}, False, "without the log-probabilities that it was asked for"),
    ({"faults": [Answer({"error": "out of memory"}, 400)]}, None, "a question of one word failed: .*out of memory"),
    ({"faults": [Answer({"error": "it does not support chat"}, 400)]}, False, "cannot use 'llama3'"),
)
def test_doctor_finds_log_probabilities_in_a_reply_and_not_in_the_version(settings, good, words):
    with emulation(**settings) as server:
        *_, (what, found, finding) = backend(server).doctor()
    assert (what, found) == ("log-probabilities", good)
    assert re.search(words, finding)


@each(("0.12.10", True), ("0.12.11", False), ("0.0.0", False))
def test_log_probabilities_that_the_version_does_not_have_are_known_before_any_call(version, lacks):
    with emulation(version=version) as server:
        judge = backend(server)
        assert bool(judge.lacks("logprobs")) is lacks
        assert judge.lacks("schema") == ""
    assert server.chats == []


def test_a_server_that_tells_nothing_of_the_model_is_no_problem():
    class Terse(OllamaEmulation):
        def respond(self, call):
            return Answer({}) if call.path == "/api/show" else super().respond(call)

    with Terse(Script("85")) as server:
        assert backend(server).check() == []
        lines = {name: (good, words) for name, good, words in backend(server).doctor()}
    assert lines["context length"] == (None, "not told by the server; num_ctx is 4096")


@each(
    ("/api/version", {}, "tells no version"),
    ("/api/version", [], "is not Ollama's"),
    ("/api/tags", {"models": None}, "has no model 'llama3'"),
    ("/api/tags", {"models": ["llama3:latest", {"name": None}]}, "has no model 'llama3'"),
    ("/api/tags", {"models": [{"name": "llama3:latest"}]}, "gives no digest of 'llama3'"),
)
def test_a_strange_server_is_found_in_preflight(path, body, words):
    class Strange(OllamaEmulation):
        def respond(self, call):
            return Answer(body) if call.path == path else super().respond(call)

    with Strange(Script("85")) as server:
        [problem] = backend(server).check()
    assert (problem.severity, problem.exit_code) == ("error", 4)
    assert words in problem.message


def test_a_model_with_nearly_that_name_is_named():
    with emulation(models=["llama3.1:8b"]) as server:
        [problem] = backend(server, model="llama-3.1:8b").check()
    assert problem.message.endswith("`ollama pull llama-3.1:8b`; or did you mean 'llama3.1:8b', which it has?")


def test_the_address_of_another_protocol_is_mended():
    with emulation() as server:
        for ending in ("/v1", "/api"):
            [problem] = OllamaBackend(OllamaOptions(model="llama3", host=server.url + ending)).check()
            assert problem.message.endswith(f"set host: {server.url}")
