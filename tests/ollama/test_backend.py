"""The backend against the emulation of an Ollama server: errors, cut prompts, thoughts, log-probabilities."""

import math

import pytest
from pydantic import ValidationError

from json_server import Answer, JsonServer
from judgekit import AuthError, BackendError, CallError, Message, ModelNotFound, Request, Unreachable
from judgekit.testing import closed_port
from judgekit_ollama.backend import OllamaBackend, OllamaOptions
from ollama_emulation import Spoken
from ollama_judge import RETRY_NOW, backend, done, emulation, request, said_after
from openai_fake import OpenAIFake
from tables import each

KEY = "ollama-canary-0123456789"


def test_replies_whole_empty_too_long_or_late():
    with emulation() as server:
        [reply] = backend(server).generate([request()])
    assert (reply.text, reply.status) == ("85", "complete")
    assert reply.usage.prompt_tokens == 7
    assert server.unknown_options == set()
    [sent] = server.chats
    assert sent["options"] == {"num_ctx": 4096, "seed": 123, "temperature": 0.0, "num_predict": 8}
    with emulation() as server:
        [reply] = backend(server, num_ctx=64).generate([request("word " * 100)])
    assert (reply.status, reply.text) == ("truncated", "")
    assert "does not fit into num_ctx = 64" in reply.detail
    with emulation("") as server:
        [reply] = backend(server).generate([request(top_logprobs=2)])
    assert (reply.status, reply.text, reply.detail, reply.tokens) == ("complete", "", "the reply holds no content", ())
    busy = Answer({"error": "server busy"}, 503, RETRY_NOW)
    with emulation(faults=[busy]) as server:
        [reply] = backend(server, retries=1).generate([request()])
    assert (reply.text, len(server.chats)) == ("85", 2)


