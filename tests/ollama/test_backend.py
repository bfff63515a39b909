"""The backend against the emulation of an Ollama server with a scripted mind."""

import pytest
from pydantic import ValidationError

from json_server import Answer
from judgekit import AuthError, BackendError, CallError, ModelNotFound, Unreachable
from judgekit.testing import closed_port
from judgekit_ollama.backend import OllamaBackend, OllamaOptions
from ollama_judge import RETRY_NOW, backend, done, emulation, request
from openai_fake import OpenAIFake
from tables import each

KEY = "ollama-canary-0123456789"


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


@each(
    (Answer({"error": "server busy, please try again. maximum pending requests"}, 503), CallError, "busy"),
    (Answer({"error": "unauthorized"}, 401), AuthError, "unauthorized"),
    (Answer({"error": "too many requests"}, 429), CallError, "too many"),
    (Answer({"error": "invalid format: expected \"json\" or a JSON schema"}, 400), CallError, "invalid format"),
    (Answer({"error": "an error was encountered while running the model"}, 500), CallError, "500"),
    (Answer({"error": "an error under 200"}), CallError, "an error under 200"),
    (Answer('{"message":{"content":"8"},"done":false}\n{"error":"runner died"}\n'), CallError,
     "broke off its answer with an error: runner died"),
    (Answer({"error": "runner died", "done": True, "message": {"content": "85"}}), CallError, "runner died"),
    (Answer(done("load")), CallError, "'load'"),
    (Answer(done("unload")), CallError, "'unload'"),
    (Answer(done("")), CallError, "done_reason ''"),
    (Answer({"error": "model 'llama3' not found"}, 404), ModelNotFound, "`ollama pull llama3`"),
    (Answer({"error": 'model "llama3" not found, try pulling it first'}, 404), ModelNotFound, "pull llama3"),
    (Answer("404 page not found", 404), BackendError, "is this an Ollama server"),
    (Answer({"error": "forbidden"}, 403), AuthError, "forbidden"),
    (Answer({"error": '"llama3" does not support chat'}, 400), BackendError, "cannot use 'llama3'"),
    (Answer({"error": "model requires more system memory (9 GiB) than is available (2 GiB)"}, 500), BackendError,
     "cannot use 'llama3': model requires more system memory"),
    (Answer("", 301, headers={"location": "https://elsewhere.example/"}), BackendError, "elsewhere.*set host"),
    (Answer(None, 500), CallError, "500"),
    (Answer("null"), CallError, "NoneType"),
    (Answer("<html>proxy</html>", 502), CallError, "proxy"),
    (Answer('{"message": {"content": "8'), CallError, "not JSON"),
    (Answer(drop=True), CallError, "lost"),
)  # fmt: skip
def test_errors_are_told_apart(answer, error, words):
    with emulation(faults=[answer]) as server, pytest.raises(error, match=words) as caught:
        backend(server).generate([request()])
    assert type(caught.value) is error or error is CallError


@each(
    "the input length exceeds the context length",
    "the prompt is longer than the context length currently available to the model; shorten the prompt",
    '{"error":{"code":400,"message":"request (9 tokens) exceeds the available context size (8 tokens)"}}',
    "prompt too long; exceeded max context length by 10 tokens",
)
def test_every_way_of_saying_too_long_is_a_truncated_reply(words):
    with emulation(faults=[Answer({"error": words}, 400)]) as server:
        [reply] = backend(server).generate([request()])
    assert (reply.status, reply.text) == ("truncated", "")
    assert reply.detail.startswith("the prompt does not fit into num_ctx = 4096: ")


def test_a_missing_key_is_asked_for_by_name():
    with emulation(faults=[Answer({"error": "unauthorized"}, 401)]) as server, pytest.raises(AuthError) as caught:
        backend(server).generate([request()])
    assert caught.value.message.endswith("is OLLAMA_API_KEY set to this server's key?")


def test_an_empty_reply_is_complete_and_says_that_it_is_empty():
    with emulation("") as server:
        [reply] = backend(server).generate([request(top_logprobs=2)])
    assert (reply.status, reply.text, reply.detail, reply.tokens) == ("complete", "", "the reply holds no content", ())


@each(429, 503)
def test_a_server_that_stays_busy_is_a_failed_call_after_the_retries(status):
    busy = Answer({"error": "server busy, please try again. maximum pending requests exceeded"}, status, RETRY_NOW)
    with emulation(faults=[busy] * 3) as server, pytest.raises(CallError, match="server busy"):
        backend(server, retries=2).generate([request()])
    assert len(server.chats) == 3


def test_a_busy_server_is_asked_again_by_the_transport():
    busy = Answer({"error": "server busy"}, 503, RETRY_NOW)
    with emulation(faults=[busy]) as server:
        [reply] = backend(server, retries=1).generate([request()])
    assert (reply.text, len(server.chats)) == ("85", 2)


def test_another_kind_of_server_is_named_as_such():
    with OpenAIFake() as fake, pytest.raises(BackendError, match="is this an Ollama server"):
        backend(fake).identity()


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


@each("10m", "1h30m", "-1s", "1.5h", "0", "90s", 0, -1, 3600)
def test_durations(keep_alive):
    assert OllamaOptions(keep_alive=keep_alive).keep_alive == keep_alive


@each("10 minutes", "300", "-1", "", "m", "10m ")
def test_what_the_server_would_refuse_as_a_duration_is_refused_before(keep_alive):
    with pytest.raises(ValidationError, match='is no duration: write "10m"'):
        OllamaOptions(keep_alive=keep_alive)


def test_unknown_options_are_refused():
    with pytest.raises(ValidationError, match="did you mean 'num_thread'"):
        OllamaOptions(model="llama3", options={"num_thred": 2})
    with pytest.raises(ValidationError, match="num_cxt"):
        OllamaOptions(model="llama3", num_cxt=2048)
