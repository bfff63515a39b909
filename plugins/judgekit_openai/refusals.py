"""The meaning of a server's error: read from its code and parameter where it names them, else from its words.

Error bodies come as {"error": {…}}, {"error": "text"}, flat, as a list, as FastAPI's {"detail": [{"loc": …}]}, as a
gateway's wrapping of the provider's own body (at times as text within the text), as HTML, or as nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from judgekit import HttpStatusError

_UNSUPPORTED_CODES = frozenset({"unsupported_value", "unsupported_parameter", "unknown_parameter"})
_UNSUPPORTED = re.compile(
    r"unsupported|not support|unrecognized|unknown (?:parameter|field|argument|name)|unexpected keyword"
    r"|extra (?:inputs|fields)(?: are)? not permitted|only the default",
    re.IGNORECASE,
)
_FORMAT = re.compile(r"response_format|json_schema|structured.?outputs?|guided.?(?:json|decoding)", re.IGNORECASE)
_OWN_SCHEMA = re.compile(r"invalid schema|schema error", re.IGNORECASE)
_TOO_LONG = re.compile(r"context[ _](?:size|length|window)|prompt is too long|prompt too long", re.IGNORECASE)
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
_POLICY_CODES = frozenset(
    {"content_filter", "content_policy_violation", "invalid_prompt", "ResponsibleAIPolicyViolation"}
)
_NO_MODEL_CODES = frozenset({"model_not_found", "DeploymentNotFound"})
_LONGEST, _DEEPEST = 20_000, 6  # characters and levels of an error body that are looked at


def refused_field(error: HttpStatusError, fields: Sequence[str]) -> str | None:
    """The one of these body fields that the server does not take at all, if that is what the error says."""
    for fault in _objects(error.body):
        name = str(fault.get("param") or "").partition(".")[0]
        words = str(fault.get("message") or "")
        if name in fields and (_code(fault) in _UNSUPPORTED_CODES or _UNSUPPORTED.search(words)):
            return name
    text = _text(error)
    if not _UNSUPPORTED.search(text):
        return None
    named = [(place.start(), name) for name in fields if (place := _mention(name).search(text))]
    return min(named)[1] if named else None


def of_format(error: HttpStatusError) -> bool:
    """True if the server refuses the way in which JSON was asked for, and not the schema itself."""
    blamed = any(str(fault.get("param") or "").startswith("response_format") for fault in _objects(error.body))
    text = _text(error)
    return (blamed or bool(_FORMAT.search(text))) and not _OWN_SCHEMA.search(text)


def of_logprobs(error: HttpStatusError) -> bool:
    """True if the server refuses log-probabilities, or so many alternatives."""
    return bool(re.search(r"log.?prob", _text(error), re.IGNORECASE))


def of_length(error: HttpStatusError) -> bool:
    return bool(_codes(error) & _TOO_LONG_CODES or _TOO_LONG.search(_text(error)))


def of_content(error: HttpStatusError) -> bool:
    flagged = any("flagged_input" in fault for fault in _objects(error.body))  # OpenRouter's moderation
    return flagged or bool(_codes(error) & _POLICY_CODES)


def of_model(error: HttpStatusError) -> bool:
    return bool(_codes(error) & _NO_MODEL_CODES) or (error.status == 404 and "model" in error.error_message.lower())


def _codes(error: HttpStatusError) -> set[str]:
    codes = {str(fault.get(key)) for fault in _objects(error.body) for key in ("code", "type")}
    return codes | {str(error.error_code)}


def _code(fault: Mapping[str, Any]) -> str:
    return str(fault.get("code") or fault.get("type"))


def _mention(name: str) -> re.Pattern[str]:
    """The field's name as a name, not as a word of a sentence ("stop", "seed")."""
    before = r"(?:['\"`]|(?:parameter|argument|supplied|field|name)s?:?\s+)"
    after = r"['\"`]?\s+(?:is|are|does)\s+(?:not|un)"
    return re.compile(rf"{before}{name}\b|\b{name}{after}")


def _text(error: HttpStatusError) -> str:
    body = error.body
    return (body if isinstance(body, str) else json.dumps(body).replace('\\"', '"'))[:_LONGEST]


def _objects(body: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Every JSON object in an error body, the innermost first."""
    if depth > _DEEPEST:
        return
    if isinstance(body, dict):
        for value in body.values():
            yield from _objects(value, depth + 1)
        yield body
    elif isinstance(body, list):
        for value in body[:20]:
            yield from _objects(value, depth + 1)
    elif isinstance(body, str) and depth and "{" in body:  # a provider's body as a gateway's text
        try:
            inner = json.loads(body[body.index("{") : body.rindex("}") + 1][:_LONGEST])
        except (ValueError, RecursionError):
            return
        yield from _objects(inner, depth + 1)
