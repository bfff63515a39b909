"""The backend `openai`: the server's address, its key, and its identity in the record.

- The address is `base_url`, else OPENAI_BASE_URL, else OpenAI's.
- A key goes only where it belongs. `key_env` names the variable that holds it, and then it must be set. Without
  `key_env`, OPENAI_API_KEY is required by OpenAI's own servers, sent (if set) to the server that OPENAI_BASE_URL
  names, and to no other.
- The cap on new tokens is `max_completion_tokens` for OpenAI and Azure, `max_tokens` for every other server.
- Other servers take defaults from the model's own generation_config, so to them an open temperature or top_p is
  sent as 1, which is the API's documented default.
- `mode: batch`, or `batch: true` beside a judge's own mode, sends the same requests by the Batch API. The identity does
  not tell the modes apart: the model, the bodies and so the answers are the same, and what one mode has paid for the
  other finds in the ledger.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator

from judgekit import (
    AuthError,
    Backend,
    BackendError,
    CallError,
    ConfigError,
    Errand,
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
    environment_variable,
)
from judgekit_openai.batch_api import MOST_LINES, BatchApi
from judgekit_openai.batching import Batching
from judgekit_openai.chat import OWN_FIELDS, ChatClient, Dialect, ResponseFormat, TokensField
from judgekit_openai.doctor import abilities, batches
from judgekit_openai.live import batch, context_of_llama_cpp, context_of_vllm, listing
from judgekit_openai.preflight import is_listed, models_in, names_of, not_listed, some, wrong_address
from judgekit_openai.served import served_by_llama_cpp, served_by_vllm
from judgekit_openai.words import FinishReasons

Variable = Annotated[str, AfterValidator(environment_variable)]
ADAPTER = 1  # part of the identity; raise it when the same request would be worded differently on the wire
OPENAI_URL = "https://api.openai.com/v1"
_TRANSFER = 3600.0  # seconds that the transfer of a batch's file may take
_LARGEST = 4 << 30  # bytes of a batch's results
_CACHING = "llama.cpp answers from its prompt cache: only `extra: {cache_prompt: false}` makes replies repeatable"


class OpenAIOptions(Options):
    """`extra` holds further body fields, such as `reasoning_effort` or llama.cpp's `cache_prompt: false`; `deadline`
    bounds an attempt, in seconds. `finish_reasons` says what a server's own words for the end of a reply mean, such
    as `{halted: stop}`: stop, length, content_filter, tool_calls, or error for one that was broken off. `unlisted`: the
    server has the model, although it does not list it.

    `mode: batch` (`batch: true`, where a judge has a mode of its own) puts up to `batch_size` requests into one batch
    of the Batch API: half the price, an answer within 24 hours. It looks at a batch every `poll` seconds (more often at
    first).
    """

    model: str = Field(min_length=1)
    base_url: str | None = None
    key_env: Variable | None = None
    organization_env: Variable = "OPENAI_ORG_ID"
    project_env: Variable = "OPENAI_PROJECT_ID"
    response_format: ResponseFormat = "auto"
    max_tokens_field: Literal["auto", "max_completion_tokens", "max_tokens"] = "auto"
    deadline: float = Field(120.0, gt=0)
    retries: int = Field(4, ge=0, le=20)
    mode: Literal["live", "batch"] = "live"
    batch: bool = False
    batch_size: int = Field(20_000, ge=1, le=MOST_LINES)
    poll: float = Field(60.0, gt=0, le=3600)
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    unlisted: bool = False
    finish_reasons: FinishReasons = Field(default_factory=dict)

    @property
    def in_batches(self) -> bool:
        return self.batch or self.mode == "batch"

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
    capabilities: ClassVar[frozenset[str]] = frozenset({"generate", "chat", "logprobs", "schema", "seed"})

    def __init__(self, options: Any = None, where: Path = Path()) -> None:
        super().__init__(options, where)
        self._from_env = not self.options.base_url
        self.base_url = (self.options.base_url or os.environ.get("OPENAI_BASE_URL", "").strip() or OPENAI_URL).rstrip(
            "/"
        )
        self._lock = threading.Lock()
        self._client: ChatClient | None = None
        self._looked: tuple[list[JudgekitError], list[Mapping[str, Any]]] | None = None
        if self.options.in_batches:
            self.max_batch, self.max_concurrency, self.limited = self.options.batch_size, 1, False

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return self.carry_out(requests, Errand(_names(requests) if self.options.in_batches else ()))

    def carry_out(self, requests: Sequence[Request], errand: Errand) -> list[Reply]:
        client = self._connect()
        try:
            if not self.options.in_batches:
                return [client.ask(request) for request in requests]
            with contextlib.closing(self._batch_api()) as api:
                return Batching(client, api, requests, errand, self.options.poll).run()
        except AuthError as error:
            if client.http.key is None:
                raise AuthError(f"{error.message}; name the variable that holds the key as `key_env`") from error
            raise

    def identity(self) -> dict[str, JsonValue]:
        """With `served`, what the server says of its model, where it says it: a model swapped behind one address is
        another one. A server that cannot be reached says nothing; `check` says that."""
        served = {} if is_openai(self.base_url) or is_azure(self.base_url) else self._served()
        return self._own_identity() | ({"served": served} if served else {})

    def is_identity(self, known: Mapping[str, JsonValue]) -> bool:
        own = self._own_identity()
        if "named" in known:
            del own["server"]
        return {key: known.get(key) for key in own} == own

    def _served(self) -> dict[str, JsonValue]:
        self._looked = self._looked or self._look()
        _, listed = self._looked
        if not _is_llama_cpp(listed):
            return served_by_vllm(listed, self.options.model)
        return served_by_llama_cpp(listed, self._props())

    def _props(self) -> Any:
        """llama.cpp's account of itself; empty where it gives none."""
        root = self.base_url.removesuffix("/v1")
        try:
            with Http(root, key=self._key(), deadline=10.0, retries=0, connect_timeout=5.0) as http:
                return http.get("props").body
        except CallError:
            return {}

    def _own_identity(self) -> dict[str, JsonValue]:
        return {
            "adapter": f"openai/{ADAPTER}",
            "server": Http.address(self.base_url),
            "model": self.options.model,
            "max_tokens_field": self._tokens_field(),
            "response_format": self.options.response_format,
            "extra": self.options.extra,
            **({"finish_reasons": {**reasons}} if (reasons := self.options.finish_reasons) else {}),
        }

    def check(self) -> list[Problem]:
        """Problems with the key, the address, the server and, if it is wanted, its Batch API."""
        trouble, listed = self._looked = self._look()
        if not trouble and (unlisted := self._unlisted(listed)):
            trouble = [ModelNotFound(unlisted)]
        if not trouble and self.options.in_batches:
            trouble = self._batch_trouble()
        problems = [
            Problem(severity="error", where="openai", message=error.message, exit_code=error.exit_code)
            for error in trouble
        ]
        if _is_llama_cpp(listed) and "cache_prompt" not in self.options.extra:
            problems.append(Problem(severity="warning", where="openai", message=_CACHING))
        return problems

    def doctor(self) -> Iterable[tuple[str, bool | None, str]]:
        trouble, listed = self._look()
        yield "server", not trouble, trouble[0].message if trouble else f"{self.base_url} answers"
        if trouble:
            return
        key = self._key()
        yield "key", key is not None or None, f"{key.name} is sent" if key else "none is sent; `key_env` names one"
        names = sorted(names_of(listed))
        here = is_listed(self.options.model, names)
        if not names:
            yield "model", None, "the server lists no models"
        elif here or self.options.unlisted or _is_llama_cpp(listed):
            told = (
                f": llama.cpp serves {names[0]}, however called" if _is_llama_cpp(listed) else ", which is not listed"
            )
            served = "" if here else told
            yield "model", here or None, f"{self.options.model}{served}"
        else:
            there = some(names, self.options.model)
            yield "model", False, f"{self.options.model} is not listed; the server has {there}"
            return
        if _is_llama_cpp(listed) and "cache_prompt" not in self.options.extra:
            yield "repeatable", None, _CACHING
        with self._http(deadline=self.options.deadline, retries=1) as http:
            yield from abilities(ChatClient(http, self.options.model, self._dialect()))
        with contextlib.closing(self._batch_api()) as api:
            yield batches(api)

    def context_length(self) -> int | None:
        """Told by llama.cpp and vLLM."""
        if self.options.in_batches:
            raise ConfigError("--live asks at once, and tries the Batch API besides: leave out `mode: batch`")
        _, listed = self._looked = self._looked or self._look()
        if not _is_llama_cpp(listed):
            return context_of_vllm(listed, self.options.model)
        return context_of_llama_cpp(self._props())

    def live_checks(self) -> Iterator[tuple[str, bool | None, str, str]]:
        from judgekit.testing import check_wrong_key

        _, listed = self._looked = self._looked or self._look()
        yield listing(listed, self.options.model, one_for_all=_is_llama_cpp(listed))
        if self._key() is not None:
            nobodys = Secret("judgekit-wrong-key-000000", "a wrong key")
            yield check_wrong_key(Http(self.base_url, key=nobodys, deadline=10.0, retries=0), "models")
        with contextlib.closing(self._batch_api()) as api:
            yield batch(self._connect(), api)

    def close(self) -> None:
        if self._client is not None:
            self._client.http.close()

    def _connect(self) -> ChatClient:
        """Raises AuthError without the key, ConfigError for a malformed address."""
        with self._lock:
            if self._client is None:
                http = self._http(deadline=self.options.deadline, retries=self.options.retries)
                self._client = ChatClient(http, self.options.model, self._dialect())
            return self._client

    def _batch_api(self) -> BatchApi:
        """Outside the run's limits, which are for chat completions: batches have limits of their own."""
        endpoint = "/chat/completions" if is_azure(self.base_url) else "/v1/chat/completions"
        deadline, retries = self.options.deadline, self.options.retries
        return BatchApi(
            http=self._http(deadline=deadline, retries=retries, paced=False),
            once=self._http(deadline=deadline, retries=0, paced=False),
            files=self._http(deadline=_TRANSFER, retries=retries, paced=False, max_bytes=_LARGEST),
            endpoint=endpoint,
        )

    def _http(self, **transport: Any) -> Http:
        """A client of the server, with its key; `transport`: further arguments of Http."""
        return self._http_at(self.base_url, **transport)

    def _http_at(self, base_url: str, **transport: Any) -> Http:
        """The same at another path of the server."""
        headers = {}
        if is_openai(self.base_url) or self._from_env:
            names = {"OpenAI-Organization": self.options.organization_env, "OpenAI-Project": self.options.project_env}
            headers = {header: os.environ[name] for header, name in names.items() if os.environ.get(name)}
        return Http(base_url, headers=headers, key=self._key(), **transport)

    def _key(self) -> Secret | None:
        official = is_openai(self.base_url)
        if self.options.key_env is None and not official and not self._from_env:
            return None
        name = self.options.key_env or "OPENAI_API_KEY"
        key = Secret.from_env(name)
        if key is None and (official or self.options.key_env):
            raise AuthError(f"no API key for {Http.address(self.base_url)}: set the environment variable {name}")
        return key

    def _dialect(self) -> Dialect:
        return Dialect(
            max_tokens_field=self._tokens_field(),
            response_format=self.options.response_format,
            defaults={} if is_openai(self.base_url) else {"temperature": 1.0, "top_p": 1.0},
            extra=self.options.extra,
            finish_reasons=self.options.finish_reasons,
        )

    def _tokens_field(self) -> TokensField:
        if self.options.max_tokens_field != "auto":
            return self.options.max_tokens_field
        return "max_completion_tokens" if is_openai(self.base_url) or is_azure(self.base_url) else "max_tokens"

    def _look(self) -> tuple[list[JudgekitError], list[Mapping[str, Any]]]:
        """The problem that would make every call fail, and the models that the server lists, if it does."""
        try:
            with self._http(deadline=10.0, retries=0, connect_timeout=5.0) as http:
                body = http.get("models").body
        except Unreachable as error:
            return [Unreachable(f"{error.message}; is the server running, and base_url right?")], []
        except AuthError as error:
            # A restricted key may be forbidden (403) to list models and still be good for chat.
            return ([] if isinstance(error.__cause__, HttpStatusError) else [error]), []
        except CallError as error:
            if isinstance(error, HttpStatusError) and 300 <= error.status < 400:
                return [BackendError(f"{error.message}; set base_url to where it leads, if you trust that server")], []
            # A server need not list its models; one that is slow or broken says nothing of the address.
            odd = error.status < 500 if isinstance(error, HttpStatusError) else "not JSON" in error.message
            wrong = wrong_address(self._http_at, self.base_url) if odd else ""
            return ([BackendError(wrong)] if wrong else []), []
        except JudgekitError as error:
            azure = "; Azure's is https://NAME.openai.azure.com/openai/v1, without api-version"
            shaped = isinstance(error, ConfigError) and is_azure(self.base_url)
            return [ConfigError(f"{error.message}{azure}") if shaped else error], []
        if (listed := models_in(body)) is None:
            wrong = wrong_address(self._http_at, self.base_url)
            return ([BackendError(wrong)] if wrong else []), []
        # Of a list with more pages, what is not on the first one is not known.
        return [], listed if not isinstance(body, dict) or not body.get("has_more") else []

    def _unlisted(self, listed: Sequence[Mapping[str, Any]]) -> str:
        """Why the server does not have the model; "" where it has, or does not say.

        Azure lists models and is asked for deployments; llama.cpp serves its one model under any name.
        """
        names, model = names_of(listed), self.options.model
        if self.options.unlisted or not names or is_azure(self.base_url) or _is_llama_cpp(listed):
            return ""
        if is_listed(model, names):
            return ""
        return f"{self.base_url} has no model {model!r}: {not_listed(model, names)}"

    def _batch_trouble(self) -> list[JudgekitError]:
        try:
            with contextlib.closing(self._batch_api()) as api:
                offered = api.offered()
        except JudgekitError as error:
            return [error]
        return [] if offered else [BackendError(f"{self.base_url} offers no Batch API: leave out `mode: batch`")]


def _names(requests: Sequence[Request]) -> list[str]:
    """A name for each request by its content, and by its place among equal ones."""
    names, places = [], Counter[str]()
    for request in requests:
        content = json.dumps(request.model_dump(mode="python"))
        names.append(hashlib.sha256(f"{content}{places[content] or ''}".encode("ascii")).hexdigest())
        places[content] += 1
    return names


def _is_llama_cpp(listed: Sequence[Mapping[str, Any]]) -> bool:
    return any(item.get("owned_by") == "llamacpp" for item in listed)


def is_openai(base_url: str) -> bool:
    """True if the address is OpenAI's own, in any of its regions."""
    return f".{urllib.parse.urlsplit(base_url).hostname}".endswith(".api.openai.com")


def is_azure(base_url: str) -> bool:
    """True if the address is Azure's service of OpenAI's models: the same protocol, but its own keys."""
    return f".{urllib.parse.urlsplit(base_url).hostname}".endswith(".openai.azure.com")
