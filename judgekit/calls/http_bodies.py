"""What is sent and what comes back: addresses and headers as bytes, strict JSON, and errors in their many shapes."""

from __future__ import annotations

import contextlib
import http
import json
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from judgekit.errors import CallError, ConfigError
from judgekit.secrets import Secret, clean, one_line, scrub

_LONGEST_PAGE = 100_000  # characters of an error page that are looked at
NO_CREDIT = re.compile(rb"insufficient_quota|billing_hard_limit_reached")  # whatever the body's shape
BAD_KEY = re.compile(rb"\b(?:invalid_api_key|API_KEY_INVALID)\b")  # some say so with status 400
FLAGGED = re.compile(rb'"(?:flagged_input|content_policy_violation|content_filter)"')  # 403, but of this prompt alone


def parse_body(base_url: str) -> urllib.parse.SplitResult:
    parts = urllib.parse.urlsplit(base_url)
    try:
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if "@" in parts.netloc:
        raise ConfigError("a server's address must not hold a user name or password: name an environment variable")
    if not valid or parts.fragment or parts.query:
        shown = f"{base_url.partition('?')[0].partition('#')[0]}?…" if parts.query or parts.fragment else base_url
        raise ConfigError(f"not an http:// or https:// address of a server: {shown!r}")
    return parts


def ascii_bytes(host: str) -> bytes:
    return host.encode("ascii") if host.isascii() else host.encode("idna")


def header_bytes(name: str, value: str | Secret) -> bytes:
    """A header value as bytes. A bad one is refused here: HTTP libraries would print it in their error."""
    text = value.reveal() if isinstance(value, Secret) else value
    if not text.isascii() or not text.isprintable():
        holder = value.name if isinstance(value, Secret) else f"the header {name}"
        raise ConfigError(f"{holder} holds a character that no HTTP header can carry")
    return text.encode("ascii")


def chunks(parts: Sequence[bytes | Path]) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        with part.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk


class Marks:
    """What a server tells its answers apart by: an `id`, or Ollama's `created_at`. A server whose answers all have one
    and the same has none, until two are seen to differ or an id looks drawn at random."""

    def __init__(self) -> None:
        self._last = b""
        self._differ = False

    def tell_apart(self, raw: bytes) -> bool:
        """True if the answer has a mark, so that an equal one would be the same answer again."""
        found = _MARK.search(raw)
        if found is None:
            return False
        mark, last = found[2], self._last
        self._differ = self._differ or bool(last and mark != last)
        self._last = mark
        return self._differ or (found[1] == b"id" and len(mark) >= 20 and any(char in b"0123456789" for char in mark))


_MARK = re.compile(rb'"(id|created_at)"\s*:\s*"([^"]{1,200})"')


def strict_json(raw: bytes, url: str) -> Any:
    """Strict JSON (no NaN, no key with two values); lone surrogates are let through, since models do write them."""
    text = raw.decode("utf-8", "replace")
    try:
        text = raw.decode("utf-8", "surrogatepass").removeprefix("\ufeff")
        body = _DECODER.decode(text)
        return body if scrub(text) is text else clean(body)
    except (ValueError, RecursionError) as error:
        if said := last_error(scrub(text)):
            raise CallError(one_line(f"{url} broke off its answer with an error: {said}")) from error
        why = f" ({error})" if isinstance(error, _NotOurs) else ""
        start = one_line(text, 80)
        raise CallError(one_line(f"{url} answered with something that is not JSON, or cut{why}: {start!r}")) from error


def last_error(text: str) -> str:
    """What the last line says, if it is an error: servers that stream have no other way to say it under status 200."""
    lines = text[-_LONGEST_PAGE:].rstrip().splitlines()
    if len(lines) < 2:
        return ""
    try:
        body = json.loads(lines[-1].removeprefix("data:"))
    except (ValueError, RecursionError):
        return ""
    return explanation(200, body)[0] if isinstance(body, dict) and body.get("error") else ""


class _NotOurs(ValueError):
    """JSON to Python's reader, but not one meaning to everyone."""


def _no_constant(name: str) -> None:
    raise _NotOurs(f"{name} is not JSON")


def _one_meaning(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs) and (twice := [key for key, value in pairs if values[key] != value]):
        raise _NotOurs(f"the key {twice[0]!r} with two values")
    return values


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_one_meaning)


class HttpStatusError(CallError):
    """The server answered with another status than 2xx, after the retries that the status allows.

    `body` is the parsed JSON, or the text where it is none. `error_code` is the server's own code (a string, an
    int or None; its `type` where there is no code), `error_message` its explanation in one line, scrubbed. `pause`:
    the seconds that the server wants to be left alone, where that is longer than anyone waits. `moved_to`: where a
    redirect leads. `sent`: the status on the wire, where that is another one than the answer came to.
    """

    def __init__(
        self,
        status: int,
        body: Any,
        url: str,
        pause: float | None = None,
        *,
        moved_to: str = "",
        sent: int | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.error_message, self.error_code = explanation(status, body)
        if 300 <= status < 400:
            leads = f" to {one_line(moved_to)}" if moved_to else ""
            self.error_message = f"a redirect{leads}, which is not followed: a key stays with its server"
        asks = "" if pause is None else f"; it asks to be left alone for {pause:.0f} s"
        super().__init__(f"{url} answered {sent or status}: {self.error_message}{asks}")


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
