"""The backend `ollama`: a model on an Ollama server.

The identity holds the model's digest and the server's version, so the server must be up even for a run that the
ledger answers whole: without the digest nobody knows whether those answers are still this model's.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator

from judgekit import (
    AuthError,
    Backend,
    BackendError,
    CallError,
    Http,
    HttpStatusError,
    JudgekitError,
    Message,
    Options,
    Problem,
    Reply,
    Request,
    Sampling,
    Secret,
    Unreachable,
    environment_variable,
)
from judgekit_ollama.chat import chat_body, check_option_names, read_reply
from judgekit_ollama.cut import NUM_KEEP, falls_short, fills
from judgekit_ollama.host import DEFAULT, parse_host
from judgekit_ollama.server import Server
from judgekit_ollama.tokens import NoLogprobs
from judgekit_ollama.versions import LOGPROBS, SCHEMA, TRUNCATE, Version, at_least, counts_cached, text
from judgekit_openai import refusals
from judgekit_openai.words import FinishReasons

ADAPTER = 1  # part of the identity; raise it when the same request would be worded differently on the wire
_TOO_LONG = re.compile(r"context (length|size)|exceeds the context|exceed_context|prompt( is)? too long")
_HARMLESS = Request(messages=(Message(role="user", content="Hi"),), sampling=Sampling(max_new_tokens=1))
_HOPELESS = ("does not support", "requires more system memory")  # errors about the model, for any request
_DURATION = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*|[-+]?0")


class OllamaOptions(Options):
    """`host` defaults to OLLAMA_HOST, read by the server's own rules. `deadline` bounds an attempt, in seconds: it
    includes the wait in the server's queue and the loading of the model. `options` are Ollama's own, by name.
    `keep_alive` is a duration such as "10m", or seconds; below 0 the model stays loaded.

    OLLAMA_API_KEY (or the variable that `key_env` names) goes to ollama.com and to the server that OLLAMA_HOST
    names; to a `host` of the config only if `key_env` is given.
    """

    model: str = Field("llama3", min_length=1)
    host: str | None = None
    key_env: Annotated[str, AfterValidator(environment_variable)] | None = None
    num_ctx: int = Field(4096, ge=16)
    keep_alive: str | int = "10m"
    think: bool | Literal["low", "medium", "high", "max"] = False
    deadline: float = Field(600.0, gt=0)
    retries: int = Field(4, ge=0, le=20)
    options: dict[str, JsonValue] = Field(default_factory=dict)
    finish_reasons: FinishReasons = Field(default_factory=dict)

    @field_validator("host")
    @classmethod
    def _is_address(cls, host: str | None) -> str | None:
        if host is not None:
            parse_host(host)
        return host

    @field_validator("keep_alive")
    @classmethod
    def _is_duration(cls, keep_alive: str | int) -> str | int:
        if isinstance(keep_alive, str) and not _DURATION.fullmatch(keep_alive):
            raise ValueError(f'{keep_alive!r} is no duration: write "10m", "1h30m", or a number of seconds')
        return keep_alive

    @field_validator("options")
    @classmethod
    def _are_known(cls, options: dict[str, JsonValue]) -> dict[str, JsonValue]:
        check_option_names(options)
        return options


class OllamaBackend(Backend):
    """Answers by POST /api/chat."""

    Options: ClassVar[type[Options]] = OllamaOptions
    options: OllamaOptions
    capabilities: ClassVar[frozenset[str]] = frozenset({"generate", "chat", "logprobs", "schema", "seed"})

    def __init__(self, options: Any = None, where: Path = Path()) -> None:
        super().__init__(options, where)
        self._server = Server(self.options.host, self.options.key_env, self.options.model)
        self._lock = threading.Lock()
        self._chat: Http | None = None
        self._context = self.options.num_ctx  # tokens; fewer once the model is known to have fewer
        self._think_refused = ""  # the server's words, once it has refused `think`

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._ask(request) for request in requests]

    def identity(self) -> dict[str, JsonValue]:
        """Asked of the server once. Raises BackendError: not running, or without the model."""
        return {"version": self._server.version(), "digest": self._server.digest(), **self._own_identity()}

    def _own_identity(self) -> dict[str, JsonValue]:
        """The part that is known without the server. It holds the address, unless that is Ollama's own default: two
        servers are told apart, though they say that they serve one model."""
        address = Http.address(self._server.address)
        return {
            "adapter": f"ollama/{ADAPTER}",
            **self.options.model_dump(include={"model", "num_ctx", "think", "options"}),
            **({"finish_reasons": {**reasons}} if (reasons := self.options.finish_reasons) else {}),
            **({} if address == Http.address(DEFAULT) else {"server": address}),
        }

    def is_identity(self, known: Mapping[str, JsonValue]) -> bool:
        own = {"server": None, **self._own_identity()}
        if "named" in known:
            del own["server"]
        return {key: known.get(key) for key in own} == own and {"version", "digest"} <= known.keys()

    def check(self) -> list[Problem]:
        """The server runs and has the model; warnings where it cannot do what the config asks."""
        try:
            self.identity()
            words = list(self._warnings())
        except JudgekitError as error:
            return [Problem(severity="error", where="ollama", message=error.message, exit_code=error.exit_code)]
        return [Problem(severity="warning", where="ollama", message=warning) for warning in words]

    def lacks(self, capability: str) -> str:
        """By the server's version; if it does not say, by its first reply."""
        if capability == "logprobs" and at_least(version := self._version(), LOGPROBS) is False:
            since = f"which Ollama gives from {text(LOGPROBS)} on, and this is {version}"
            return f"the prompt is read by log-probabilities, {since}"
        return ""

    def doctor(self) -> Iterable[tuple[str, bool | None, str]]:
        server, model = self._server, self.options.model
        try:
            version = server.version()
        except JudgekitError as error:
            yield "server", False, error.message
            return
        yield "server", True, f"{server.address} answers"
        yield "version", at_least(version, TRUNCATE), _on_version(version)
        try:
            yield "model", True, f"{model}, digest {server.digest()[:12]}"
        except JudgekitError as error:
            yield "model", False, error.message
            return
        yield self._context_line()
        if self.options.think and server.facts().thinks is False:
            yield "thinking", False, f"{model} cannot: `think: {_yaml(self.options.think)}` will be left out"
        yield "JSON schema", *_since(version, SCHEMA)
        yield self._logprobs_line(version)

    def context_length(self) -> int | None:
        """`num_ctx`, to which the server is held."""
        return self.options.num_ctx

    def live_checks(self) -> Iterator[tuple[str, bool | None, str, str]]:
        from judgekit.testing import check_wrong_key

        version = self._server.version()
        means = "long prompts are refused" if at_least(version, TRUNCATE) else "not every cut prompt is seen"
        yield "version", at_least(version, TRUNCATE) or None, _on_version(version), means
        what, holds, found = self._context_line()
        yield what, holds or None, found, "–" if holds else "prompts are cut where the model's own context ends"
        yield (
            "list of models",
            True,
            f"{self.options.model}, digest {self._server.digest()[:12]}",
            "another digest is another judge",
        )
        if self._server.http().key is not None:
            nobodys = Secret("judgekit-wrong-key-000000", "a wrong key")
            yield check_wrong_key(Http(self._server.address, key=nobodys, deadline=10.0, retries=0), "api/tags")

    def close(self) -> None:
        if self._chat is not None:
            self._chat.close()

    # --- one question ---

    def _ask(self, request: Request) -> Reply:
        with self._lock:
            self._chat = self._chat or self._server.http(self.options.deadline, self.options.retries)
        while True:  # at most twice: `think` is left out once
            body = self._body(request)
            try:
                result = self._chat.post("api/chat", body, self._meaning)
            except HttpStatusError as error:
                words = error.error_message.lower()
                if error.status == 400 and "think" in words and "think" in body and not _TOO_LONG.search(words):
                    self._think_refused = error.error_message
                    continue
                return self._without_answer(error)
            except Unreachable as error:
                raise self._server.down(error) from error
            except AuthError as error:
                forbidden = error.__cause__
                if isinstance(forbidden, HttpStatusError) and self._of_this_call(forbidden):
                    return self._without_answer(forbidden)
                raise self._server.locked(error) from error
            return self._read(result.body, request)

    def _meaning(self, status: int, body: Any) -> tuple[int, Any]:
        """What an answer comes to (`refusals.meaning`); Ollama's own words for a model that cannot be used stay."""
        return refusals.meaning(status, body, self.options.finish_reasons, field="done_reason")

    def _of_this_call(self, forbidden: HttpStatusError) -> bool:
        """Whether 403 is about this call, and not about the key."""
        assert self._chat is not None
        return refusals.fault_of(forbidden) is not None or self._chat.lets_in("api/chat", self._body(_HARMLESS))

    def _body(self, request: Request) -> dict[str, JsonValue]:
        given = self.options.model_dump(include={"model", "num_ctx", "keep_alive", "think", "options"})
        body = chat_body(request, **given)
        if self._think_refused:
            del body["think"]
        return body

    def _read(self, body: Any, request: Request) -> Reply:
        try:
            reply = read_reply(body, request, self.options.finish_reasons)
        except NoLogprobs as error:
            since = f"Ollama gives them from {text(LOGPROBS)} on, this is {self._version()}"
            raise BackendError(f"{error.message}: {since}, with the model {self.options.model!r}") from error
        notes = list(reply.notes)
        if self._think_refused:
            notes.append(f"`think` was refused by the server and left out: {self._think_refused}")
        elif self.options.think is False and reply.reasoning:
            notes.append("the model thought although `think` is false: it cannot turn its thinking off")
        update: dict[str, Any] = {"notes": tuple(notes)}
        if reply.usage is not None and (cut := self._cut(reply.usage.prompt_tokens, request)):
            # A reply that was cut at its token limit may still be read by its tokens; to this one nobody may.
            update |= {"status": "truncated", "detail": cut, "tokens": ()}
        return reply.model_copy(update=update)

    def _cut(self, read: int, request: Request) -> str:
        """The reason why the server cannot have read the whole prompt; "" if it may have."""
        if full := fills(read, self._context):
            return full
        keep = self.options.options.get("num_keep")
        short = falls_short(read, request.messages, self._context, keep if isinstance(keep, int) else NUM_KEEP)
        return short if short and counts_cached(self._version()) else ""

    def _version(self) -> str:
        """The server's version, where it is needed only to explain: "unknown" if it cannot be had."""
        try:
            return self._server.version()
        except BackendError:
            return "unknown"

    def _without_answer(self, error: HttpStatusError) -> Reply:
        """The result of an error status for the request: a reply without text, or an exception."""
        words = error.error_message.lower()
        if error.status == 404:
            if "model" in words:
                raise self._server.missing() from error
            raise BackendError(f"{error.message}; is this an Ollama server?") from error
        if error.status in (400, 413, 500) and _TOO_LONG.search(words):
            context = f"num_ctx = {self.options.num_ctx}"
            return Reply(status="truncated", detail=f"the prompt does not fit into {context}: {error.error_message}")
        if 300 <= error.status < 400:
            raise BackendError(f"{error.message}; set host to where it leads, if you trust that server") from error
        if any(sign in words for sign in _HOPELESS):
            raise BackendError(f"Ollama cannot use {self.options.model!r}: {error.error_message}") from error
        if reply := refusals.reply_to(error):
            return reply
        raise CallError(error.message) from error

    # --- preflight ---

    def _warnings(self) -> Iterator[str]:
        version, facts = self._server.version(), self._server.facts()
        if at_least(version, TRUNCATE) is False:
            yield f"Ollama {_on_version(version)}"
        if facts.context_length is not None and facts.context_length < self.options.num_ctx:
            self._context = facts.context_length
            name, most, wanted = self.options.model, facts.context_length, self.options.num_ctx
            yield f"num_ctx is {wanted}, but {name!r} has a context of {most} tokens: set num_ctx to {most} or less"
        if self.options.think and facts.thinks is False:
            yield f"{self.options.model!r} cannot think: `think: {_yaml(self.options.think)}` will be left out"

    def _context_line(self) -> tuple[str, bool | None, str]:
        length, wanted = self._server.facts().context_length, self.options.num_ctx
        if length is None:
            return "context length", None, f"not told by the server; num_ctx is {wanted}"
        mend = "" if wanted <= length else f": lower num_ctx to {length} or less"
        return "context length", not mend, f"{length} by the model, num_ctx is {wanted}{mend}"

    def _logprobs_line(self, version: str) -> tuple[str, bool | None, str]:
        """Tried with a reply of one token (which loads the model); servers too old for it are not asked."""
        known, since = _since(version, LOGPROBS)
        if known is False:
            return "log-probabilities", False, since
        sampling = Sampling(max_new_tokens=1, temperature=0.0, seed=0)
        try:
            reply = self._ask(
                Request(messages=(Message(role="user", content="Hi"),), sampling=sampling, top_logprobs=1)
            )
        except CallError as error:
            return "log-probabilities", None, f"{since}; a question of one word failed: {error.message}"
        except JudgekitError as error:
            return "log-probabilities", False, error.message
        if not reply.tokens:
            return "log-probabilities", None, f"{since}; a reply of one token had none"
        return "log-probabilities", True, "given with a reply of one token"


def _on_version(version: str) -> str:
    if at_least(version, TRUNCATE) is False:
        since = text(TRUNCATE)
        return f"{version} cuts long prompts silently (caught where it can be seen): update to {since} or later"
    return version


def _since(version: str, since: Version) -> tuple[bool | None, str]:
    known = at_least(version, since)
    words = {True: "offered", False: f"needs Ollama {text(since)} or later", None: f"offered since {text(since)}"}
    return known, words[known]


def _yaml(value: bool | str) -> str:
    return value if isinstance(value, str) else str(value).lower()
