"""Keys that never reach a sink: shown by name, and taken out of every text by value."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import urllib.parse
from collections.abc import Iterator

_SHORTEST = 8  # characters: placeholders such as "ollama" or "EMPTY" are words, and stay

_known: list[str] = []  # every spelling of every secret, longest first
_known_lock = threading.Lock()


class Secret:
    """A key. It is shown by name only; `reveal` is for the transport, which makes the headers."""

    __slots__ = ("_value", "name")

    def __init__(self, value: str, name: str = "secret") -> None:
        self.name = name
        self._value = value
        if len(value) >= _SHORTEST:
            with _known_lock:
                _known[:] = sorted({*_known, *_spellings(value)}, key=lambda text: (-len(text), text))

    @classmethod
    def from_env(cls, name: str) -> Secret | None:
        """The value of an environment variable; None where it is unset or blank."""
        value = os.environ.get(name, "").strip()
        return cls(value, name) if value else None

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.name})"

    def __reduce__(self) -> str:
        raise TypeError(f"{self!r} cannot be pickled")


def _spellings(value: str) -> Iterator[str]:
    """The value as it may turn up in a text: raw, JSON-escaped, URL-encoded, and inside base64 at any offset."""
    encoded = (urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value))
    yield from (value, json.dumps(value)[1:-1], *encoded)
    yield from (re.sub("%..", lambda match: match[0].lower(), text) for text in encoded)
    raw = value.encode("utf-8", "surrogatepass")
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + raw).decode()
        core = text[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]  # characters made of the value's bits alone
        yield from (core, core.replace("+", "-").replace("/", "_"))


def scrub(text: str) -> str:
    """The text without any known secret: what stands before every log, file and error message."""
    for spelling in _known:
        if spelling in text:
            text = text.replace(spelling, "[secret]")
    return text


def one_line(text: str, limit: int = 300) -> str:
    """Foreign text made fit for an error message: scrubbed, printable, on one line, at most `limit` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in scrub(text[:100_000])).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
