"""Shared parts of the multiple-choice loaders: reading files with their line numbers, and checking a question.

A question has 2 to 10 options, none of them empty, and an answer among them. Every error names the file and the line,
and is raised while the samples are loaded, which is before any call.
"""

from __future__ import annotations

import csv
import io
import json
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from pydantic import Field, JsonValue

import judgekit

LETTERS = "ABCDEFGHIJ"
FEWEST, MOST = 2, len(LETTERS)


class Place:
    """A line of a file, for errors."""

    def __init__(self, path: Path, line: int) -> None:
        self.path, self.line = path, line

    def error(self, message: str) -> judgekit.DataError:
        return judgekit.DataError(message, path=self.path, line=self.line)


class QuestionOptions(judgekit.Options):
    """`shots`: how many worked examples are shown before each question; they are the first of the file `examples`."""

    path: str
    examples: str | None = None
    shots: int = Field(0, ge=0)


class QuestionFile(judgekit.DataLoader):
    """A loader of one file of questions, with worked examples from another one in the same layout."""

    Options: ClassVar[type[judgekit.Options]] = QuestionOptions
    options: QuestionOptions

    @abstractmethod
    def read(self, path: Path) -> Iterator[tuple[Place, judgekit.Sample]]:
        """The questions of a file, in order, each with its place."""

    def inputs(self) -> list[Path]:
        files = [self.path(self.options.path)]
        return [*files, self.path(self.options.examples)] if self.options.shots and self.options.examples else files

    def load(self) -> Iterator[judgekit.Sample]:
        _ = self._examples  # errors in them are raised before the first question is read
        return unique(self.read(self.path(self.options.path)))

    @cached_property
    def _examples(self) -> tuple[judgekit.Sample, ...]:
        if not self.options.shots:
            return ()
        if self.options.examples is None:
            raise judgekit.ConfigError(f"shots: {self.options.shots} needs `examples`, the file that they come from")
        path = self.path(self.options.examples)
        return enough(list(unique(self.read(path))), self.options.shots, path)

    def shots(self, sample: judgekit.Sample) -> Sequence[judgekit.Sample]:
        """The first `shots` examples, in file order."""
        return self._examples


def enough(samples: Sequence[judgekit.Sample], wanted: int, path: Path) -> tuple[judgekit.Sample, ...]:
    """The first `wanted` worked examples. Raises DataError where the file has fewer."""
    if len(samples) < wanted:
        there = judgekit.counted(len(samples), "question")
        wrong = f"has {there}, fewer than the {wanted} shots asked for; set shots: {len(samples)}"
        raise judgekit.DataError(wrong, path=path)
    return tuple(samples[:wanted])


def unique(questions: Iterator[tuple[Place, judgekit.Sample]]) -> Iterator[judgekit.Sample]:
    """The questions, if no two share an id. Raises DataError with the line of the second."""
    lines: dict[str, int] = {}
    for place, sample in questions:
        first = lines.setdefault(sample.id, place.line)
        if first != place.line:
            raise place.error(f"the id {sample.id!r} is already that of line {first}")
        yield sample


def checked_options(options: Sequence[str], place: Place) -> tuple[str, ...]:
    """The options as given. Raises DataError: too few, too many, or an empty one."""
    if not FEWEST <= len(options) <= MOST:
        raise place.error(f"{judgekit.counted(len(options), 'option')}; a question has {FEWEST} to {MOST}")
    for letter, option in zip(LETTERS, options, strict=False):
        if not option.strip():
            raise place.error(f"option {letter} is empty")
    return tuple(options)


def checked_question(question: str, place: Place) -> str:
    if not question.strip():
        raise place.error("the question is empty")
    return question


def answer_index(answer: object, count: int, place: Place) -> int:
    """The answer as an index from 0. It is given as a letter, or as that index (in CSV, in digits).

    Raises DataError where there is none, or where it is not among the `count` options.
    """
    if answer is None or answer == "":
        raise place.error("no answer: a split without labels cannot be scored")
    if isinstance(answer, str) and answer in LETTERS and len(answer) == 1:
        index = LETTERS.index(answer)
        if index >= count:
            raise place.error(f"the answer is {answer!r}, and the options end at {LETTERS[count - 1]}")
        return index
    if isinstance(answer, str) and answer.isascii() and answer.isdecimal():
        answer = int(answer[:9])
    if isinstance(answer, int) and not isinstance(answer, bool):
        index = int(answer)
        if not 0 <= index < count:
            raise place.error(f"the answer is index {index}, and the {count} options have the indices 0 to {count - 1}")
        return index
    raise place.error(
        f"the answer is {_short(answer)}; should be a letter, A to {LETTERS[count - 1]}, or an index from 0"
    )


