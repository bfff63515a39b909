"""The backend `ollama`: a model on an Ollama server.

The identity holds the model's digest and the server's version, so the server must be up even for a run that the
ledger answers whole: without the digest nobody knows whether those answers are still this model's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue, field_validator

from judgekit import (
    AuthError,
    Backend,
    BackendError,
    CallError,
    Http,
    HttpStatusError,
    JudgekitError,
    ModelNotFound,
    Options,
    Problem,
    Reply,
    Request,
    Secret,
    Unreachable,
)
from judgekit_ollama.chat import chat_body, check_option_names, read_reply
from judgekit_ollama.host import CLOUD, parse_host

ADAPTER = 1  # part of the identity; raise it when the same request would be worded differently on the wire
_TRUNCATE_SINCE, _SCHEMA_SINCE, _LOGPROBS_SINCE = (0, 12, 4), (0, 5, 0), (0, 12, 11)
_TOO_LONG = ("exceeds the context", "context length", "context size", "prompt too long", "prompt is too long")


class OllamaOptions(Options):
    """`host` defaults to OLLAMA_HOST, read by the server's own rules. `deadline` bounds an attempt, in seconds: it
    includes the wait in the server's queue and the loading of the model. `options` are Ollama's own, by name.

    OLLAMA_API_KEY (or the variable that `key_env` names) goes to ollama.com and to the server that OLLAMA_HOST
    names; to a `host` of the config only if `key_env` is given.
    """

    model: str = Field("llama3", min_length=1)
    host: str | None = None
    key_env: str | None = Field(None, min_length=1)
    num_ctx: int = Field(4096, ge=16)
    keep_alive: str | int = "10m"
    think: bool | Literal["low", "medium", "high"] = False
    deadline: float = Field(600.0, gt=0)
    retries: int = Field(4, ge=0, le=20)
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("host")
    @classmethod
    def _is_address(cls, host: str | None) -> str | None:
        if host is not None:
            parse_host(host)
        return host

    @field_validator("options")
    @classmethod
    def _are_known(cls, options: dict[str, JsonValue]) -> dict[str, JsonValue]:
        check_option_names(options)
        return options


class OllamaBackend(Backend):
    """Answers by POST /api/chat."""

    Options: ClassVar[type[Options]] = OllamaOptions
    options: OllamaOptions
    capabilities: ClassVar[frozenset[str]] = frozenset({"generate", "schema", "seed"})

    def __init__(self, options: Any = None, where: Path = Path()) -> None:
        super().__init__(options, where)
        self._lock = threading.Lock()
        self._chat: Http | None = None
        self._about: dict[str, JsonValue] | None = None

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._ask(request) for request in requests]

    def identity(self) -> dict[str, JsonValue]:
        """Asked of the server once. Raises BackendError: not running, or without the model."""
        with self._lock:
            if self._about is None:
                self._about = {"version": self._version(), "digest": self._digest()}
        return {
            "adapter": f"ollama/{ADAPTER}",
            "model": self.options.model,
            **self._about,
            "num_ctx": self.options.num_ctx,
            "think": self.options.think,
            "options": self.options.options,
        }

    def check(self) -> list[Problem]:
        """The server runs and has the model."""
        try:
            self.identity()
        except JudgekitError as error:
            return [Problem(severity="error", where="ollama", message=error.message, exit_code=error.exit_code)]
        return []

    def doctor(self) -> Iterable[tuple[str, bool | None, str]]:
        try:
            address, version = self._address(), self._version()
        except JudgekitError as error:
            yield "server", False, error.message
            return
        yield "server", True, f"{address} answers"
        yield "version", _at_least(version, _TRUNCATE_SINCE), _on_version(version)
        try:
            yield "model", True, f"{self.options.model}, digest {self._digest()[:12]}"
        except BackendError as error:
            yield "model", False, error.message
            return
        yield self._context_line()
        yield "JSON schema", *_since(version, _SCHEMA_SINCE)
        yield "log-probabilities", *_since(version, _LOGPROBS_SINCE)

    def close(self) -> None:
        if self._chat is not None:
            self._chat.close()

    def _ask(self, request: Request) -> Reply:
        options = self.options
        body = chat_body(
            request,
            model=options.model,
            num_ctx=options.num_ctx,
            keep_alive=options.keep_alive,
            think=options.think,
            options=options.options,
        )
        with self._lock:
            self._chat = self._chat or self._http(options.deadline, options.retries)
        try:
            result = self._chat.post("api/chat", body)
        except HttpStatusError as error:
            return self._without_answer(error)
        except Unreachable as error:
            raise self._down(error) from error
        return read_reply(result.body, request, options.num_ctx)

    def _without_answer(self, error: HttpStatusError) -> Reply:
        """What an error status means for the request: a reply without text, or an exception."""
        words = error.error_message.lower()
        if error.status == 404:
            raise self._missing() from error
        if error.status in (400, 413, 500) and any(sign in words for sign in _TOO_LONG):
            context = f"num_ctx = {self.options.num_ctx}"
            return Reply(status="truncated", detail=f"the prompt does not fit into {context}: {error.error_message}")
        if error.status == 400 and "think" in words:
            model, think = self.options.model, self.options.think
            raise BackendError(f"{model!r} and `think: {think}`: {error.error_message}") from error
        raise CallError(error.message) from error

    def _address(self) -> str:
        """Raises BackendError where OLLAMA_HOST is no address."""
        try:
            return parse_host(self.options.host if self.options.host is not None else os.environ.get("OLLAMA_HOST", ""))
        except ValueError as error:
            raise BackendError(f"OLLAMA_HOST: {error}") from None

    def _http(self, deadline: float = 10.0, retries: int = 1) -> Http:
        address = self._address()
        key = None
        name = self.options.key_env
        if name or self.options.host is None or address.startswith(CLOUD):
            key = Secret.from_env(name or "OLLAMA_API_KEY")
        if name and key is None:
            raise AuthError(f"no API key for the Ollama server: set the environment variable {name}")
        return Http(address, key=key, deadline=deadline, connect_timeout=min(deadline, 10.0), retries=retries)

    def _get(self, path: str, body: JsonValue = None) -> Mapping[str, Any]:
        """A small call about the server or the model. Raises BackendError, whatever went wrong."""
        try:
            with self._http() as http:
                found = (http.get(path) if body is None else http.post(path, body)).body
        except Unreachable as error:
            raise self._down(error) from error
        except CallError as error:
            raise BackendError(f"{error.message}; is this an Ollama server?") from error
        if not isinstance(found, dict):
            raise BackendError(f"{self._address()}/{path} is not Ollama's; is this an Ollama server?")
        return found

    def _version(self) -> str:
        return str(self._get("api/version").get("version", "unknown"))

    def _digest(self) -> str:
        """The model's digest, from the server's list. Raises ModelNotFound."""
        models = self._get("api/tags").get("models")
        for model in models if isinstance(models, list) else []:
            names = {model.get("name"), model.get("model")} if isinstance(model, dict) else set()
            if names & {self.options.model, f"{self.options.model}:latest"} and isinstance(model.get("digest"), str):
                return str(model["digest"])
        raise self._missing()

    def _context_line(self) -> tuple[str, bool | None, str]:
        try:
            facts = self._get("api/show", {"model": self.options.model}).get("model_info")
        except BackendError as error:
            return "context length", None, error.message
        lengths = [value for name, value in (facts or {}).items() if name.endswith(".context_length")]
        if not lengths or not isinstance(lengths[0], int):
            return "context length", None, f"not told by the server; num_ctx is {self.options.num_ctx}"
        fits = self.options.num_ctx <= lengths[0]
        mend = "" if fits else f": lower num_ctx to {lengths[0]} or less"
        return "context length", fits, f"{lengths[0]} by the model, num_ctx is {self.options.num_ctx}{mend}"

    def _down(self, error: Unreachable) -> Unreachable:
        return Unreachable(f"no Ollama server at {self._address()}: start it with `ollama serve` ({error.message})")

    def _missing(self) -> ModelNotFound:
        model = self.options.model
        return ModelNotFound(f"Ollama has no model {model!r}: get it with `ollama pull {model}`")


def _numbers(version: str) -> tuple[int, ...] | None:
    """0.12.4-rc1 → (0, 12, 4); None for a version without numbers, such as a build from source."""
    parts = version.partition("-")[0].split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else None


def _at_least(version: str, since: tuple[int, ...]) -> bool | None:
    """None where the version says nothing: builds from source call themselves 0.0.0."""
    numbers = _numbers(version)
    return None if not numbers or not any(numbers) else numbers >= since


def _on_version(version: str) -> str:
    if _at_least(version, _TRUNCATE_SINCE) is False:
        return f"{version} cuts long prompts silently (caught where it can be seen): update to 0.12.4 or later"
    return version


def _since(version: str, since: tuple[int, ...]) -> tuple[bool | None, str]:
    known = _at_least(version, since)
    text = ".".join(map(str, since))
    return known, {True: "offered", False: f"needs Ollama {text} or later", None: f"offered since {text}"}[known]
