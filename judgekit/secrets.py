"""Keys, which never reach a log or a file: shown by name, and taken out of every text by value."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

_SHORTEST = 8  # characters: placeholders such as "ollama" or "EMPTY" are words, and stay
_LONG = 16  # characters: from here on, the value of a variable with a key's name is a key
_LONGEST = 100_000  # characters of a text that are looked at for a line of it
_HOLDS_A_KEY = re.compile(r"(?:API_?KEY|ACCESS_?KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)

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


def environment_variable(name: str) -> str:
    """The name, if it is one of an environment variable. Raises ValueError, which does not show it: a key that was put
    in the name's place by mistake must not be seen either."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("this is no name of an environment variable; a key itself must not stand in a config")
    return name


def know_environment() -> None:
    """Scrub every key in the environment from every text from now on, also those that are never sent: a server, or a
    library in its error, may repeat them."""
    for name, value in os.environ.items():
        if _HOLDS_A_KEY.search(name) and len(value.strip()) >= _LONG:
            Secret(value.strip(), name)


def _spellings(value: str) -> Iterator[str]:
    """The value as it may turn up in a text: raw, JSON- and HTML-escaped, URL-encoded, in hexadecimal, and inside
    base64 at any offset. `_plain` undoes escapes of single characters."""
    encoded = (urllib.parse.quote(value, safe=""), urllib.parse.quote(value), urllib.parse.quote_plus(value))
    yield from (value, json.dumps(value)[1:-1], html.escape(value), *encoded)
    yield from (re.sub("%..", lambda match: match[0].lower(), text) for text in encoded)
    raw = value.encode("utf-8", "surrogatepass")
    yield from (raw.hex(), raw.hex().upper())
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + raw).decode()
        core = text[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]  # characters made of the value's bits alone
        yield from (core, core.replace("+", "-").replace("/", "_"))


_ESCAPE = re.compile(
    r"\\+u00([2-7][0-9a-f])|\\+(/)|%(?:25)*([2-7][0-9a-f])|&#x0*([2-7][0-9a-f]);|&#0*(\d{2,3});", re.IGNORECASE
)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=:")


def _plain(text: str) -> str:
    """The text with escapes undone (JSON's, URLs', HTML's) of the characters that keys are made of.

    None of these means anything in JSON, so what was JSON stays it.
    """

    def char(match: re.Match[str]) -> str:
        escaped, slash, percent, hexadecimal, decimal = match.groups()
        plain = slash or chr(int(decimal) if decimal else int(escaped or percent or hexadecimal, 16))
        return plain if plain in _UNRESERVED else match[0]

    return _ESCAPE.sub(char, text)


def scrub(text: str) -> str:
    """The text without any known secret; applied before every log, file and error message."""
    text = _without(text)
    if "\\u00" in text or "\\/" in text or "%" in text or "&#" in text:
        plain = _plain(text)
        unveiled = _without(plain)
        return text if unveiled is plain else unveiled
    return text


def _without(text: str) -> str:
    for spelling in _known:
        if spelling in text:
            text = text.replace(spelling, "[secret]")
    return text


def clean(value: Any) -> Any:
    """Parsed JSON with every string scrubbed, keys included."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def shortened(text: str, limit: int) -> str:
    """The text cut to `limit` characters, scrubbed first: of half a key nobody knows any more that it is one."""
    text = scrub(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(text: str, limit: int = 300) -> str:
    """Foreign text for an error message: scrubbed, printable, on one line, at most `limit` characters."""
    begin = scrub(text)[:_LONGEST]
    return shortened(" ".join("".join(char if char.isprintable() else " " for char in begin).split()), limit)