@each(
    (Answer({"error": "server busy, please try again. maximum pending requests"}, 503), CallError, "busy"),
    (Answer({"error": "unauthorized"}, 401), AuthError, "unauthorized"),
    (Answer({"error": "too many requests"}, 429), CallError, "too many"),
    (Answer({"error": "invalid format: expected \"json\" or a JSON schema"}, 400), CallError, "invalid format"),
    (Answer({"error": "an error was encountered while running the model"}, 500), CallError, "500"),
    (Answer('{"message":{"content":"8"},"done":false}\n{"error":"runner died"}\n'), CallError,
     "broke off its answer with an error: runner died"),
    (Answer({"error": "runner died", "done": True, "message": {"content": "85"}}), CallError, "runner died"),
    (Answer(done("")), CallError, "done_reason ''"),
    (Answer({"error": "model 'llama3' not found"}, 404), ModelNotFound, "`ollama pull llama3`"),
    (Answer({"error": 'model "llama3" not found, try pulling it first'}, 404), ModelNotFound, "pull llama3"),
    (Answer("404 page not found", 404), BackendError, "is this an Ollama server"),
    (Answer({"error": "forbidden"}, 403), CallError, "forbidden"),  # and the next call is let in
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


def test_what_is_missing_is_named():
    with emulation(faults=[Answer({"error": "unauthorized"}, 401)]) as server, pytest.raises(AuthError) as caught:
        backend(server).generate([request()])
    assert caught.value.message.endswith("is OLLAMA_API_KEY set to this server's key?")
    with emulation() as server:
        [problem] = backend(server, key_env="NO_SUCH_KEY").check()
    assert problem.exit_code == 4
    assert "NO_SUCH_KEY" in problem.message
    with OpenAIFake() as fake, pytest.raises(BackendError, match="is this an Ollama server"):
        backend(fake).identity()
    dead = OllamaBackend(OllamaOptions(model="llama3", host=f"127.0.0.1:{closed_port()}", retries=0))
    for call in (dead.identity, lambda: dead.generate([request()])):
        with pytest.raises(Unreachable, match="`ollama serve`"):
            call()
    [problem] = dead.check()
    assert problem.exit_code == 4
    assert [line[:2] for line in dead.doctor()] == [("server", False)]
    with emulation(models=["mistral:latest"]) as server:
        judge = backend(server)
        with pytest.raises(ModelNotFound, match="`ollama pull llama3`"):
            judge.generate([request()])
        with pytest.raises(ModelNotFound, match="`ollama pull llama3`"):
            judge.identity()
        [problem] = judge.check()
    assert problem.exit_code == 4
    assert problem.message == "Ollama has no model 'llama3': get it with `ollama pull llama3`"


@each(429, 503)
def test_a_server_that_stays_busy_is_a_failed_call_after_the_retries(status):
    busy = Answer({"error": "server busy, please try again. maximum pending requests exceeded"}, status, RETRY_NOW)
    with emulation(faults=[busy] * 3) as server, pytest.raises(CallError, match="server busy"):
        backend(server, retries=2).generate([request()])
    assert len(server.chats) == 3


# --- addresses and keys ---


def test_the_environment_names_server_and_key(monkeypatch):
    with emulation() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://127.0.0.1"))
        [reply] = OllamaBackend(OllamaOptions(model="llama3")).generate([request()])
    assert reply.text == "85"
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    with emulation() as server:
        backend(server).generate([request()])
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        backend(server, host=None).generate([request()])
        backend(server, key_env="OLLAMA_API_KEY").generate([request()])
    assert [call.headers.get("authorization") for call in server.calls] == [None, f"Bearer {KEY}", f"Bearer {KEY}"]
    with pytest.raises(ValidationError, match="http"):
        OllamaOptions(model="llama3", host="ftp://x")
    monkeypatch.setenv("OLLAMA_HOST", "ftp://x")
    [problem] = OllamaBackend(OllamaOptions(model="llama3")).check()
    assert "OLLAMA_HOST" in problem.message


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


# --- prompts that are cut silently ---


@each(1, 5)
def test_an_old_server_that_cuts_silently_is_caught(turns):
    """One long message is cut after its first words; of many turns the oldest are dropped."""
    roles = ["user", "assistant"] * turns
    messages = tuple(Message(role=role, content="word " * (100 // turns)) for role in roles[: 2 * turns - 1])
    with emulation(version="0.12.3") as server:
        [reply] = backend(server, num_ctx=64).generate([Request(messages=messages)])
    assert (reply.status, reply.text) == ("truncated", "85")
    assert "so it was cut" in reply.detail


@each("word " * 100, "return(answer_without_a_space) " * 64)
def test_a_gateway_that_drops_truncate_is_caught(text):
    """Ollama from 0.30 on cuts to the half of the context."""
    with emulation(drops=["truncate", "shift"]) as server:
        [reply] = backend(server, num_ctx=64).generate([request(text)])
    assert (reply.status, reply.text, reply.usage.prompt_tokens) == ("truncated", "85", 34)
    assert "cut" in reply.detail


def test_cuts_and_contexts_are_seen():
    """Some judge prompts are read by the probabilities of a reply that was cut at its token limit."""
    with emulation(drops=["truncate"]) as server:
        [reply] = backend(server, num_ctx=64).generate([request("word " * 100, top_logprobs=2)])
    assert (reply.status, reply.tokens) == ("truncated", ())
    # 0.30.0 counts only what it had to read anew: here the last of eleven words.
    texts = [f"the same long rubric for every one of them, {name}" for name in ("a", "b", "c")]
    with emulation(version="0.30.0") as server:
        replies = backend(server).generate([request(text) for text in texts])
    assert [reply.usage.prompt_tokens for reply in replies] == [14, 5, 5]
    assert [reply.status for reply in replies] == ["complete"] * 3

    def respond(call):
        return Answer(said_after(3)) if call.path == "/api/chat" else Answer("404 page not found", 404)

    with JsonServer(respond) as server:
        [reply] = backend(server).generate([request("one two three four five")])
    assert (reply.status, reply.detail[:22]) == ("truncated", "the server read 3 toke")
    # num_ctx is more than the model's context: the server uses the less, and a prompt that fills it was cut.
    with emulation(lambda *_: Spoken("85"), context_length=64) as server:
        judge = backend(server, num_ctx=4096)
        [warning] = judge.check()
        server.faults.append(Answer(said_after(64)))
        [reply] = judge.generate([request("supercalifragilistic" * 40)])
    assert warning.severity == "warning"
    assert warning.message == "num_ctx is 4096, but 'llama3' has a context of 64 tokens: set num_ctx to 64 or less"
    assert reply.status == "truncated"


# --- thinking ---


def test_thoughts_are_given_refused_or_noted():
    with emulation(lambda *_: Spoken("85", thinking="It names the capital."), thinks=True) as server:
        judge = backend(server, think=True)
        assert judge.generate([request()])[0].reasoning == "It names the capital."
        assert backend(server).generate([request()])[0].reasoning == ""
    refusal = Answer({"error": 'think value "false" is not supported for this model'}, 400)
    with emulation(faults=[refusal]) as server:
        [reply] = backend(server).generate([request()])
    assert reply.text == "85"
    assert reply.notes == (f"`think` was refused by the server and left out: {refusal.body['error']}",)
    with emulation(lambda *_: Spoken("85", thinking="hm"), thinks=True, stubborn=True) as server:
        [reply] = backend(server).generate([request()])
    assert (reply.text, reply.reasoning) == ("85", "hm")
    assert reply.notes == ("the model thought although `think` is false: it cannot turn its thinking off",)


def test_a_model_that_refuses_think_is_asked_without_it_once_and_for_all():
    with emulation() as server:
        judge = backend(server, think="high")
        replies = judge.generate([request(), request("Another answer.")])
        [warning] = judge.check()
    assert ["think" in chat for chat in server.chats] == [True, False, False]
    assert [reply.text for reply in replies] == ["85", "85"]
    note = '`think` was refused by the server and left out: "llama3" does not support thinking'
    assert [reply.notes for reply in replies] == [(note,), (note,)]
    assert (warning.severity, warning.message) == (
        "warning",
        "'llama3' cannot think: `think: high` will be left out",
    )


# --- log-probabilities ---


def test_log_probabilities_with_their_alternatives():
    with emulation("The grade: 85") as server:
        [reply] = backend(server).generate([request(top_logprobs=3)])
        [plain] = backend(server).generate([request()])
    assert "".join(token.text for token in reply.tokens) == "The grade: 85"
    assert [[round(math.exp(p), 3) for _, p in token.top] for token in reply.tokens] == [[0.5, 0.25, 0.125]] * 3
    assert reply.tokens[-1].top[0] == (" 85", reply.tokens[-1].logprob)
    assert plain.tokens == ()
    assert "logprobs" not in server.chats[1]


@each({"think": True}, {})
def test_log_probabilities_are_those_of_the_answer_and_not_of_the_thoughts(thinks):
    spoken = Spoken("Score: 85", thinking="Let me see. 7 or 85?")
    with emulation(lambda *_: spoken, thinks=True, stubborn=not thinks) as server:
        [reply] = backend(server, **thinks).generate([request(top_logprobs=2)])
    assert "".join(token.text for token in reply.tokens) == "Score: 85"


@each({"version": "0.12.10"}, {"drops": ["logprobs"]})
def test_a_server_without_log_probabilities_stops_the_run_and_says_why(settings):
    with emulation(**settings) as server, pytest.raises(BackendError, match=r"from 0\.12\.11 on, this is 0") as caught:
        backend(server).generate([request(top_logprobs=5)])
    assert server.version in caught.value.message
    assert "'llama3'" in caught.value.message


# --- errors about one prompt ---


@each(
    (Answer({"error": "Content violates usage guidelines"}, 403), "refused"),
    (Answer("<html><body>Blocked</body></html>", 403), "refused"),
    (Answer({"error": "Content Exists Risk"}, 400), "refused"),
    (Answer({"error": "Content Exists Risk"}, 200), "refused"),
    (Answer({"error": "model output limit was reached"}, 400), "truncated"),
)
def test_an_error_about_one_prompt_is_a_reply(answer, status):
    with emulation(faults=[answer]) as server:
        assert backend(server).generate([request()])[0].status == status


def test_a_busy_server_is_asked_again_whatever_the_status():
    with emulation(faults=[Answer({"error": "overloaded"}, 200)]) as server:
        assert backend(server, retries=1).generate([request()])[0].text == "85"


def test_a_key_that_never_worked_is_refused_and_one_prompt_is_not():
    no = Answer({"error": "forbidden"}, 403)
    with emulation(faults=[no, no]) as server, pytest.raises(AuthError, match="forbidden"):
        backend(server).generate([request()])
    with emulation(faults=[no]) as server:
        judge = backend(server)
        with pytest.raises(CallError, match="forbidden"):
            judge.generate([request()])
        assert judge.generate([request()])[0].text == "85"


def test_finish_reasons_are_an_option_and_part_of_who_judges_only_if_given():
    with emulation() as server:
        assert "finish_reasons" not in backend(server).identity()
        assert backend(server, finish_reasons={"halted": "stop"}).identity()["finish_reasons"] == {"halted": "stop"}
