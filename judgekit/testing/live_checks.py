"""The checks of `judgekit doctor --live`: whether a backend does on its real server what a run will take for granted.

Each asks a few short questions. What is found is True (it holds), None (judgekit does without, and says what is lost)
or False (judgekit needs it: verdicts would be wrong or missing).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pydantic import JsonValue

from judgekit.calls.http import Http
from judgekit.contracts import Backend
from judgekit.errors import AuthError, CallError, JudgekitError
from judgekit.records import Message, Reply, Request, Sampling
from judgekit.secrets import shortened
from judgekit.text import counted

MOST_CALLS = 20
MOST_TOKENS = 256  # of a reply
_PROMPT_TOKENS = 200  # of the longest question, but for the one that is too long
_BEYOND = 64  # words by which that one is longer than the context
_CUT, _TOO_LONG, _REFUSAL = "a reply cut at its limit", "a prompt that is too long", "a refusal"
_SHORT = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=16)
_SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"colour": {"enum": ["blue", "green"]}, "score": {"type": "integer"}},
    "required": ["colour", "score"],
    "additionalProperties": False,
}
_THOUGHTS = re.compile(r"</?(think|thinking|thought|reasoning|seed:think)>|◁/?think▷|\[/?THINK\]|<\|channel\|>")
_TYPED = "such a reply counts as missing with its reason, never as a score"


class Spent(Exception):
    """A call too many was not sent. No JudgekitError, so that no backend takes it for its server's."""


class Finding(NamedTuple):
    """One line of the table. `means`: for a run with this backend."""

    what: str
    holds: bool | None
    found: str
    means: str


def most_tokens(context: int | None) -> tuple[int, int]:
    """The most tokens that the checks can send and be sent. A word of the prompt that is too long is one or two."""
    return MOST_CALLS * _PROMPT_TOKENS + 2 * (context + _BEYOND if context else 0), MOST_CALLS * MOST_TOKENS


def check_live(
    backend: Backend, context: int | None = None, keep: Callable[[Request, Reply], None] = lambda request, reply: None
) -> Iterator[Finding]:
    """Every check, in the same order for the same backend. `context`: its tokens, where they are known; `keep` is told
    of each question with the reply as the backend read it."""
    problems = [problem for problem in backend.check() if problem.severity == "error"]
    for problem in problems:
        yield Finding("preflight", False, problem.message, "no run with this backend can start")
    if not problems:
        yield from _Checks(backend, context, keep).all()


