"""The one JSON object of a reply that bears the call's nonce. Pure; no value is ever guessed.

Servers that do not hold a judge to the schema let it write what is nearly JSON: line breaks and tabs within a string,
LaTeX's backslashes, `\\'`, a comma too many, prose with braces around it. None of these leaves a doubt about the
score. A second object with a verdict does, and so does a key that is there twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from judgekit import shortened
from judgekit.judging import Unreadable

MOST = 25  # places of a reply where an object may begin
_BEGIN = re.compile(r'\{(?=\s*["}])')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BACKSLASH = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9A-Fa-f]{4})|(.))', re.DOTALL)
_VERDICT = re.compile("score|rating|grade|winner|점수|평점|승자")
_COMMA = re.compile(r",(\s*[}\]])")


def object_in(text: str, verdicts: Iterable[str]) -> tuple[dict[str, Any], str]:
    """The object with the verdicts' keys, and its source. Raises Unreadable where there is none, or another beside."""
    wanted = [*verdicts, "nonce"]
    if not text.strip():
        raise Unreadable("the reply is empty")
    if "{" not in text or "}" not in text:
        raise Unreadable("no JSON object")
    found: list[tuple[dict[str, Any], int, int]] = []
    problem: Unreadable | None = None
    end = 0
    for place, match in enumerate(_BEGIN.finditer(text)):
        if match.start() < end:
            continue
        if place >= MOST:
            raise Unreadable("not one JSON object: too many braces to tell which is the verdict")
        try:
            fields, end = _load(text, match.start())
        except Unreadable as error:
            problem = problem or error
            continue
        found.append((fields, match.start(), end))
    named = [one for one in found if _names(one[0]) & {name.casefold() for name in wanted}] or found
    if not named and (quoting := _behind_quotes(text, wanted)) is not None:
        return _asked_for(quoting, wanted), text
    if not named:
        raise problem or Unreadable("no JSON object")
    fields, begin, end = named[0]
    key = re.compile(rf"[\"'“]({'|'.join(map(re.escape, wanted))})[\"'”]\s*:", re.IGNORECASE)
    if len(named) > 1 or key.search(text[:begin]) or key.search(text[end:]):
        raise Unreadable("not one JSON object: there are more than one")
    return _asked_for(fields, wanted), text[begin:end]


def _behind_quotes(text: str, wanted: list[str]) -> dict[str, Any] | None:
    """The object whose rationale has quotation marks that are not escaped: what stands behind it, up to the nonce at
    the end, if each key is there once alone. None where that is not so."""
    if any(len(re.findall(rf'"{re.escape(key)}"\s*:', text)) != 1 for key in ("rationale", *wanted)):
        return None
    keys = r"[^{}]*?".join(rf'"{re.escape(key)}"\s*:' for key in wanted)
    match = re.search(rf'\{{\s*"rationale"\s*:\s*"(.*)"\s*,\s*({keys}\s*"[^"{{}}]*"\s*,?\s*\}})', text, re.DOTALL)
    if match is None or "{" in text[match.end() :]:
        return None
    try:
        fields, end = _load("{" + match[2], 0)
    except Unreadable:
        return None
    return {"rationale": match[1], **fields} if end == len(match[2]) + 1 else None


def _asked_for(fields: Mapping[str, Any], wanted: list[str]) -> dict[str, Any]:
    """The fields by the names asked for, in whatever case; the rationale and the nonce may be missing. Others are let
    be, but for one that may be another verdict."""
    names = {name.casefold(): name for name in ("rationale", *wanted)}
    mine = [(names[key.strip().casefold()], value) for key, value in fields.items() if key.strip().casefold() in names]
    found = dict(mine)
    if len(found) < len(mine):
        raise Unreadable("a key twice in the JSON object")
    if not wanted[:-1] or any(name not in found for name in wanted[:-1]):
        raise Unreadable(f"the keys are not {', '.join(names.values())}: {short(', '.join(fields))}")
    others = {key: value for key, value in fields.items() if key.strip().casefold() not in names}
    if more := [key for key in _keys(others) if _VERDICT.search(key.casefold())]:
        raise Unreadable(f"the keys name more than one verdict: {short(more[0])} beside {', '.join(names.values())}")
    return found


def _names(fields: Mapping[str, Any]) -> set[str]:
    return {key.strip().casefold() for key in fields}


def _keys(value: Any) -> Iterator[str]:
    """The keys of an object, and of those within it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)


def _load(text: str, begin: int) -> tuple[dict[str, Any], int]:
    """The object that begins there, and where it ends: read as JSON, or else with what needs no guess mended."""
    try:
        return _decoded(text, begin)
    except Unreadable as error:
        problem = error
    source, places = _mended(text, begin)
    try:
        fields, end = _decoded(source, 0)
    except Unreadable:
        raise problem from None
    return fields, places[end - 1] + 1


def _mended(text: str, begin: int) -> tuple[str, list[int]]:
    """The text from there on, with backslashes that escape nothing doubled and commas before a closing bracket left
    out; and the place in the text of each of its characters."""
    parts: list[str] = []
    places: list[int] = []

    def add(part: str, start: int, length: int) -> None:
        parts.append(part)
        places.extend(start + min(n, length - 1) for n in range(len(part)))

    place = begin
    for string in [*_STRING.finditer(text, begin), None]:
        outside = text[place : string.start() if string else len(text)]
        last = 0
        for comma in _COMMA.finditer(outside):
            add(outside[last : comma.start()], place + last, comma.start() - last)
            last = comma.start() + 1
        add(outside[last:], place + last, len(outside) - last)
        if string:
            whole = string[0]
            last = 0
            for mark in _BACKSLASH.finditer(whole):
                if mark[2] is not None:
                    add(whole[last : mark.start()], string.start() + last, mark.start() - last)
                    add("'" if mark[2] == "'" else "\\\\" + mark[2], string.start() + mark.start(), 2)
                    last = mark.end()
            add(whole[last:], string.start() + last, len(whole) - last)
            place = string.end()
    return "".join(parts), places


def _decoded(source: str, begin: int) -> tuple[dict[str, Any], int]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise Unreadable("a key twice in the JSON object")
        return fields

    def constant(name: str) -> None:
        raise Unreadable(f"{name} is not JSON")

    decoder = json.JSONDecoder(object_pairs_hook=unique, parse_constant=constant, strict=False)
    try:
        fields, end = decoder.raw_decode(source, begin)
    except Unreadable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not one JSON object: {short(str(error))}") from None
    return fields, end


def short(value: object) -> str:
    """A value for a message."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # an integer too long to print
        text = "a very long number"
    return shortened(text, 60)
