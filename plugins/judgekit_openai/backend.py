"""The backend `openai`: where the server is, which key belongs to it, and what the record says of it.

- The address is `base_url`, else OPENAI_BASE_URL, else OpenAI's.
- A key goes only where it belongs. `key_env` names the variable that holds it, and then it must be set. Without
  `key_env`, OPENAI_API_KEY is required by OpenAI's own servers, sent (if set) to the server that OPENAI_BASE_URL
  names, and to no other.
- The cap on new tokens is `max_completion_tokens` for OpenAI and Azure, `max_tokens` for every other server.
- Other servers take defaults from the model's own generation_config, so to them an open temperature or top_p is
  sent as 1, which is the API's documented default.
"""

from __future__ import annotations

import ipaddress
import os
import threading
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue, field_validator

from judgekit import (
    AuthError,
    Backend,
    CallError,
    Http,
    JudgekitError,
    Options,
    Problem,
    Reply,
    Request,
    Secret,
    Unreachable,
)
from judgekit_openai.chat import OWN_FIELDS, ChatClient, Dialect, ResponseFormat, TokensField

ADAPTER = 1  # part of the identity; raise it when the same request would be worded differently on the wire
OPENAI_URL = "https://api.openai.com/v1"


class OpenAIOptions(Options):
    """`extra` holds further body fields, such as `reasoning_effort`; `deadline` bounds an attempt, in seconds."""

    model: str = Field(min_length=1)
    base_url: str | None = None
    key_env: str | None = Field(None, min_length=1)
    organization_env: str = Field("OPENAI_ORG_ID", min_length=1)
    project_env: str = Field("OPENAI_PROJECT_ID", min_length=1)
    response_format: ResponseFormat = "auto"
    max_tokens_field: Literal["auto", "max_completion_tokens", "max_tokens"] = "auto"
    deadline: float = Field(120.0, gt=0)
    retries: int = Field(4, ge=0, le=20)
    extra: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if ours := sorted(OWN_FIELDS & extra.keys()):
            raise ValueError(f"{', '.join(ours)} cannot stand in `extra`: judgekit sets it from the request")
        return extra


class OpenAIBackend(Backend):
    """Answers by chat completions over HTTP."""

    Options: ClassVar[type[Options]] = OpenAIOptions
    options: OpenAIOptions
    capabilities: ClassVar[frozenset[str]] = frozenset({"generate", "schema", "seed"})

    def __init__(self, options: Any = None, where: Path = Path()) -> None:
        super().__init__(options, where)
        self._from_env = not self.options.base_url
        self.base_url = (self.options.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
        self._lock = threading.Lock()
        self._client: ChatClient | None = None

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        client = self._connect()
        try:
            return [client.ask(request) for request in requests]
        except AuthError as error:
            if client.http.key is None:
                raise AuthError(f"{error.message}; name the variable that holds the key as `key_env`") from error
            raise

    def identity(self) -> dict[str, JsonValue]:
        return {
            "adapter": f"openai/{ADAPTER}",
            "server": server_name(self.base_url),
            "model": self.options.model,
            "max_tokens_field": self._tokens_field(),
            "response_format": self.options.response_format,
            "extra": self.options.extra,
        }

    def check(self) -> list[Problem]:
        """The key is there, the address is one, and something answers at it."""
        return [
            Problem(severity="error", where="openai", message=message, exit_code=exit_code)
            for message, exit_code in self._trouble()
        ]

    def doctor(self) -> Iterable[tuple[str, bool | None, str]]:
        trouble = self._trouble()
        yield "server", not trouble, trouble[0][0] if trouble else f"{self.base_url} answers"
        if trouble:
            return
        names = self._models()
        if not names:
            yield "model", None, "the server lists no models"
        else:
            here = self.options.model in names
            listed = ", ".join(sorted(names)[:5])
            yield "model", here, self.options.model + ("" if here else f" is not listed; the server has {listed}")

    def close(self) -> None:
        if self._client is not None:
            self._client.http.close()

    def _connect(self) -> ChatClient:
        """Raises AuthError without the key, ConfigError for an address that is none."""
        with self._lock:
            if self._client is None:
                http = self._http(deadline=self.options.deadline, retries=self.options.retries)
                self._client = ChatClient(http, self.options.model, self._dialect())
            return self._client

    def _http(self, *, deadline: float, retries: int, connect_timeout: float = 10.0) -> Http:
        headers = {}
        if is_openai(self.base_url):
            names = {"OpenAI-Organization": self.options.organization_env, "OpenAI-Project": self.options.project_env}
            headers = {header: os.environ[name] for header, name in names.items() if os.environ.get(name)}
        return Http(
            self.base_url,
            headers=headers,
            key=self._key(),
            deadline=deadline,
            connect_timeout=connect_timeout,
            retries=retries,
        )

    def _key(self) -> Secret | None:
        official = is_openai(self.base_url)
        if self.options.key_env is None and not official and not self._from_env:
            return None
        name = self.options.key_env or "OPENAI_API_KEY"
        key = Secret.from_env(name)
        if key is None and (official or self.options.key_env):
            raise AuthError(f"no API key for {server_name(self.base_url)}: set the environment variable {name}")
        return key

    def _dialect(self) -> Dialect:
        return Dialect(
            max_tokens_field=self._tokens_field(),
            response_format=self.options.response_format,
            defaults={} if is_openai(self.base_url) else {"temperature": 1.0, "top_p": 1.0},
            extra=self.options.extra,
        )

    def _tokens_field(self) -> TokensField:
        if self.options.max_tokens_field != "auto":
            return self.options.max_tokens_field
        return "max_completion_tokens" if is_openai(self.base_url) or is_azure(self.base_url) else "max_tokens"

    def _trouble(self) -> list[tuple[str, int]]:
        """(message, exit code) of what would make every call fail."""
        try:
            with self._http(deadline=10.0, retries=0, connect_timeout=5.0) as http:
                http.get("models")
        except Unreachable as error:
            return [(f"{error.message}; is the server running, and base_url right?", error.exit_code)]
        except AuthError as error:
            # A restricted key may lack the scope to list models and still be good for chat.
            return [] if "scope" in error.message else [(error.message, error.exit_code)]
        except CallError:
            return []  # it answers; a server need not list its models
        except JudgekitError as error:
            return [(error.message, error.exit_code)]
        return []

    def _models(self) -> set[str]:
        """Names of the models that the server lists, if it does."""
        try:
            with self._http(deadline=10.0, retries=0, connect_timeout=5.0) as http:
                body = http.get("models").body
        except (AuthError, CallError):
            return set()
        items = body.get("data") if isinstance(body, dict) else None
        return {str(item.get("id")) for item in items if isinstance(item, dict)} if isinstance(items, list) else set()


def is_openai(base_url: str) -> bool:
    """Whether the address is OpenAI's own, in any of its regions."""
    return f".{urllib.parse.urlsplit(base_url).hostname}".endswith(".api.openai.com")


def is_azure(base_url: str) -> bool:
    """Whether the address is Azure's service of OpenAI's models: the same dialect, but keys of its own."""
    return f".{urllib.parse.urlsplit(base_url).hostname}".endswith(".openai.azure.com")


def server_name(base_url: str) -> str:
    """The address as the record has it: "loopback" for this machine, whatever the port; no user name, no query."""
    parts = urllib.parse.urlsplit(base_url)
    host = parts.hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost" or host.endswith(".localhost")
    if loopback:
        return "loopback"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