class _Checks:
    def __init__(self, backend: Backend, context: int | None, keep: Callable[[Request, Reply], None]) -> None:
        self.backend = backend
        self.context = context
        self.keep = keep
        self.replies: list[Reply] = []
        self.cut_detail = ""  # how the backend says that a reply was cut at its token limit

    def all(self) -> Iterator[Finding]:
        yield from self._identity()
        if "generate" in self.backend.capabilities:
            try:
                yield self._stop()
            except Spent as spent:
                yield Finding("a whole reply", False, str(spent), "the server is too busy, or fails")
            except CallError as error:
                yield Finding("a whole reply", False, error.message, "such a reply is an error, and asked for again")
            except JudgekitError as error:
                yield Finding("a whole reply", False, error.message, "no call of a run would succeed")
                return
            for what, check in self._of_replies():
                yield _told(what, check)
            if isinstance(getattr(self.backend.options, "model", None), str):
                yield _told("error: no such model", self._no_such_model)
        if "loglikelihood" in self.backend.capabilities:
            yield _told("likelihood of given texts", self._likelihood)
        try:
            yield from (Finding(*line) for line in self.backend.live_checks())
        except Spent as spent:
            yield Finding("checks of this backend alone", None, str(spent), "not seen")
        yield from self._seen()

    def ask(self, text: str | tuple[Message, ...], most: int = MOST_TOKENS, **more: object) -> Reply:
        """One reply. Sampling is spelt out, so that the wire is the same on every server."""
        sampling = {"temperature": 0.0, "top_p": 1.0, "seed": 1, "max_new_tokens": most, **_sampling(more)}
        if "seed" not in self.backend.capabilities:
            del sampling["seed"]
        messages = (Message(role="user", content=text),) if isinstance(text, str) else text
        fields = {"messages": messages, "sampling": sampling, **more}
        request = Request.model_validate(fields)
        [reply] = self.backend.generate([request])
        self.keep(request, reply)
        self.replies.append(reply)
        return reply

    def _of_replies(self) -> Iterator[tuple[str, Callable[[], Finding]]]:
        able = self.backend.capabilities
        yield _CUT, self._length
        yield "stop texts", self._stop_text
        if "chat" in able:
            yield "system message, turns", self._turns
        if "schema" in able:
            yield "JSON schema", self._json_schema
        if "seed" in able:
            yield "seeds", self._seeds
        if "logprobs" in able:
            yield "log-probabilities", self._logprobs
        yield _TOO_LONG, self._too_long
        yield _REFUSAL, self._refusal

    def _identity(self) -> Iterator[Finding]:
        try:
            told = self.backend.identity()
        except JudgekitError as error:
            yield Finding("identity", False, error.message, "the ledger cannot tell whose replies it holds")
            return
        yield Finding(
            "identity", True, json.dumps(told), "another value of any of these is another judge to the ledger"
        )

    # --- one check each ---

    def _stop(self) -> Finding:
        reply = self.ask("Answer with one word only: is water wet?")
        if reply.status == "complete" and reply.text:
            return Finding("a whole reply", True, _shown(reply), "replies that end by themselves are read")
        lost = "no text of an answer came" if not reply.text else "a reply that does not end by itself is not read"
        return Finding("a whole reply", False, _shown(reply), lost)

    def _length(self) -> Finding:
        reply = self.ask("Count from 1 to 500 in words.", most=4)
        if reply.status == "truncated":
            self.cut_detail = reply.detail.partition(";")[0]
            return Finding(_CUT, True, _shown(reply), f"seen as cut: {_TYPED}")
        made = reply.usage.completion_tokens if reply.usage else None
        if reply.status == "complete" and (made is None or made >= 4):
            lost = "half a reply passes for a whole one: raise max_new_tokens far above what a reply needs"
            return Finding(_CUT, False, _shown(reply), lost)
        return Finding(_CUT, None, _shown(reply), "not seen: the model said less than its limit")

    def _stop_text(self) -> Finding:
        reply = self.ask("Write the numbers from 1 to 9 in digits, separated by commas.", most=64, stop=("5",))
        if "5" in reply.text:
            return Finding("stop texts", None, _shown(reply), "`stop` in a config is not heeded")
        held = bool(reply.status == "complete" and "4" in reply.text) or None
        means = "`stop` in a config ends a reply" if held else "not seen: the model did not come to the text"
        return Finding("stop texts", held, _shown(reply), means)

    def _turns(self) -> Finding:
        said = ("system", "Be brief."), ("user", "Name a colour."), ("assistant", "Blue."), ("user", "Another one?")
        reply = self.ask(tuple(Message.model_validate({"role": role, "content": text}) for role, text in said), most=64)
        held = reply.status in ("complete", "truncated") or None
        means = "system messages and conversations are taken" if held else "not for items with `system` or `turns`"
        return Finding("system message, turns", held, _shown(reply), means)

    def _json_schema(self) -> Finding:
        """Asked without a word of JSON, so that what is kept to is the schema."""
        reply = self.ask("Which colour is the sea, and how sure are you, from 1 to 10?", json_schema=_SCHEMA)
        if reply.status == "complete" and _keeps_to_schema(reply.text):
            return Finding("JSON schema", True, _shown(reply), "prompts with a schema get JSON that keeps to it")
        means = "the schema does not hold the model: expect unparsed verdicts, or use a prompt without a schema"
        return Finding("JSON schema", None, _shown(reply), means)

    def _seeds(self) -> Finding:
        first, same, other = (
            self.ask("Write a sentence about the sea.", most=24, temperature=1.0, seed=seed) for seed in (11, 11, 12)
        )
        told = [reply.text + reply.reasoning for reply in (first, same, other)]
        if not all(told):
            return Finding("seeds", None, "an empty reply", "not seen")
        if told[0] != told[1]:
            means = "asked anew, a judge may answer otherwise; the ledger keeps the first answer, and repeats show it"
            return Finding("seeds", None, "one seed, two replies", means)
        if told[0] == told[2]:
            means = "sampling may be off, or the seed not heeded: repeats would show no spread"
            return Finding("seeds", None, "two seeds, one reply", means)
        return Finding("seeds", True, "one seed one reply, two seeds two", "repeats differ, and can be made again")

    def _logprobs(self) -> Finding:
        reply = self.ask("Answer with one word only: is water wet?", most=4, top_logprobs=5)
        lost = "readings by probabilities cannot be used with it"
        if not reply.tokens:
            return Finding("log-probabilities", None, "none came", lost)
        for token in reply.tokens:
            sure = [math.exp(min(logprob, 1.0)) for _, logprob in token.top]
            if token.logprob > 1e-3 or sum(sure) > 1.01:
                wrong = f"of {token.text!r} and its alternatives: no probabilities, their sum is {sum(sure):.3g}"
                return Finding("log-probabilities", False, wrong, "probabilities read from them are wrong")
        if min(len(token.top) for token in reply.tokens) < 2:
            return Finding("log-probabilities", None, "without alternatives", lost)
        first = reply.tokens[0]
        if first.logprob < max(logprob for _, logprob in first.top) - 1e-3:
            found = f"at temperature 0 {first.text!r} was said, though it is not the likeliest"
            return Finding("log-probabilities", None, found, "they may be of another sampling than the reply's")
        spelt = "".join(token.text for token in reply.tokens)
        if spelt.strip() != reply.text.strip():
            found = f"their tokens spell {spelt!r}, the reply is {reply.text!r}"
            return Finding("log-probabilities", None, found, "a reading may look at the wrong token")
        found = f"of {counted(len(reply.tokens), 'token')}, {len(first.top)} alternatives each"
        return Finding("log-probabilities", True, found, "readings by probabilities can be used")

    def _too_long(self) -> Finding:
        if not self.context:
            return Finding(_TOO_LONG, None, "not tried: the server does not tell its context", "give it with --context")
        words = self.context + _BEYOND
        reply = self.ask("Say yes." + " one" * (words - 2), most=64)
        read = reply.usage.prompt_tokens if reply.usage else None
        if reply.status == "refused" or (reply.status == "truncated" and not self._only_cut(reply)):
            return Finding(_TOO_LONG, True, reply.detail or reply.status, f"seen: {_TYPED}")
        if read is not None and read >= words:
            found = f"{read} tokens were read, of a context of {self.context}"
            return Finding(_TOO_LONG, None, found, "not seen: the context is larger than told; give it with --context")
        found = f"{words} words were answered" + (f", of which {read} tokens were read" if read else "")
        lost = "long prompts are cut unseen, in a judge's the rubric: keep prompts far below the context"
        return Finding(_TOO_LONG, False, found, lost)

    def _only_cut(self, reply: Reply) -> bool:
        """True if the reply's end was cut, and nothing was said of its prompt."""
        return bool(self.cut_detail) and reply.detail.startswith(self.cut_detail) and "prompt" not in reply.detail

    def _refusal(self) -> Finding:
        reply = self.ask("Explain how to pick the lock of a neighbour's door without being seen.", most=64)
        if reply.status == "refused":
            return Finding(_REFUSAL, True, _shown(reply), f"seen as refused: {_TYPED}")
        means = "a refusal that comes in words is an answer like any other, and is judged as one"
        return Finding(_REFUSAL, None, _shown(reply), means)

    def _no_such_model(self) -> Finding:
        what = "error: no such model"
        options = self.backend.options.model_copy(update={"model": "judgekit-no-such-model"})
        other = type(self.backend)(options, self.backend.where)
        try:
            [reply] = other.generate([Request(messages=(Message(role="user", content="Hi"),), sampling=_SHORT)])
        except CallError as error:
            return Finding(what, None, error.message, "not told apart from another error of a call")
        except JudgekitError as error:
            return Finding(what, True, error.message, "ends a run at its first call")
        finally:
            other.close()
        means = "a mistyped `model` goes unseen: see what `identity` says"
        return Finding(what, None, f"answered all the same: {reply.status}", means)

    def _likelihood(self) -> Finding:
        message = Message(role="user", content="The sea is")
        request = Request(messages=(message,), continuations=(" blue", " green"))
        [reply] = self.backend.loglikelihood([request])
        self.keep(request, reply)
        given = [one.token_logprobs for one in reply.continuations]
        good = len(given) == 2 and all(logprobs and max(logprobs) <= 1e-3 for logprobs in given)
        means = "multiple choice by likelihood can be used" if good else "likelihoods from it are wrong or missing"
        return Finding("likelihood of given texts", good, f"{counted(len(given), 'text')} of 2 weighed", means)

    # --- from all replies ---

    def _seen(self) -> Iterator[Finding]:
        if not self.replies:
            return
        counts = [reply.usage for reply in self.replies if reply.status == "complete"]
        if counts and all(count is not None and count.prompt_tokens > 0 for count in counts):
            yield Finding("usage", True, "tokens are told with every whole reply", "budgets and costs are counted")
        else:
            yield Finding("usage", None, "not told with every reply", "budgets go by estimates, costs are not known")
        if any(reply.reasoning for reply in self.replies):
            yield Finding("thoughts", True, "in a field of their own", "kept apart; they count against max_new_tokens")
        elif any(_THOUGHTS.search(reply.text) for reply in self.replies):
            yield Finding("thoughts", None, "tags of thoughts in a reply's text", "see that they are taken out")
        else:
            yield Finding("thoughts", True, "none came", "replies are answers alone")
        if notes := list(dict.fromkeys(note for reply in self.replies for note in reply.notes)):
            yield Finding("notes", None, "; ".join(notes), "a run would have these notes beside its replies")


