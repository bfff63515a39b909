"""Files of labels that people gave to responses: JSON, JSONL or CSV, read with the place of every label.

    id        the sample's id (or `instruction` and `input`, where the samples have no ids of their own)
    label     a score, yes/no, or for pairwise metrics the winner; also called `score` or `winner`
    system    the system that responded; may be left out where there is one system
    repeat    the number of the response, where the system gave several; may be left out
    labeller  the person who labelled, where several people labelled the same response

A JSON file is an array of such objects, or {"id": label, …}. Other columns are ignored.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from judgekit.data.items import content_id
from judgekit.data.json_files import lines_of_array, parse_json, read_text
from judgekit.errors import DataError
from judgekit.secrets import shortened

Value = str | float | bool
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "sample_id"),
    "label": ("label", "score", "winner"),
    "system": ("system",),
    "repeat": ("repeat",),
    "labeller": ("labeller", "annotator", "rater"),
}
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
ALIKE = 0.75  # similarity from which an unknown column is a misspelling of one of ours, and not the user's own
NOT_A_NUMBER = {"nan", "inf", "-inf", "+inf", "infinity", "-infinity"}


@dataclass(frozen=True)
class Label:
    """One label as it stands in the file: a number, true/false, or a text. `line` is None in a JSON mapping."""

    sample_id: str
    value: Value
    system: str | None = None
    repeat: int | None = None
    labeller: str = ""
    line: int | None = None


@dataclass(frozen=True)
class LabelFile:
    """The labels of a file in its order, the number of empty rows, and the columns that are not used."""

    path: Path
    labels: tuple[Label, ...]
    empty: int = 0
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Line:
    fields: dict[str, Any]
    line: int | None


def read_labels(path: Path) -> LabelFile:
    """The labels of a file. Raises DataError with file and line: missing, empty, not JSON or CSV, a misspelt or
    missing column, an ill-typed field, NaN, the same response labelled twice by the same labeller."""
    text = read_text(path).removeprefix("\ufeff")
    if not text.strip():
        raise DataError("is empty", path=path)
    if path.suffix in (".csv", ".tsv"):
        rows = list(_csv_rows(text, path))
    elif path.suffix == ".jsonl":
        lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        rows = [_row(parse_json(line, path, first_line=number), number, path) for number, line in lines]
    elif path.suffix == ".json":
        rows = list(_json_rows(text, path))
    else:
        raise DataError(
            f"labels are a .json, .jsonl, .csv or .tsv file, not {path.suffix or 'without a suffix'}", path=path
        )
    if not rows:
        raise DataError("has no labels", path=path)
    names = _columns(rows, path)
    labels = [label for row in rows if (label := _label(row, names, path)) is not None]
    if not labels:
        raise DataError("every label is empty", path=path)
    _refuse_twice(labels, path)
    ignored = dict.fromkeys(key for row in rows for key in row.fields if key not in names.values())
    return LabelFile(path, tuple(labels), len(rows) - len(labels), tuple(ignored))


# --- the three formats -----------------------------------------------------------------------------------------------


def _csv_rows(text: str, path: Path) -> Iterator[_Line]:
    first = text.split("\n", 1)[0]
    delimiter = max("\t" if path.suffix == ".tsv" else ",", ";", "\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader)]
        twice = [name for name in header if name and header.count(name) > 1]
        if twice:
            raise DataError(f"the column {twice[0]!r} is there twice", path=path, line=1)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise DataError(f"{len(cells)} cells under {len(header)} columns", path=path, line=reader.line_num)
            yield _Line({name: cell.strip() for name, cell in zip(header, cells, strict=True) if name}, reader.line_num)
    except csv.Error as error:
        raise DataError(f"not CSV: {error}", path=path, line=reader.line_num) from None


def _json_rows(text: str, path: Path) -> Iterator[_Line]:
    tree = parse_json(text, path)
    if isinstance(tree, dict) and tree.keys() & set(COLUMNS["id"]) and tree.keys() & set(COLUMNS["label"]):
        raise DataError("is a single label; write an array of labels, or JSONL", path=path)
    if isinstance(tree, dict):
        for sample_id, value in tree.items():
            yield _Line({"id": sample_id, **(value if isinstance(value, dict) else {"label": value})}, None)
    elif isinstance(tree, list):
        for value, line in zip(tree, lines_of_array(text), strict=True):
            yield _row(value, line, path)
    else:
        raise DataError(f"should be an array of labels or a mapping from ids, not {type(tree).__name__}", path=path)


def _row(value: Any, line: int, path: Path) -> _Line:
    if not isinstance(value, dict):
        raise DataError(f"a label should be an object, not {type(value).__name__}", path=path, line=line)
    return _Line(value, line)


# --- columns and fields ----------------------------------------------------------------------------------------------


def _columns(rows: Sequence[_Line], path: Path) -> dict[str, str]:
    """Our name of a column → its name in the file. Raises DataError for one that is missing, or looks misspelt."""
    there = list(dict.fromkeys(key for row in rows for key in row.fields))
    line = rows[0].line if path.suffix not in (".csv", ".tsv") else 1
    names: dict[str, str] = {}
    for column, aliases in COLUMNS.items():
        given = [alias for alias in aliases if alias in there]
        if len(given) > 1:
            raise DataError(f"both {given[0]!r} and {given[1]!r} are there: keep one", path=path, line=line)
        if given:
            names[column] = given[0]
    wanted = [alias for column, aliases in COLUMNS.items() if column not in names for alias in aliases]
    for key in there:
        close = get_close_matches(key.strip().lower(), wanted, n=1, cutoff=ALIKE)
        if close and key not in names.values():
            raise DataError(f"unknown column {key!r}; did you mean {close[0]!r}?", path=path, line=line)
    for column in ("id", "label"):
        if column not in names and not (column == "id" and "instruction" in there):
            raise DataError(f"no column {column!r} (there are: {', '.join(map(repr, there))})", path=path, line=line)
    return names


def _label(row: _Line, names: Mapping[str, str], path: Path) -> Label | None:
    """The label of a row; None where it is empty."""
    fields = {column: row.fields.get(name) for column, name in names.items()}
    value = fields["label"]
    if value is None or value == "":
        return None
    return Label(
        sample_id=_id(fields.get("id"), row, path),
        value=_value(value, row, path),
        system=_text(fields.get("system"), "system", row, path) or None,
        repeat=_repeat(fields.get("repeat"), row, path),
        labeller=_text(fields.get("labeller"), names.get("labeller", ""), row, path),
        line=row.line,
    )


def _id(value: Any, row: _Line, path: Path) -> str:
    if value is None and isinstance(row.fields.get("instruction"), str):
        return content_id(row.fields)
    name = _text(value, "id", row, path)
    if not name:
        raise DataError("no id", path=path, line=row.line)
    return name


def _value(value: Any, row: _Line, path: Path) -> Value:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str | int | float):
        raise DataError(
            f"a label is a number, a text or true/false, not {type(value).__name__}", path=path, line=row.line
        )
    text = str(value).strip()
    number = float(text) if NUMBER.fullmatch(text) else None
    if text.lower() in NOT_A_NUMBER or (number is not None and not math.isfinite(number)):
        raise DataError(
            f"the label {shortened(text, 40)!r} is no number; leave it empty where there is none",
            path=path,
            line=row.line,
        )
    return text if number is None else number


def _text(value: Any, column: str, row: _Line, path: Path) -> str:
    """A text, or a whole number as one; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{column!r} should be a text, not {value!r}", path=path, line=row.line)
    return str(value).strip()


def _repeat(value: Any, row: _Line, path: Path) -> int | None:
    text = _text(value, "repeat", row, path)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise DataError(f"'repeat' is a number from 0, not {text!r}", path=path, line=row.line)
    return int(text)


def _refuse_twice(labels: Sequence[Label], path: Path) -> None:
    seen: dict[tuple[str, str | None, int | None, str], Label] = {}
    for label in labels:
        key = (label.sample_id, label.system, label.repeat, label.labeller)
        if (first := seen.setdefault(key, label)) is not label:
            also = f" (first on line {first.line})" if first.line else ""
            by = f" by {label.labeller!r}" if label.labeller else "; name the people in a column 'labeller'"
            raise DataError(f"{label.sample_id!r} is labelled twice{also}{by}", path=path, line=label.line)
