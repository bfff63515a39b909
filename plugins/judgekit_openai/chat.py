"""Chat completions over HTTP: one Request in, one Reply out, for every server that speaks the dialect.

`ChatClient` is what other plugins build on: give it an `Http`, a model's name and a `Dialect`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import JsonValue

from judgekit import BackendError, CallError, Http, HttpStatusError, ModelNotFound, Reply, Request
from judgekit_openai.replies import read_reply

ResponseFormat = Literal["auto", "json_schema", "json_object", "none"]
TokensField = Literal["max_completion_tokens", "max_tokens"]

SAMPLING_FIELDS = ("temperature", "top_p", "top_k", "seed", "stop")
OWN_FIELDS = frozenset(
    {"model", "messages", "n", "stream", "response_format", "max_completion_tokens", "max_tokens", *SAMPLING_FIELDS}
)
_REFUSALS = frozenset({"unsupported_value", "unsupported_parameter", "unknown_parameter"})
_FORMATS: tuple[ResponseFormat, ...] = ("json_schema", "json_object", "none")
_TOO_LONG = re.compile(r"context[ _](size|length|window)", re.IGNORECASE)
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})


@dataclass(frozen=True)
class Dialect:
    """How a server wants to be spoken to.

    `defaults`: sampling fields sent where the request leaves them open; `extra`: further body fields;
    `response_format`: how a JSON schema is asked for. `auto` begins with json_schema and gives way to json_object,
    then to nothing, where the server refuses; each step is noted in the replies.
    """

    max_tokens_field: TokensField = "max_completion_tokens"
    response_format: ResponseFormat = "auto"
    defaults: Mapping[str, JsonValue] = field(default_factory=dict)
    extra: Mapping[str, JsonValue] = field(default_factory=dict)


class ChatClient:
    """Asks one model of one server, from any number of threads.

    A sampling parameter that the model refuses (reasoning models refuse several) is left out from then on, and
    every reply made without it says so in its notes. The cap on tokens is never left out: its field is renamed.
    """

    def __init__(self, http: Http, model: str, dialect: Dialect) -> None:
        self.http = http
        self.model = model
        self.dialect = dialect
        self._lock = threading.Lock()
        self._refused: set[str] = set()
        self._tokens_field: TokensField = dialect.max_tokens_field
        self._format: ResponseFormat = "json_schema" if dialect.response_format == "auto" else dialect.response_format

    def ask(self, request: Request) -> Reply:
        """One reply. A prompt over the context gives `truncated`, one that the server's policy forbids `refused`.

        Raises ModelNotFound, another BackendError (no call can succeed) or CallError (this one failed).
        """
        while True:  # ends: each turn sends less than the one before
            body, notes = self._body(request)
            try:
                result = self.http.post("chat/completions", body)
            except HttpStatusError as error:
                if self._gives_way(error, body):
                    continue
                return self._without_answer(error, notes)
            return read_reply(result.body, notes)

    def _body(self, request: Request) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
        """The wire body, and notes on what the server made us leave out."""
        sampling = request.sampling.model_dump(mode="json", exclude_none=True)
        wanted: dict[str, JsonValue] = {**self.dialect.defaults}
        wanted.update({name: sampling[name] for name in SAMPLING_FIELDS if sampling.get(name) not in (None, [])})
        with self._lock:
            refused, tokens_field, form = frozenset(self._refused), self._tokens_field, self._format
        body: dict[str, JsonValue] = {
            "model": self.model,
            "messages": [message.model_dump(mode="json") for message in request.messages],
            **{name: value for name, value in wanted.items() if name not in refused},
            **self.dialect.extra,
        }
        notes = [f"{name} was refused by the server and left out" for name in wanted if name in refused]
        if request.sampling.max_new_tokens is not None:
            body[tokens_field] = request.sampling.max_new_tokens
        if request.json_schema is not None:
            if form != "none":
                body["response_format"] = response_format(form, request.json_schema)
            if self.dialect.response_format == "auto" and form != "json_schema":
                notes.append(f"the server refused a JSON schema; asked with response_format {form}")
        return body, tuple(notes)

    def _gives_way(self, error: HttpStatusError, body: Mapping[str, JsonValue]) -> bool:
        """Note what the server refused; True where the request can be sent again without it."""
        if error.status not in (400, 422):
            return False
        details = _details(error)
        name = str(details.get("param") or "").partition(".")[0]
        unsupported = details.get("code") in _REFUSALS
        with self._lock:
            if unsupported and name in SAMPLING_FIELDS and name in body:
                self._refused.add(name)
                return True
            if unsupported and name in body and name == self.dialect.max_tokens_field:
                renamed = name == "max_tokens"
                self._tokens_field = "max_completion_tokens" if renamed else "max_tokens"
                return True
            return "response_format" in body and self._loosens(error, name, body["response_format"])

    def _loosens(self, error: HttpStatusError, name: str, sent: JsonValue) -> bool:
        """Step down from json_schema to json_object to none, if the server refused the form and not our schema."""
        blamed = name == "response_format" or re.search(r"response_format|json_schema", error.error_message)
        own_fault = re.search(r"(?i)invalid schema|schema error", error.error_message)
        if self.dialect.response_format != "auto" or not blamed or own_fault:
            return False
        tried = str(sent.get("type")) if isinstance(sent, dict) else ""
        if tried == self._format:  # else another thread has stepped down meanwhile
            self._format = _FORMATS[_FORMATS.index(self._format) + 1]
        return True

    def _without_answer(self, error: HttpStatusError, notes: tuple[str, ...]) -> Reply:
        """What an error status means for the request: a reply without text, or an exception."""
        details = _details(error)
        codes = {details.get("code"), details.get("type"), error.error_code}
        if error.status in (400, 413, 422) and (codes & _TOO_LONG_CODES or _TOO_LONG.search(error.error_message)):
            detail = f"the prompt does not fit the model's context: {error.error_message}"
            return Reply(status="truncated", detail=detail, notes=notes)
        if error.status == 400 and codes & {"content_filter", "content_policy_violation"}:
            return Reply(status="refused", detail=f"refused by the server's policy: {error.error_message}", notes=notes)
        server = self.http.base_url
        about_model = "model" in error.error_message.lower()
        if codes & {"model_not_found", "DeploymentNotFound"} or (error.status == 404 and about_model):
            raise ModelNotFound(f"{server} has no model {self.model!r}: {error.error_message}") from error
        if error.status in (404, 405):
            wrong = f"{server} offers no chat completions; is base_url right? It usually ends in /v1"
            raise BackendError(wrong) from error
        raise CallError(error.message) from error


def response_format(form: ResponseFormat, schema: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The `response_format` field that asks for JSON: by strict schema, or any object."""
    if form == "json_object":
        return {"type": "json_object"}
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(schema.get("title") or "reply"))[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "schema": strict_schema(schema), "strict": True}}


def strict_schema(schema: Any) -> Any:
    """A JSON schema as strict mode wants it: every object closed, and all of its properties required."""
    if isinstance(schema, list):
        return [strict_schema(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    literal = ("enum", "const", "default")
    closed = {key: value if key in literal else strict_schema(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type", "object") == "object":
        closed |= {"required": list(closed["properties"]), "additionalProperties": False}
    return closed


def _details(error: HttpStatusError) -> Mapping[str, Any]:
    """The error object of the body: under `error`, or (vLLM's older shape) the body itself."""
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error")
    return inner if isinstance(inner, dict) else body
