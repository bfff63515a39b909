"""Chat completions: one Request in, one Reply out, for every server with this protocol.

`ChatClient` is what other plugins build on: give it an `Http`, a model's name and a `Dialect`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from pydantic import JsonValue

from judgekit import (
    AuthError,
    BackendError,
    CallError,
    Http,
    HttpStatusError,
    Message,
    ModelNotFound,
    Reply,
    Request,
    Sampling,
)
from judgekit.judging import without_thoughts
from judgekit_openai import refusals
from judgekit_openai.replies import answer_tokens, read_reply, read_tokens
from judgekit_openai.schemas import Form, response_format, strict_schema
from judgekit_openai.words import End

__all__ = ["OWN_FIELDS", "ChatClient", "Dialect", "Wording", "response_format", "strict_schema"]

ResponseFormat = Literal["auto", "json_schema", "json_object", "none"]
TokensField = Literal["max_completion_tokens", "max_tokens"]

SAMPLING_FIELDS = ("temperature", "top_p", "top_k", "seed", "stop")
OWN_FIELDS = frozenset(
    {"model", "messages", "n", "stream", "response_format", "max_completion_tokens", "max_tokens", "logprobs"}
    | {"top_logprobs", *SAMPLING_FIELDS}
)
_PATH = "chat/completions"
_HARMLESS = Request(messages=(Message(role="user", content="Hi"),), sampling=Sampling(max_new_tokens=1))
_FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True)
class Dialect:
    """A server's variant of the protocol.

    `defaults`: sampling fields sent where the request leaves them open; `extra`: further body fields;
    `response_format`: how a JSON schema is asked for. `auto` begins with json_schema and gives way to json_object,
    then to nothing, where the server refuses; each step is noted in the replies. `finish_reasons`: further words for
    how a reply ended.
    """

    max_tokens_field: TokensField = "max_completion_tokens"
    response_format: ResponseFormat = "auto"
    defaults: Mapping[str, JsonValue] = field(default_factory=dict)
    extra: Mapping[str, JsonValue] = field(default_factory=dict)
    finish_reasons: Mapping[str, End] = field(default_factory=dict)


@dataclass(frozen=True)
class Wording:
    """The fields of requests to a model, as its refusals have taught us: each refusal removes one."""

    cap: TokensField
    form: Form
    left_out: frozenset[str] = frozenset()

    def less(self, other: Wording, first_cap: TokensField) -> Wording:
        """The fields that are left in both."""
        return Wording(
            cap=self.cap if self.cap != first_cap else other.cap,
            form=max(self.form, other.form, key=_FORMS.index),
            left_out=self.left_out | other.left_out,
        )


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
        self._gives_logprobs = False
        self._wording = Wording(
            cap=dialect.max_tokens_field,
            form="json_schema" if dialect.response_format == "auto" else dialect.response_format,
        )

    @property
    def wording(self) -> Wording:
        """The wording of the next request."""
        with self._lock:
            return self._wording

    def ask(self, request: Request) -> Reply:
        """One reply. A prompt over the context gives `truncated`, one that the server's policy forbids `refused`.

        Raises ModelNotFound, another BackendError (no call can succeed) or CallError (this one failed).
        """
        while True:  # ends: each turn sends less than the one before
            wording = self.wording
            body, notes = self.body(request, wording)
            try:
                answer = self.http.post(_PATH, body, self.meaning).body
            except HttpStatusError as error:
                if self.gives_way(error, body, wording):
                    continue
                return self.without_answer(error, request, notes)
            except AuthError as error:
                return self.without_answer(self._of_this_call(error, request), request, notes)
            return self.read(answer, request, notes)

    def meaning(self, status: int, body: Any) -> tuple[int, Any]:
        """What an answer comes to (`refusals.meaning`)."""
        return refusals.meaning(status, body, self.dialect.finish_reasons)

    def _of_this_call(self, error: AuthError, request: Request) -> HttpStatusError:
        """The answer 403, if it is about this call and not about the key. Raises the error again where it is."""
        forbidden = error.__cause__
        if not isinstance(forbidden, HttpStatusError):
            raise error
        told = refusals.fault_of(forbidden) is not None or (request.top_logprobs and refusals.of_logprobs(forbidden))
        if not told and not self.http.lets_in(_PATH, self.body(_HARMLESS, self.wording)[0]):
            raise error
        return forbidden

    def body(self, request: Request, wording: Wording) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
        """The wire body, and notes on what the server made us leave out."""
        sampling = request.sampling.model_dump(mode="json", exclude_none=True)
        wanted: dict[str, JsonValue] = {**self.dialect.defaults}
        wanted.update({name: sampling[name] for name in SAMPLING_FIELDS if sampling.get(name) not in (None, [])})
        body: dict[str, JsonValue] = {
            "model": self.model,
            "messages": [message.model_dump(mode="json") for message in request.messages],
            **{name: value for name, value in wanted.items() if name not in wording.left_out},
            **self.dialect.extra,
        }
        notes = [f"{name} was refused by the server and left out" for name in wanted if name in wording.left_out]
        if request.sampling.max_new_tokens is not None:
            body[wording.cap] = request.sampling.max_new_tokens
        if request.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        if request.json_schema is not None:
            if wording.form != "none":
                body["response_format"] = response_format(wording.form, request.json_schema)
            if self.dialect.response_format == "auto" and wording.form != "json_schema":
                notes.append(f"the server refused a JSON schema; asked with response_format {wording.form}")
        return body, tuple(notes)

    def gives_way(self, error: HttpStatusError, body: Mapping[str, JsonValue], sent: Wording) -> bool:
        """Learn what the server refused; True where the request can be sent again without it."""
        if error.status not in (400, 422):
            return False
        name = refusals.refused_field(error, [name for name in (*SAMPLING_FIELDS, sent.cap) if name in body])
        less = None
        if name == sent.cap:
            other = next(field for field in get_args(TokensField) if field != name)
            less = replace(sent, cap=other) if name == self.dialect.max_tokens_field else None
        elif name is not None:
            less = replace(sent, left_out=sent.left_out | {name})
        elif "response_format" in body and self.dialect.response_format == "auto" and refusals.of_format(error):
            less = replace(sent, form=_FORMS[_FORMS.index(sent.form) + 1])
        if less is None:
            return False
        with self._lock:
            self._wording = self._wording.less(less, self.dialect.max_tokens_field)
        return True

    def read(self, answer: Any, request: Request, notes: tuple[str, ...]) -> Reply:
        """The Reply in a completion. Raises CallError for anything else, BackendError where the log-probabilities that
        the request needs are missing."""
        reply = read_reply(answer, notes, reasons=self.dialect.finish_reasons, cap=request.sampling.max_new_tokens)
        if (
            request.json_schema is not None
            and reply.status == "complete"
            and not _is_json(without_thoughts(reply.text))
        ):
            reply = reply.model_copy(update={"notes": (*reply.notes, "the reply to a JSON schema is not JSON")})
        if not request.top_logprobs or reply.status == "refused":
            return reply
        tokens = read_tokens(answer)
        if any(token.top for token in tokens):
            self._gives_logprobs = True
        elif reply.text:
            raise self._no_logprobs("the reply came without them")
        if reply.reasoning and tokens and not (tokens := answer_tokens(tokens, reply.text)) and reply.text:
            lost = "the log-probabilities of the answer cannot be told from those of the thoughts: left out"
            return reply.model_copy(update={"notes": (*reply.notes, lost)})
        return reply.model_copy(update={"tokens": tokens})

    def without_answer(self, error: HttpStatusError, request: Request, notes: tuple[str, ...]) -> Reply:
        """The result of an error status for the request: a reply without text, or an exception."""
        if request.top_logprobs and error.status in (400, 403, 422) and refusals.of_logprobs(error):
            raise self._no_logprobs(error.error_message) from error
        if reply := refusals.reply_to(error, notes):
            return reply
        server = self.http.base_url
        if 300 <= error.status < 400:
            raise BackendError(f"{error.message}; set base_url to where it leads, if you trust that server") from error
        if refusals.of_model(error):
            raise ModelNotFound(f"{server} has no model {self.model!r}: {error.error_message}") from error
        if error.status in (404, 405):
            wrong = f"{server} offers no chat completions; is base_url right? It usually ends in /v1"
            raise BackendError(wrong) from error
        raise CallError(error.message) from error

    def _no_logprobs(self, why: str) -> CallError | BackendError:
        """The error to raise where log-probabilities are missing: one call's failure, if the model has given them
        before."""
        words = f"{self.model!r} at {self.http.base_url} gives no log-probabilities, which were asked for: {why}"
        words += ". A judge's `mode: reason_json` or `integer` needs none, nor does multiple choice's `reading: schema`"
        return CallError(words) if self._gives_logprobs else BackendError(words)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
