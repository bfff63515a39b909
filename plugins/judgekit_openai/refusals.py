"""The meaning of a server's error: read from its code and parameter where it names them, else from its words.

Error bodies come as {"error": {…}}, {"error": "text"}, flat, as a list, as FastAPI's {"detail": [{"loc": …}]}, as a
gateway's wrapping of the provider's own body (at times as text within the text), as HTML, or as nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from judgekit import HttpStatusError, Reply
from judgekit_openai.words import End, Fault, end_of, fault_by_code, fault_by_name, fault_by_words

_UNSUPPORTED_CODES = frozenset({"unsupported_value", "unsupported_parameter", "unknown_parameter"})
_UNSUPPORTED = re.compile(
    r"unsupported|not support|unrecognized|unknown (?:parameter|field|argument|name)|unexpected keyword"
    r"|extra (?:inputs|fields)(?: are)? not permitted|only the default",
    re.IGNORECASE,
)
_FORMAT = re.compile(r"response_format|json_schema|structured.?outputs?|guided.?(?:json|decoding)", re.IGNORECASE)
_OWN_SCHEMA = re.compile(r"invalid schema|schema error", re.IGNORECASE)
_NO_CREDIT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_NO_MODEL_CODES = frozenset({"model_not_found", "DeploymentNotFound"})
_PAGE = re.compile(r"<\s*(?:!doctype|html|head|body|h1)\b", re.IGNORECASE)
_BY_WORDS = (400, 403, 406, 413, 422, 424, 451)  # statuses of which the words are believed
_NOT_OF_ONE = (401, 402, 404, 405, 408, 429)  # those that say enough themselves
_SAYS = (
    "message",
    "Message",
    "detail",
    "details",
    "msg",
    "errors",
    "error_msg",
    "error_message",
    "err_msg",
    "error_code",
    "base_resp",
    "status_msg",
    "fault",
    "promptFeedback",
)  # fields of an error, where there is no `error`
_CODE_FIELDS = ("code", "type", "status", "error_type", "error_code", "err_code", "name")
_ECHOES = frozenset({"input", "flagged_input", "failed_generation", "prompt", "messages", "request", "body"})
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


def _is_page(body: Any) -> bool:
    """True for HTML: what stands before the server (a firewall) took offence, and not the server."""
    return isinstance(body, str) and bool(_PAGE.search(body))


def fault_of(error: HttpStatusError) -> Fault | None:
    """What the error is about, by the tables of `words`."""
    return _fault(error.status, error.body)


def _made_text(error: HttpStatusError) -> str:
    """What the model wrote, where the server found it to be no good JSON and shows it (Groq)."""
    texts = (fault.get("failed_generation") for fault in _objects(error.body))
    return next((text for text in texts if isinstance(text, str)), "")


def reply_to(error: HttpStatusError, notes: tuple[str, ...] = ()) -> Reply | None:
    """The reply that an error about one prompt comes to; None for another error."""
    words, fault = error.error_message, fault_of(error)
    if fault == "policy" or error.status == 451:
        return Reply(status="refused", detail=f"refused by the server's policy: {words}", notes=notes)
    if error.status == 403 and fault is None and _is_page(error.body):
        return Reply(status="refused", detail=f"stopped before the server (403): {words}", notes=notes)
    if fault == "output":
        return Reply(status="truncated", detail=f"cut at the token limit: {words}", notes=notes)
    if fault == "context" or (error.status == 413 and fault is None):
        return Reply(status="truncated", detail=f"the prompt does not fit the model's context: {words}", notes=notes)
    if fault == "json":
        noted = f"the model made no JSON that the server takes: {words}"
        return Reply(text=_made_text(error), detail=noted, notes=(*notes, noted))
    return None


def meaning(
    status: int, body: Any, reasons: Mapping[str, End] | None = None, field: str = "finish_reason"
) -> tuple[int, Any]:
    """What an answer comes to: (status, error body).

    An error under status 200 or in a choice has its own code, else 503 where the server is busy and 502 for a reason
    that is not known: these are tried again. An error about one prompt is 400 whatever its status; and a 4xx that
    says to come back later is 503.
    """
    if 200 <= status < 300:
        error, inside = _error_within(body, reasons or {}, field)
        if error is None:
            return status, body
        fault = _fault(400, error)
        if fault is not None:
            return (503 if fault == "busy" else 400), error
        if _codes(error) & (_NO_MODEL_CODES | _NO_CREDIT_CODES):
            return (404 if _codes(error) & _NO_MODEL_CODES else 402), error
        codes = [int(code) for code in _codes(error) if re.fullmatch(r"[45]\d\d", code)]
        code = codes[0] if codes else 502
        return (502 if inside and code in (401, 402, 403) else code), error  # a choice's key is not ours
    fault = _fault(status, body)
    if fault == "busy" and status in _BY_WORDS:
        return 503, body
    return (400 if status >= 500 and fault not in (None, "busy") else status), body


def _fault(status: int, body: Any) -> Fault | None:
    if status in _NOT_OF_ONE or status < 400:
        return None
    if any("flagged_input" in fault for fault in _objects(body)):  # OpenRouter's moderation
        return "policy"
    said = _said(body)
    found = fault_by_code(_codes(body)) or fault_by_name(said)
    if found is None and status in _BY_WORDS:
        found = fault_by_words(said)
    if found is None and status == 500 and fault_by_words(said) == "context":  # llama.cpp's, before it had a code
        found = "context"
    return found


def _error_within(body: Any, reasons: Mapping[str, End], field: str) -> tuple[Any, bool]:
    """The error in a body under status 200, and whether it is a choice's; None where there is none to be seen."""
    if not isinstance(body, dict):
        return None, False
    if body.get("error"):
        return body, False
    choices = [body] if "message" in body and "done" in body else body.get("choices")  # Ollama's, or OpenAI's
    if not isinstance(choices, list) or not choices:
        said = body.get("object") == "error" or any(body.get(key) for key in _SAYS)
        return (body if said else None), False
    choice = choices[0]
    if not isinstance(choice, dict):
        return None, False
    if choice.get("error"):
        return {"error": choice["error"]}, True
    reason = choice.get(field)
    if end_of(reason, reasons) == "error":
        return {"error": {"message": f"the server broke off the reply: {field} {reason!r}"}}, True
    return None, False


def of_model(error: HttpStatusError) -> bool:
    known = bool(_codes(error.body) & _NO_MODEL_CODES)
    return known or (error.status == 404 and "model" in error.error_message.lower())


def _codes(body: Any) -> set[str]:
    found = (fault.get(key) for fault in _objects(body) for key in _CODE_FIELDS)
    return {str(code) for code in found if isinstance(code, str | int) and not isinstance(code, bool)}


def _said(body: Any, depth: int = 0) -> str:
    """All that the body says, without what it repeats of the request."""
    if isinstance(body, str):
        return body[:_LONGEST]
    if depth > _DEEPEST or not isinstance(body, dict | list):
        return ""
    parts = [value for key, value in body.items() if key not in _ECHOES] if isinstance(body, dict) else body[:20]
    return "\n".join(filter(None, (_said(part, depth + 1) for part in parts)))[:_LONGEST]


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