def is_index(answer: object) -> bool:
    """Whether an answer is a whole number, in digits or as one."""
    if isinstance(answer, str):
        return answer.strip().isascii() and answer.strip().isdecimal() and len(answer) < 10
    return isinstance(answer, int) and not isinstance(answer, bool)


def text_of(fields: Mapping[str, Any], key: str, place: Place) -> str:
    """A field that must be a text. Raises DataError."""
    value = fields.get(key)
    if not isinstance(value, str):
        raise place.error(f"no {key!r}" if value is None else f"{key!r} should be a text, not {type(value).__name__}")
    return value


def texts_of(fields: Mapping[str, Any], key: str, place: Place) -> list[str]:
    """A field that must be a list of texts. Raises DataError."""
    values = fields.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise place.error(f"no {key!r}" if values is None else f"{key!r} should be a list of texts")
    return values


def read_text(path: Path) -> str:
    """A file's text; without a byte-order mark. Raises DataError where it cannot be read, or is empty."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # line ends as they are: they may stand within a cell
    except FileNotFoundError:
        raise judgekit.DataError("no such file", path=path) from None
    except UnicodeDecodeError as error:
        raise judgekit.DataError(f"not UTF-8 text: {error.reason} at byte {error.start}", path=path) from None
    except OSError as error:
        raise judgekit.DataError(f"cannot be read: {error.strerror}", path=path) from None
    if not text.strip():
        raise judgekit.DataError("is empty", path=path)
    return text


def csv_rows(path: Path) -> Iterator[tuple[Place, list[str]]]:
    """The rows of a CSV file, blank lines left out, each with the line that it begins on. Raises DataError."""
    # newline="" keeps line ends within quotes as they are
    rows = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    begins = 1
    try:
        for row in rows:
            if row:
                yield Place(path, begins), row
            begins = rows.line_num + 1
    except csv.Error as error:
        raise judgekit.DataError(f"not CSV: {error}", path=path, line=begins) from None


def json_objects(path: Path) -> Iterator[tuple[Place, dict[str, JsonValue]]]:
    """The objects of a JSON array or a JSONL file, each with the line that it begins on. Raises DataError."""
    text = read_text(path)
    at, line, count = 0, 1, 0

    def moved(to: int) -> Place:
        nonlocal at, line
        line, at = line + text.count("\n", at, to), to
        return Place(path, line)

    moved(_space(text, 0))
    array = text[at] == "["
    if array:
        moved(_space(text, at + 1))
    while at < len(text) and not (array and text[at] == "]"):
        if array and count:
            if text[at] != ",":
                raise moved(at).error("not JSON: a comma is missing between two items")
            moved(_space(text, at + 1))
        place = Place(path, line)
        value, end = _decode(text, at, place)
        if not isinstance(value, dict):
            raise place.error(f"should be an object, not {type(value).__name__}")
        yield place, value
        count += 1
        moved(_space(text, end))
    if array and text[at:].rstrip() != "]":
        raise Place(path, line).error(
            "not JSON: " + ("text after the array" if at < len(text) else "the array does not end")
        )
    if not count:
        raise judgekit.DataError("has no questions", path=path)


_DECODER = json.JSONDecoder(parse_constant=lambda name: _no_number(name), parse_float=lambda digits: _finite(digits))


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    return value if math.isfinite(value := float(digits)) else _no_number(judgekit.shortened(digits, 40))


def _decode(text: str, at: int, place: Place) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise judgekit.DataError(
            f"not JSON: {error.msg} (column {error.colno})", path=place.path, line=error.lineno
        ) from None
    except (ValueError, RecursionError) as error:
        raise place.error(f"not JSON: {error}") from None


def _space(text: str, at: int) -> int:
    """The place of the first character from `at` on that is not white space."""
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _short(value: object) -> str:
    return judgekit.shortened(repr(value), 60)
