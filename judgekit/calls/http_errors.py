"""The errors of servers: what a status and a body say went wrong, in the many shapes that there are."""

from __future__ import annotations

import contextlib
import http
import json
import re
from typing import Any

from judgekit.errors import (
    CallError,
)
from judgekit.secrets import one_line

_LONGEST_PAGE = 100_000  # characters of an error page that are looked at
NO_CREDIT = re.compile(rb"insufficient_quota|billing_hard_limit_reached")  # whatever the body's shape
BAD_KEY = re.compile(rb"\b(?:invalid_api_key|API_KEY_INVALID)\b")  # some say so with status 400
FLAGGED = re.compile(rb'"(?:flagged_input|content_policy_violation|content_filter)"')  # 403, but of this prompt alone


class HttpStatusError(CallError):
    """The server answered with another status than 2xx, after the retries that the status allows.

    `body` is the parsed JSON, or the text where it is none. `error_code` is the server's own code (a string, an
    int or None; its `type` where there is no code), `error_message` its explanation in one line, scrubbed. `pause`:
    the seconds that the server wants to be left alone, where that is longer than anyone waits. `moved_to`: where a
    redirect leads.
    """

    def __init__(self, status: int, body: Any, url: str, pause: float | None = None, *, moved_to: str = "") -> None:
        self.status = status
        self.body = body
        self.error_message, self.error_code = explanation(status, body)
        if 300 <= status < 400:
            leads = f" to {one_line(moved_to)}" if moved_to else ""
            self.error_message = f"a redirect{leads}, which is not followed: a key stays with its server"
        asks = "" if pause is None else f"; it asks to be left alone for {pause:.0f} s"
        super().__init__(f"{url} answered {status}: {self.error_message}{asks}")


def explanation(status: int, body: Any) -> tuple[str, str | int | None]:
    """(message, code) from the many shapes of an error body; see HttpStatusError."""
    if isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict) and body[0].get("error"):
        body = body[0]
    error = body.get("error") if isinstance(body, dict) and body.get("error") else body
    code: Any = None
    message: Any = error
    if isinstance(error, dict):
        code = error.get("code") if error.get("code") is not None else error.get("type")
        message = next((error[key] for key in ("message", "detail", "msg") if error.get(key)), error)
    if not isinstance(message, str):
        message = json.dumps(message) if message else ""
    if isinstance(body, str):  # a proxy's HTML page: its words
        message = _words_of(message)
    known = code if isinstance(code, str | int) else None
    if not one_line(message):
        with contextlib.suppress(ValueError):
            message = http.HTTPStatus(status).phrase
    return one_line(message) or "no explanation", known


_TAG = re.compile(r"<(/?)([a-z]*)[^<>]*>", re.IGNORECASE)


def _words_of(page: str) -> str:
    """What a page says, without its tags, scripts and head; one look at each character, whatever stands there."""
    words, unseen, begin = [], "", 0
    for tag in _TAG.finditer(page[:_LONGEST_PAGE]):
        closing, name = tag[1], tag[2].lower()
        if not unseen:
            words.append(page[begin : tag.start()])
            unseen = name if name in ("script", "style", "head") and not closing else ""
        elif closing and name == unseen:
            unseen = ""
        begin = tag.end()
    return " ".join([*words, "" if unseen else page[begin:_LONGEST_PAGE]])
