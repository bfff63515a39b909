"""What becomes of an answer: cut prompts, thoughts, log-probabilities."""

import math

import pytest

from json_server import Answer, JsonServer
from judgekit import BackendError, Message, Request
from ollama_emulation import Spoken
from ollama_judge import backend, emulation, request, said_after
from tables import each

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


def test_the_tokens_of_a_cut_prompts_reply_are_not_handed_out():
    """Some judge prompts are read by the probabilities of a reply that was cut at its token limit."""
    with emulation(drops=["truncate"]) as server:
        [reply] = backend(server, num_ctx=64).generate([request("word " * 100, top_logprobs=2)])
    assert (reply.status, reply.tokens) == ("truncated", ())


def test_a_prompt_that_the_server_had_in_its_cache_is_not_taken_for_a_cut_one():
    """0.30.0 counts only what it had to read anew: here the last of eleven words."""
    texts = [f"the same long rubric for every one of them, {name}" for name in ("a", "b", "c")]
    with emulation(version="0.30.0") as server:
        replies = backend(server).generate([request(text) for text in texts])
    assert [reply.usage.prompt_tokens for reply in replies] == [14, 5, 5]
    assert [reply.status for reply in replies] == ["complete"] * 3


def test_a_context_that_the_model_does_not_have_is_not_waited_for():
    """num_ctx is more than the model's context: the server uses the less, and a prompt that fills it was cut."""
    with emulation(lambda *_: Spoken("85"), context_length=64) as server:
        judge = backend(server, num_ctx=4096)
        [warning] = judge.check()
        server.faults.append(Answer(said_after(64)))
        [reply] = judge.generate([request("supercalifragilistic" * 40)])
    assert warning.severity == "warning"
    assert warning.message == "num_ctx is 4096, but 'llama3' has a context of 64 tokens: set num_ctx to 64 or less"
    assert reply.status == "truncated"


def test_a_suspicion_stands_where_the_server_will_not_tell_its_version():
    def respond(call):
        return Answer(said_after(3)) if call.path == "/api/chat" else Answer("404 page not found", 404)

    with JsonServer(respond) as server:
        [reply] = backend(server).generate([request("one two three four five")])
    assert (reply.status, reply.detail[:22]) == ("truncated", "the server read 3 toke")


# --- thinking ---


def test_thoughts_on_request():
    with emulation(lambda *_: Spoken("85", thinking="It names the capital."), thinks=True) as server:
        judge = backend(server, think=True)
        assert judge.generate([request()])[0].reasoning == "It names the capital."
        assert backend(server).generate([request()])[0].reasoning == ""


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


def test_a_refusal_of_think_false_is_no_dead_end_either():
    refusal = Answer({"error": 'think value "false" is not supported for this model'}, 400)
    with emulation(faults=[refusal]) as server:
        [reply] = backend(server).generate([request()])
    assert reply.text == "85"
    assert reply.notes == (f"`think` was refused by the server and left out: {refusal.body['error']}",)


def test_a_model_that_cannot_turn_its_thinking_off_is_noted():
    with emulation(lambda *_: Spoken("85", thinking="hm"), thinks=True, stubborn=True) as server:
        [reply] = backend(server).generate([request()])
    assert (reply.text, reply.reasoning) == ("85", "hm")
    assert reply.notes == ("the model thought although `think` is false: it cannot turn its thinking off",)


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
