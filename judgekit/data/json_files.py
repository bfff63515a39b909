"""Files of objects: a JSON array, JSONL, or a table (tables.py), and the line on which each object begins."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judgekit.data.tables import COLUMNS, TABLES, content_of, kind_of, rows_of_columns, rows_of_table
from judgekit.errors import DataError
from judgekit.secrets import shortened

LINES = (".jsonl", ".ndjson")  # suffixes of files that hold one object a line


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a file: its place and its fields.

    `number` counts the objects from 1, `line` is where it begins. `names`: the file's names of fields that were
    renamed."""

    path: Path
    number: int
    line: int
    fields: dict[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        kind = kind_of(self.path)
        if kind in COLUMNS:
            return f"row {self.number}"
        return f"line {self.line}" if kind in (*LINES, *TABLES) else f"item {self.number}"

    def error(self, message: str, where: str = "") -> DataError:
        """The error that names file, line and item (and `where` in it)."""
        item = "" if self.place.startswith("line") else self.place
        place = ", ".join(filter(None, (item, where)))
        line = None if kind_of(self.path) in COLUMNS else self.line
        return DataError(f"{place}: {message}" if place else message, path=self.path, line=line)

    def called(self, key: str) -> str:
        """A field for messages: by the file's name of it, where a mapping has renamed it."""
        return f"{self.names[key]!r} ({key})" if key in self.names else repr(key)

    def text(self, key: str, *, required: bool = False) -> str | None:
        """A field that is a text or missing; not missing, nor empty, where it is `required`."""
        value = self.fields.get(key)
        if isinstance(value, str) and (value.strip() or not required):
            return value
        if value is None and not required:
            return None
        name = self.called(key)
        raise self.error(f"no {name}" if value is None else f"{name} is {'empty' if value == '' else 'not a text'}")


def holds_objects(path: Path) -> bool:
    """Whether a file is one of objects or rows, by its name."""
    return kind_of(path) in (".json", *LINES, *TABLES, *COLUMNS)


def read_objects(path: Path, delimiter: str | None = None, bad: list[DataError] | None = None) -> Iterator[Entry]:
    """Every object of a JSON array or JSONL file, or every row of a table, packed or not. `delimiter` None: that of a
    table is told by its first rows. Raises DataError with file and line; with a list for them, rows that cannot be read
    are left out, and the errors put there."""
    number = 0
    for number, (line, value) in enumerate(_values(path, delimiter, bad), start=1):
        entry = Entry(path, number, line, value)
        if isinstance(value, dict):
            yield entry
            continue
        whole = isinstance(value, list) and kind_of(path) in LINES
        hint = "; a file that is one JSON array ends in .json" if whole else ""
        error = entry.error(f"should be an object, not {type(value).__name__}{hint}")
        if bad is None:
            raise error
        bad.append(error)
    if not number:
        raise DataError("has no items", path=path)


def _values(path: Path, delimiter: str | None, bad: list[DataError] | None) -> Iterator[tuple[int, Any]]:
    """(line, value) of everything in a file."""
    kind = kind_of(path)
    if kind in COLUMNS:
        return enumerate(rows_of_columns(path), start=1)
    if kind in TABLES:
        table = _decoded(content_of(path), path)
        if not table.strip():
            raise DataError("is empty", path=path)
        return rows_of_table(table, path, delimiter, bad)
    text = read_text(path)
    if not text.strip():
        raise DataError("is empty", path=path)
    return _of_lines(path, text, bad) if kind in LINES else _of_array(path, text)


def _of_lines(path: Path, text: str, bad: list[DataError] | None) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):  # the other line ends may stand within JSON
        if line.strip():
            if number == 1 and line.strip() == "[":
                raise DataError("is a JSON array, not one object a line: such a file ends in .json", path=path, line=1)
            try:
                value = parse_json(line, path, first_line=number)
            except DataError as error:
                if bad is None:
                    raise
                bad.append(error)
                continue
            yield number, value


def _of_array(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    try:
        array = parse_json(text, path)
    except DataError:
        if text.lstrip().startswith("{") and _is_object(text.lstrip().split("\n", 1)[0]):
            raise DataError(
                "is not one JSON array but JSONL, one object a line: such a file ends in .jsonl", path=path, line=1
            ) from None
        raise
    if not isinstance(array, list):
        raise DataError(f"should be a JSON array of items, not {type(array).__name__}", path=path)
    yield from zip(lines_of_array(text), array, strict=True)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def lines_of_array(text: str) -> Iterator[int]:
    """The line on which each item of a JSON array (known to be one) begins."""
    decoder, gap = json.JSONDecoder(), re.compile(r"[\s,]*")
    line, counted, at = 1, 0, text.index("[") + 1
    while text[at := gap.match(text, at).end()] != "]":  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, at), at
        yield line
        at = decoder.raw_decode(text, at)[1]


def read_text(path: Path) -> str:
    """A data file's text, unpacked, with plain line ends. Raises DataError where it cannot be read, and with the line
    for bytes that are not UTF-8."""
    return _decoded(content_of(path), path).replace("\r\n", "\n").replace("\r", "\n")


def _decoded(content: bytes, path: Path) -> str:
    """The bytes as text, without a byte-order mark."""
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if marked else "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        said = f"not UTF-8 text: {error.reason} at byte {error.start}; save it as UTF-8"
        raise DataError(said, path=path, line=line) from None


def parse_json(text: str, path: Path, first_line: int = 1) -> Any:
    """Strict JSON: NaN, infinities and a key twice in an object are refused. Raises DataError with the line."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_refuse_twice)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DataError(f"not JSON: {error.msg} (column {error.colno})", path=path, line=line) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}", path=path, line=first_line) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{shortened(digits, 40)} is too large for a number")
    return value


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is there twice in one object")
    return fields
