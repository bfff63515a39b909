"""The bodies of requests and responses: strict JSON, streamed files, headers as bytes."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from judgekit.calls.http_errors import _LONGEST_PAGE, explanation
from judgekit.errors import (
    CallError,
    ConfigError,
)
from judgekit.secrets import Secret, clean, one_line, scrub


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
    found = dict(pairs)
    if len(found) < len(pairs) and (twice := [key for key, value in pairs if found[key] != value]):
        raise _NotOurs(f"the key {twice[0]!r} with two values")
    return found


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_one_meaning)
