"""Files of verdicts and labels that were given elsewhere: CSV, TSV, JSON or JSONL, one object a row, read strictly."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from pydantic import Field

import judgekit
import judgekit.data


@dataclass(frozen=True)
class Entry:
    """One row of a file, the line (or, in a JSON array, the item) that it stands on, and its number from 0."""

    fields: Mapping[str, Any]
    place: str
    number: int = 0

    def value(self, name: str) -> Any:
        """As `judgekit.data.value_at`."""
        return judgekit.data.value_at(self.fields, name)

    def text(self, name: str) -> str:
        """The field as text; empty where it is missing or null."""
        value = self.value(name)
        return "" if value is None else str(value).strip()

    def id(self, name: str | None) -> str:
        """The sample's id; the row's number where no field is named, or `row` and there is no such field."""
        return str(self.number) if name is None or (name == ROW and ROW not in self.fields) else self.text(name)


ROW = "row"


def read_entries(path: Path, wanted: Sequence[str]) -> list[Entry]:
    """The rows of a file in its order. Raises DataError with file and place: missing, empty, not CSV or JSON, a row
    that is no object, or a field of `wanted` that no row has."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise judgekit.DataError("no such file", path=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise judgekit.DataError(f"cannot be read: {error}", path=path) from None
    if not text.strip():
        raise judgekit.DataError("is empty", path=path)
    entries = list(_table(text, path) if path.suffix in (".csv", ".tsv") else _objects(text, path))
    if not entries:
        raise judgekit.DataError("has no rows", path=path)
    known = dict.fromkeys(name for entry in entries for name in entry.fields)
    for name in wanted:
        if name not in known and name != ROW and (judgekit.data.steps_of(name) or [name])[0] not in known:
            near = get_close_matches(name, known, 1)
            said = f"; did you mean {near[0]!r}?" if near else f" (there are: {', '.join(map(repr, known))})"
            raise judgekit.DataError(f"no row has a field {name!r}{said}", path=path)
    return entries


def _table(text: str, path: Path) -> Iterator[Entry]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
    number = 0
    try:
        header = [name.strip() for name in next(reader)]
        if len(set(header)) < len(header):
            raise judgekit.DataError("a column is there twice", path=path, line=1)
        for cells in reader:
            if len(cells) != len(header) and any(cell.strip() for cell in cells):
                said = f"{len(cells)} cells under {len(header)} columns"
                raise judgekit.DataError(said, path=path, line=reader.line_num)
            if any(cell.strip() for cell in cells):
                yield Entry(dict(zip(header, cells, strict=True)), f"line {reader.line_num}", number)
                number += 1
    except csv.Error as error:
        raise judgekit.DataError(f"not CSV: {error}", path=path, line=reader.line_num) from None


