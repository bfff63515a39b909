"""The checks of `judgekit doctor --live`, each on a backend that does not do what a run takes for granted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from judgekit.cli import execute
from judgekit.contracts import Backend, Options
from judgekit.errors import BackendError, CallError, ModelNotFound
from judgekit.records import Continuation, Reply, Request, Token, Usage
from judgekit.testing import Parrot, Transcript, check_live
from judgekit.testing.live_checks import MOST_CALLS, most_tokens
from ollama_emulation import OllamaEmulation, Script
from openai_fake import OpenAIFake, completion, failure

CONTEXT = 100


class Named(Options):
    model: str = "good"


class Sound(Backend):
    """A backend of a third party that does all: it knows no hook of the live checks."""

    Options = Named
    options: Named
    capabilities = frozenset({"generate", "chat", "logprobs", "schema", "seed", "loglikelihood"})
    asked = 0

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        if self.options.model != "good":
            raise ModelNotFound(f"no model {self.options.model}")
        self.asked += 1
        return [self.answer(request) for request in requests]

    def answer(self, request: Request) -> Reply:
        words, sampling = request.messages[-1].content.split(), request.sampling
        usage = Usage(prompt_tokens=len(words), completion_tokens=min(4, sampling.max_new_tokens or 4))
        if len(words) > CONTEXT:
            return Reply(status="truncated", detail="the prompt does not fit")
        if sampling.max_new_tokens == 4 and not request.top_logprobs:
            return Reply(text="one two", status="truncated", detail="cut at the token limit", usage=usage)
        if request.json_schema:
            return Reply(text='{"colour": "blue", "score": 7}', usage=usage)
        if "lock" in words:
            return Reply(status="refused", detail="no")
        tokens = (Token(text="yes", logprob=-0.1, top=(("yes", -0.1), ("no", -3.0))),) if request.top_logprobs else ()
        text = "1, 2, 3, 4, " if sampling.stop else "yes" if tokens else f"Yes {sampling.seed}"
        return Reply(text=text, tokens=tokens, usage=usage)

    def loglikelihood(self, requests: Sequence[Request]) -> list[Reply]:
        return [
            Reply(continuations=tuple(Continuation(token_logprobs=(-1.0,)) for _ in one.continuations))
            for one in requests
        ]


def findings(backend: Backend, context: int | None = CONTEXT) -> dict[str, Any]:
    found = list(check_live(backend, context))
    assert len({one.what for one in found}) == len(found)
    return {one.what: one for one in found}


def test_a_sound_backend_of_a_third_party_holds_in_all() -> None:
    backend = Sound()
    found = findings(backend)
    assert {one.holds for one in found.values()} == {True}, found
    assert len(found) == 14
    assert backend.asked <= 12


SEEDS = itertools.count()


def changed(**fields: Any) -> Callable[[Request, Reply], Reply]:
    return lambda request, reply: reply.model_copy(update=fields)


def uncut(request: Request, reply: Reply) -> Reply:
    return changed(status="complete", detail="", text=reply.text or "Yes.")(request, reply)


def raising(when: Callable[[Request], bool], error: Exception) -> Callable[[Request, Reply], Reply]:
    def answer(request: Request, reply: Reply) -> Reply:
        if when(request):
            raise error
        return reply

    return answer


def long(request: Request) -> bool:
    return len(request.prompt) > 300


def only(
    when: Callable[[Request], bool], change: Callable[[Request, Reply], Reply]
) -> Callable[[Request, Reply], Reply]:
    return lambda request, reply: change(request, reply) if when(request) else reply


def tokens(logprob: float, *tops: float, text: str = "yes") -> tuple[Token, ...]:
    named = tuple((name, top) for name, top in zip(("yes", "no", "maybe"), tops, strict=False))
    return (Token(text=text, logprob=logprob, top=named),)


ODD = [
    ("a whole reply", False, changed(status="truncated", text="and on and on")),
    ("a whole reply", False, changed(text="")),
    ("a whole reply", False, raising(lambda request: True, CallError("finish_reason 'eos'"))),
    ("a whole reply", False, raising(lambda request: True, BackendError("down"))),
    ("a reply cut at its limit", False, only(lambda request: request.sampling.max_new_tokens == 4, uncut)),
    (
        "a reply cut at its limit",
        None,
        only(
            lambda request: request.sampling.max_new_tokens == 4,
            changed(status="complete", usage=Usage(prompt_tokens=3, completion_tokens=1)),
        ),
    ),
    ("stop texts", None, only(lambda request: bool(request.sampling.stop), changed(text="1, 2, 3, 4, 5, 6"))),
    ("system message, turns", None, raising(lambda request: len(request.messages) > 1, CallError("no system role"))),
    ("JSON schema", None, only(lambda request: request.json_schema is not None, changed(text="Blue, and 7."))),
    (
        "JSON schema",
        None,
        only(lambda request: request.json_schema is not None, changed(text='{"colour": "red", "score": 7}')),
    ),
    ("seeds", None, lambda request, reply: reply.model_copy(update={"text": reply.text + str(next(SEEDS))})),
    ("seeds", None, changed(text="yes")),
    ("log-probabilities", None, changed(tokens=())),
    ("log-probabilities", None, raising(lambda request: request.top_logprobs > 0, BackendError("gives none"))),
    (
        "log-probabilities",
        False,
        only(lambda request: request.top_logprobs > 0, changed(tokens=tokens(-0.1, -0.1, -0.1))),
    ),
    (
        "log-probabilities",
        False,
        only(lambda request: request.top_logprobs > 0, changed(tokens=tokens(0.5, -1.0, -3.0))),
    ),
    (
        "log-probabilities",
        None,
        only(lambda request: request.top_logprobs > 0, changed(tokens=tokens(-3.0, -0.1, -3.0))),
    ),
    ("log-probabilities", None, only(lambda request: request.top_logprobs > 0, changed(tokens=tokens(-0.1, -0.1)))),
    (
        "log-probabilities",
        None,
        only(lambda request: request.top_logprobs > 0, changed(tokens=tokens(-0.1, -0.1, -3.0, text="<think>"))),
    ),
    ("a prompt that is too long", False, only(long, changed(status="complete", text="Yes.", detail=""))),
    (
        "a prompt that is too long",
        False,
        only(long, changed(status="complete", text="Yes.", usage=Usage(prompt_tokens=90))),
    ),
    ("a prompt that is too long", False, only(long, changed(text="Yes", detail="cut at the token limit"))),
    ("a prompt that is too long", None, only(long, changed(status="complete", usage=Usage(prompt_tokens=400)))),
    ("a prompt that is too long", None, raising(long, CallError("HTTP 400"))),
    ("a prompt that is too long", False, raising(long, BackendError("HTTP 404"))),
    ("a refusal", None, only(lambda request: "lock" in request.prompt, changed(status="complete", text="Sorry."))),
    ("a refusal", False, raising(lambda request: "lock" in request.prompt, BackendError("the key was refused"))),
    ("usage", None, changed(usage=None)),
    ("thoughts", None, lambda request, reply: reply.model_copy(update={"text": f"<think>hm</think>{reply.text}"})),
    ("notes", None, changed(notes=("temperature was refused by the server and left out",))),
]


@pytest.mark.parametrize(("what", "holds", "change"), ODD, ids=[f"{what}-{at}" for at, (what, _, _) in enumerate(ODD)])
def test_what_does_not_hold_is_told(
    what: str, holds: bool | None, change: Callable[[Request, Reply], Reply], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = Sound.answer
    monkeypatch.setattr(Sound, "answer", lambda self, request: change(request, sound(self, request)))
    backend = Sound()
    found = findings(backend)
    assert found[what].holds is holds, found[what]
    assert backend.asked <= MOST_CALLS


def test_likelihoods_that_are_none_and_a_model_that_nobody_has() -> None:
    class Odd(Sound):
        def generate(self, requests: Sequence[Request]) -> list[Reply]:
            return [self.answer(request) for request in requests]

        def loglikelihood(self, requests: Sequence[Request]) -> list[Reply]:
            return [Reply(continuations=(Continuation(token_logprobs=(0.5,)),) * 2)]

    found = findings(Odd())
    assert found["likelihood of given texts"].holds is False
    assert found["error: no such model"].holds is None


def test_without_a_known_context_no_long_prompt_is_sent() -> None:
    assert findings(Sound(), None)["a prompt that is too long"].holds is None
    assert most_tokens(None)[0] < 5000 < most_tokens(1000)[0] + 3000


def test_a_parrot_of_a_test_is_checked_too() -> None:
    assert findings(Parrot(), None)["a whole reply"].holds is True


def live(*options: str) -> int:
    return execute(["doctor", "--live", *options])


def test_the_command_says_its_price_first_and_asks_nothing_without_a_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with OpenAIFake("yes", models=["m"]) as server:
        sets = ("openai", "--set", "model=m", "--set", f"base_url={server.base_url}")
        assert live(*sets, "--price", "2.5", "10") == 2
        told = capsys.readouterr()
        assert "At most 20 calls" in told.out
        assert "at most $0.06" in told.out
        assert "--yes" in told.err
        assert not server.bodies
        assert live(*sets, "--set", "mode=batch", "--yes") == 2
        assert live("--yes") == 2
        assert not list(tmp_path.iterdir())


def test_a_server_that_cuts_prompts_unseen_is_not_good_for_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It answers every prompt, ends every reply with stop, and says that it read less than it was sent."""
    monkeypatch.chdir(tmp_path)
    with OpenAIFake("yes", models=["m"]) as server:
        sets = ("openai", "--set", "model=m", "--set", f"base_url={server.base_url}", "--context", "500", "--yes")
        assert live(*sets) == 4
    out = capsys.readouterr().out
    assert "BAD" in out
    assert "judgekit needs and does not find: a prompt that is too long" in out
    assert len(Transcript.read(tmp_path / "live-openai.jsonl").told("finding")) > 10


