"""The emulation, asked by the official client and by ours, with a script and with a real model behind it."""

import hashlib
import json
import math

import ollama
import pytest

from json_server import Answer
from judgekit import Message, Request, Sampling
from judgekit_ollama.backend import OllamaBackend, OllamaOptions
from ollama_emulation import OPTIONS, Llama, OllamaEmulation, Script, Spoken
from real_model import llama_url
from tables import each

MESSAGES = [{"role": "user", "content": "Name a colour."}]
SCHEMA = {"enum": ["yes", "no"]}


@pytest.fixture
def scripted():
    with OllamaEmulation(Script("85")) as server:
        yield server


@pytest.fixture(scope="session")
def real():
    with OllamaEmulation(Llama(llama_url())) as server:
        yield server


def test_the_official_client_reads_chats_streams_and_models(scripted):
    answer = ollama.Client(scripted.url).chat("llama3", MESSAGES, options={"temperature": 0, "num_ctx": 512})
    assert answer.message.content == "85"
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (7, 1)
    assert answer.total_duration == 2_000_000
    parts = list(ollama.Client(scripted.url).chat("llama3", MESSAGES, stream=True))
    assert "".join(part.message.content for part in parts) == "85"
    assert [part.done for part in parts] == [False, True]
    client = ollama.Client(scripted.url)
    [model] = client.list().models
    assert model.model == "llama3:latest"
    assert model.digest == hashlib.sha256(b"llama3:latest").hexdigest()
    assert client.show("llama3").modelinfo["llama.context_length"] == 8192
    assert client.show("llama3").capabilities == ["completion"]
    assert client.chat("llama3", []).done_reason == "load"
    assert client.chat("llama3", [], keep_alive=0).done_reason == "unload"
    answer = client.chat("llama3", MESSAGES, logprobs=True, top_logprobs=3)
    [token] = answer.logprobs
    assert (token.token, round(token.logprob, 4)) == ("85", -0.6931)
    assert [other.token for other in token.top_logprobs] == ["85", "other1", "other2"]
    assert client.chat("llama3", MESSAGES).logprobs is None
    *_, streamed, _ = client.chat("llama3", MESSAGES, logprobs=True, top_logprobs=3, stream=True)
    assert streamed.logprobs == answer.logprobs
    with pytest.raises(ollama.ResponseError, match="between 0 and 20") as caught:
        ollama.Client(scripted.url).chat("llama3", MESSAGES, logprobs=True, top_logprobs=21)
    assert caught.value.status_code == 400


def test_the_official_client_reads_thoughts_and_a_busy_server():
    with OllamaEmulation(Script(lambda *_: Spoken("85", thinking="so")), thinks=True) as server:
        answer = ollama.Client(server.url).chat("llama3", MESSAGES, think=True)
    assert answer.message.thinking == "so"
    busy = Answer({"error": "server busy, please try again"}, 503)
    with OllamaEmulation(Script("85"), faults=[busy]) as server, pytest.raises(ollama.ResponseError) as caught:
        ollama.Client(server.url).chat("llama3", MESSAGES)
    assert caught.value.status_code == 503
    newer = {"min_p", "draft_num_predict"}
    assert set(ollama.Options.model_fields) >= OPTIONS - newer


@each(
    (lambda client: client.chat("absent", MESSAGES), 404, "model 'absent' not found"),
    (lambda client: client.show("absent"), 404, "model 'absent' not found"),
    (lambda client: client.chat("llama3", MESSAGES, think=True), 400, '"llama3" does not support thinking'),
)
def test_the_official_client_reads_errors(ask, status, words, scripted):
    with pytest.raises(ollama.ResponseError) as caught:
        ask(ollama.Client(scripted.url))
    assert (caught.value.status_code, caught.value.error) == (status, words)


@each(("0.12.3", 64), ("0.29.0", 64), ("0.30.9", 34), ("0.33.0", 34))
def test_the_emulation_cuts_as_ollama_does_unless_told_not_to(version, read):
    long = [{"role": "user", "content": "word " * 100}]
    with OllamaEmulation(Script("85"), version=version) as server:
        assert ollama.Client(server.url).chat("llama3", long, options={"num_ctx": 64}).prompt_eval_count == read


# --- a real model ---


def ask(server, text="Name a colour.", max_new_tokens=6, num_ctx=1024, **fields):
    sampling = Sampling(temperature=0.0, seed=1, max_new_tokens=max_new_tokens)
    request = Request(messages=(Message(role="user", content=text),), sampling=sampling, **fields)
    judge = OllamaBackend(OllamaOptions(model="llama3", host=server.url, num_ctx=num_ctx))
    [reply] = judge.generate([request])
    return reply


def test_the_official_client_and_ours_get_the_same_answer(real):
    options = {"temperature": 0, "seed": 1, "num_predict": 6, "num_ctx": 1024}
    official = ollama.Client(real.url).chat("llama3", MESSAGES, options=options)
    ours = ask(real)
    assert ours.text == official.message.content
    assert ours.text
    assert ours.usage.prompt_tokens == official.prompt_eval_count
    assert ours.status == {"length": "truncated", "stop": "complete"}[official.done_reason]


def test_a_real_model_keeps_to_schema_and_context(real):
    reply = ask(real, "Is it good?", max_new_tokens=8, json_schema=SCHEMA)
    assert reply.status == "complete"
    assert json.loads(reply.text) in ("yes", "no")
    # What cut_prompt rests on: no whole prompt is ever taken for a cut one.
    text = "Grade (0-100), s'il vous plaît:  naïve   sesquipedalian\n\n한국어 문장 하나 東京都 🙂 x=1;y=2 a b c"
    assert ask(real, text, max_new_tokens=1).detail == "cut at the token limit"
    reply = ask(real, "word " * 200, num_ctx=128)
    assert (reply.status, reply.text) == ("truncated", "")


def test_a_real_prompt_that_a_gateway_lets_be_cut_is_truncated():
    """SmolLM2's own count of what was left of the prompt, against the words that were sent."""
    with OllamaEmulation(Llama(llama_url()), drops=["truncate", "shift"]) as server:
        reply = ask(server, "Rubric: be strict. " + "The answer says that water is wet. " * 40, num_ctx=128)
        whole = ask(server, "Rubric: be strict. " + "The answer says that water is wet. ", num_ctx=128)
    assert (reply.status, reply.usage.prompt_tokens) == ("truncated", 66)
    assert "so it was cut" in reply.detail
    assert "so it was cut" not in whole.detail


def test_a_real_models_log_probabilities_are_those_that_the_official_client_gets(real):
    reply = ask(real, max_new_tokens=3, top_logprobs=20)
    options = {"temperature": 0, "seed": 1, "num_predict": 3, "num_ctx": 1024}
    official = ollama.Client(real.url).chat("llama3", MESSAGES, options=options, logprobs=True, top_logprobs=20)
    assert [(token.text, token.logprob) for token in reply.tokens] == [(e.token, e.logprob) for e in official.logprobs]
    assert "".join(token.text for token in reply.tokens) == reply.text
    for token in reply.tokens:
        assert token.top[0] == (token.text, token.logprob)  # at temperature 0 the likeliest is chosen
        assert 0.3 < math.fsum(math.exp(logprob) for _, logprob in token.top) <= 1.0 + 1e-6
        assert len({text for text, _ in token.top}) == 20