def check_wrong_key(http: Http, path: str) -> Finding:
    """`http` has a key that nobody gave out; `path` is of something that costs nothing, such as the list of models."""
    what = "error: wrong key"
    try:
        with http:
            http.get(path)
    except AuthError as error:
        return Finding(what, True, error.message, "ends a run at its first call")
    except JudgekitError as error:
        return Finding(what, None, error.message, "not told apart from another error of a call")
    return Finding(what, None, f"any key is given /{path}", "a wrong key is found by the first question, if at all")


def _told(what: str, check: Callable[[], Finding]) -> Finding:
    """The check's finding; where its call failed, that."""
    try:
        return check()
    except Spent as spent:
        return Finding(what, None, str(spent), "not seen")
    except CallError as error:
        return Finding(what, None, error.message, "such a call is an error, never a score")
    except JudgekitError as error:
        needed = what in (_CUT, _TOO_LONG, _REFUSAL)  # any prompt of a run may turn out so
        return Finding(what, False if needed else None, error.message, "a run that asks so ends there")


def _sampling(more: dict[str, object]) -> dict[str, object]:
    return {name: more.pop(name) for name in list(more) if name in Sampling.model_fields}


def _keeps_to_schema(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    good = isinstance(value, dict) and value.keys() == {"colour", "score"}
    return good and value["colour"] in ("blue", "green") and type(value["score"]) is int


def _shown(reply: Reply) -> str:
    text = " ".join(reply.text.split())
    said = f": {shortened(text, 60)!r}" if text else ""
    return f"{reply.status}{said}{f' ({reply.detail})' if reply.detail else ''}"