@pytest.mark.parametrize("version", ["0.33.0", "0.3.0"])
def test_an_ollama_that_cuts_is_seen_by_what_it_counts(tmp_path: Path, version: str) -> None:
    with OllamaEmulation(Script("yes"), models=("m:latest",), version=version) as server:
        sets = ("ollama", "--set", "model=m", "--set", f"host={server.url}", "--set", "num_ctx=64", "--yes")
        assert live(*sets, "--transcript", str(tmp_path / "t.jsonl")) == 0
    found = {what: holds for what, holds, _, _ in Transcript.read(tmp_path / "t.jsonl").told("finding")}
    assert found["a prompt that is too long"] is True
    assert found["version"] is (True if version == "0.33.0" else None)


@pytest.mark.parametrize("status", [401, 500])
def test_a_server_that_fails_is_asked_at_most_twenty_times(tmp_path: Path, status: int) -> None:
    with OpenAIFake(lambda body: failure(status, "no", headers={"retry-after-ms": "1"}), models=["m"]) as server:
        sets = ("openai", "--set", "model=m", "--set", f"base_url={server.base_url}", "--yes")
        assert live(*sets, "--transcript", str(tmp_path / "t.jsonl")) == 4
        assert 1 <= len([call for call in server.calls if call.method == "POST"]) <= MOST_CALLS