def _objects(text: str, path: Path) -> Iterator[Entry]:
    if path.suffix == ".jsonl":
        numbered = [(f"line {number}", line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        values = [(place, _json(line, place, path)) for place, line in numbered]
    else:
        array = _json(text, "the file", path)
        if not isinstance(array, list):
            raise judgekit.DataError("should be a JSON array of objects", path=path)
        values = [(f"item {number}", value) for number, value in enumerate(array, start=1)]
        if array and not any(isinstance(value, dict | list | str) for value in array):
            values = [
                (place, {"score": value}) for place, value in values
            ]  # bare numbers, null for one that is missing
    for number, (place, value) in enumerate(values):
        if not isinstance(value, dict):
            raise judgekit.DataError(f"{place}: should be an object, not {type(value).__name__}", path=path)
        yield Entry(value, place, number)


def texts_by_id(path: Path, id_field: str, text: str) -> dict[str, str]:
    """The texts of a file by sample id. Raises DataError: as `read_entries`, a row without one, an id that is there
    twice."""
    texts: dict[str, str] = {}
    for entry in read_entries(path, [id_field, text]):
        try:
            sample_id, value = entry.id(id_field), entry.value(text)
            if not isinstance(value, str):
                raise ValueError(f"no text in {text!r}")
            if sample_id in texts:
                raise ValueError(f"the id {sample_id!r} is there twice")
        except ValueError as error:
            raise judgekit.DataError(f"{entry.place}: {error}", path=path) from None
        texts[sample_id] = value
    return texts


def _json(text: str, place: str, path: Path) -> Any:
    def constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON number")

    def finite(digits: str) -> float:
        return value if math.isfinite(value := float(digits)) else constant(judgekit.shortened(digits, 40))

    try:
        return json.loads(text, parse_constant=constant, parse_float=finite)
    except (ValueError, RecursionError) as error:
        raise judgekit.DataError(f"{place}: not JSON: {error}", path=path) from None


class JudgedBy(judgekit.Options):
    """Who gave stored verdicts: `judge: {name: gpt-4, version: "0613", prompt: pairwise-v2}`."""

    name: str = Field(min_length=1)
    version: str | None = None
    prompt: str | None = None


def given_by(path: Path, judged_by: JudgedBy | None, annotator: str | None) -> dict[str, str]:
    """Who gave the verdicts of a file, as part of the instrument: the judge that the config names, the file's own
    annotators, or else the file itself, which is like no other. Raises DataError for a row without an annotator."""
    if judged_by is not None:
        return {key: value for key, value in judged_by.model_dump().items() if value is not None}
    if annotator is None:
        return {"verdicts of no named judge": hashlib.sha256(path.read_bytes()).hexdigest()}
    named = []
    for entry in read_entries(path, [annotator]):
        if not entry.text(annotator):
            raise judgekit.DataError(f"{entry.place}: no {annotator!r}", path=path)
        named.append(entry.text(annotator))
    return {"name": ", ".join(sorted(set(named)))}


class StoredOptions(judgekit.Options):
    """What verdicts that were given elsewhere have in common: their file, and who gave them."""

    path: str
    judged_by: JudgedBy | None = None
    annotator: str | None = None


class Stored(judgekit.Metric):
    """A metric whose verdicts were given elsewhere: no model is asked."""

    options: StoredOptions
    needs: ClassVar[frozenset[str]] = frozenset()

    def inputs(self) -> list[Path]:
        return [self.path(self.options.path)]

    def given_by(self) -> dict[str, str]:
        return given_by(self.path(self.options.path), self.options.judged_by, self.options.annotator)

    def doubts(self, what: str, scale: tuple[float, float] | None) -> list[str]:
        """What is wrong with the options that all of them have, in words."""
        problems = []
        if self.options.judged_by is not None and self.options.annotator is not None:
            problems.append(f"judge and annotator both say who gave the {what}: give one")
        if scale is not None and not scale[0] < scale[1]:
            problems.append(f"scale: the low end comes first, not {scale[0]:g}, {scale[1]:g}")
        return problems


GRADE = re.compile(r"(.+?)\s*(>>|<<|>|<|=)\s*(.+)")


@dataclass(frozen=True)
class Vocabulary:
    """How a file names a winner: by a system's name, by one of `names` for it, or by one of `ties`; or as a grade
    between two such names (`A>>B`, `A>B`, `A=B`).

    With a `scale` a winner is a number instead: its high end is wholly for the system, its low end for the opponent.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    ties: Sequence[str] = ("tie",)
    scale: tuple[float, float] | None = None

    def preference(self, said: str, system: str, opponent: str, systems: Sequence[str]) -> float | None:
        """1, 0, ½ or between; None for a winner that is neither of the two. ValueError, in words, for anything else."""
        if said in self.ties or any(_same(said, tie) for tie in self.ties):
            return 0.5
        if self.scale is not None:
            return self._between(said, *self.scale)
        winner = self.names.get(said, said)
        if winner not in systems and (grade := GRADE.fullmatch(said)):
            better, sign, worse = grade.groups()
            if "<" in sign:
                better, worse = worse, better
            two = [self.names.get(one, one) for one in (better, worse)]
            if sorted(two) == sorted((system, opponent)):
                return 0.5 if sign == "=" else float(two[0] == system)
        if winner not in systems:
            known = [*self.names, *(name for name in systems if name not in self.names.values()), *self.ties]
            raise ValueError(f"the winner {said!r} is none of {', '.join(map(repr, known))}")
        return {system: 1.0, opponent: 0.0}.get(winner)

    @staticmethod
    def is_strong(said: str) -> bool:
        """Whether it is a grade of a clear winner (`A>>B`)."""
        return (grade := GRADE.fullmatch(said)) is not None and len(grade[2]) > 1

    def _between(self, said: str, low: float, high: float) -> float:
        try:
            number = float(said)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise ValueError(f"the preference {said!r} is no number from {low:g} to {high:g}")
        return (number - low) / (high - low)


def _same(said: str, tie: str) -> bool:
    """Whether a file means this tie: in another case, or as another way of writing the number ("0.0")."""
    if tie.isalpha():
        return said.lower() == tie.lower()
    try:
        return float(said) == float(tie)
    except ValueError:
        return False


class LabelOptions(judgekit.Options):
    """Which response people prefer. `path`: CSV, JSON or JSONL; `id` and `field`: the sample's id and the winner in
    it; `names`: what the file calls a system, where that is not its name; `ties`: what it calls a draw."""

    path: str
    field: str
    id: str = "id"
    names: dict[str, str] = Field(default_factory=dict)
    ties: tuple[str, ...] = ("tie",)


def read_labels(options: LabelOptions, path: Path, systems: Sequence[str]) -> dict[str, str]:
    """The winner by sample id: a system's name, or "" for a draw. A row without a winner is no label.

    Raises DataError: as `read_entries`, an unknown winner, a sample labelled twice.
    """
    vocabulary = Vocabulary(options.names, options.ties)
    labels: dict[str, str] = {}
    for entry in read_entries(path, [options.id, options.field]):
        sample_id, said = entry.text(options.id), entry.text(options.field)
        if not said and said not in options.ties:
            continue
        try:
            tied = vocabulary.preference(said, "", "", systems) == 0.5
        except ValueError as error:
            raise judgekit.DataError(f"{entry.place}: {error}", path=path) from None
        if sample_id in labels:
            raise judgekit.DataError(f"{entry.place}: the sample {sample_id!r} is labelled twice", path=path)
        labels[sample_id] = "" if tied else options.names.get(said, said)
    return labels


def strangers(known: Sequence[str], samples: Sequence[judgekit.Sample], what: str) -> list[str]:
    """The problem of ids that no sample has, in words; none where all are known."""
    ids = {sample.id for sample in samples}
    foreign = [one for one in known if one not in ids]
    if not foreign:
        return []
    some = ", ".join(repr(one) for one in foreign[:3])
    return [f"{len(foreign)} of {len(known)} {what} are for samples that do not exist, such as {some}"]