def test_a_long_prompt_is_sent_once_whatever_becomes_of_it(tmp_path: Path) -> None:
    def busy(body: dict[str, Any]) -> Any:
        if len(body["messages"][-1]["content"]) > 5000:
            return failure(503, "busy", headers={"retry-after-ms": "1"})
        return completion("yes")

    with OpenAIFake(busy, models=["m"]) as server:
        sets = ("openai", "--set", "model=m", "--set", f"base_url={server.base_url}", "--yes", "--context", "4000")
        live(*sets, "--transcript", str(tmp_path / "t.jsonl"))
        assert len([body for body in server.bodies if len(body["messages"][-1]["content"]) > 5000]) == 1
    found = {what: (holds, why) for what, holds, why, _ in Transcript.read(tmp_path / "t.jsonl").told("finding")}
    assert found["a prompt that is too long"][0] is None
    assert "once" in found["a prompt that is too long"][1]


def test_a_transcript_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with OpenAIFake("yes", models=["m"]) as server:
        sets = ("openai", "--set", "model=m", "--set", f"base_url={server.base_url}", "--yes")
        assert live(*sets, "--transcript", str(tmp_path / "file" / "t.jsonl")) == 6
        assert not server.bodies


def test_a_server_that_is_down_is_told_and_the_transcript_is_written(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    sets = ("openai", "--set", "model=m", "--set", "base_url=http://127.0.0.1:9/v1", "--yes")
    assert live(*sets, "--transcript", str(file)) == 4
    assert [what for what, *_ in Transcript.read(file).told("finding")] == ["preflight"]


def test_a_model_that_thinks_is_told_by_its_field(tmp_path: Path) -> None:
    with OpenAIFake(lambda body: completion("yes", reasoning="Hm."), models=["m"]) as server:
        sets = ("openai", "--set", "model=m", "--set", f"base_url={server.base_url}", "--yes")
        live(*sets, "--transcript", str(tmp_path / "t.jsonl"))
    lines = {what: found for what, _, found, _ in Transcript.read(tmp_path / "t.jsonl").told("finding")}
    assert "field" in lines["thoughts"]
