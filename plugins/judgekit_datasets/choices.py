"""`loader: choices`: multiple-choice questions of your own, as JSON, JSONL or CSV.

    {"question": "…", "choices": ["…", "…"], "answer": "B", "id": "q7", "category": "physics"}
    question,A,B,C,D,answer,category

An answer is a letter, the text of an option, or an index, from 0 or (`first: 1`) from 1. What could be two of these is
refused, and so are indices of which none is 0, until `first` says from where they count: looked for in the whole file,
whatever the run's limit. `id` and `category` are optional: without an id a question is known by a
hash of itself, so that it has the same one in another file. Fields beyond these are kept as the sample's metadata. A
CSV file begins with a header; its options stand in columns named A, B, C, ….
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import judgekit
from judgekit_datasets.questions import (
    LETTERS,
    Place,
    QuestionFile,
    QuestionOptions,
    answer_index,
    checked_options,
    checked_question,
    csv_rows,
    is_index,
    json_objects,
    text_of,
    texts_of,
)

OWN = ("question", "choices", "answer", "id", "category")


class ChoicesOptions(QuestionOptions):
    """`mixed`: questions may have different numbers of options. `continuation`: the options continue the question, as
    endings of a text do. `answers`: what they are, where one could be a letter, an index or a text. `first`: the index
    of the first option."""

    mixed: bool = False
    continuation: bool = False
    answers: Literal["letter", "index", "text"] | None = None
    first: Literal[0, 1] | None = None


class Choices(QuestionFile):
    """Multiple-choice questions of your own: JSON, JSONL or CSV."""

    Options: ClassVar[type[judgekit.Options]] = ChoicesOptions
    options: ChoicesOptions

    def read(self, path: Path) -> Iterator[tuple[Place, judgekit.Sample]]:
        taken: Counter[str] = Counter()
        first: tuple[int, int] | None = None  # (options, line) of the first question
        objects = _csv_objects(path, self.options.mixed) if path.suffix.lower() == ".csv" else json_objects(path)
        rows = list(objects)
        start = self._start(path, [fields.get("answer") for _, fields in rows])
        for place, fields in rows:
            sample = self._sample(fields, taken, place, start)
            count = len(sample.choices)
            first = first or (count, place.line)
            if count != first[0] and not self.options.mixed:
                raise place.error(
                    f"{count} options, and {first[0]} in line {first[1]}; set mixed: true if that is meant"
                )
            yield place, sample

    def _start(self, path: Path, answers: list[Any]) -> int | None:
        """The index of the first option, where answers are indices; None where the file cannot tell."""
        numbers = {int(answer) for answer in answers if is_index(answer)}
        if self.options.first is not None or not numbers:
            return self.options.first or 0
        return 0 if 0 in numbers else None

    def _sample(self, fields: dict[str, Any], taken: Counter[str], place: Place, start: int | None) -> judgekit.Sample:
        question = checked_question(text_of(fields, "question", place), place)
        options = checked_options(texts_of(fields, "choices", place), place)
        category = fields.get("category")
        if category is not None and not isinstance(category, str):
            raise place.error(f"'category' should be a text, not {type(category).__name__}")
        more = {key: value for key, value in fields.items() if key not in OWN}
        return judgekit.Sample(
            id=_id(fields.get("id"), question, options, taken, place),
            instruction=question,
            choices=options,
            answer=self._answer(fields.get("answer"), options, place, start),
            category=category or None,
            metadata={**more, "continuation": True} if self.options.continuation else more,
        )

    def _answer(self, answer: Any, options: tuple[str, ...], place: Place, start: int | None) -> int:
        """The option that the answer names. Raises DataError for none, and for two."""
        if answer is None or answer == "":
            raise place.error("no answer: a split without labels cannot be scored")
        wanted, said = self.options.answers, str(answer).strip()
        meant: dict[str, int] = {}
        if wanted in (None, "letter") and len(said) == 1 and said in LETTERS[: len(options)]:
            meant["letter"] = LETTERS.index(said)
        if wanted in (None, "text") and [option.strip() for option in options].count(said) == 1:
            meant["text"] = [option.strip() for option in options].index(said)
        if wanted in (None, "index") and is_index(answer):
            if start is None and not meant and int(said) < len(options):
                raise place.error(
                    f"the answer is index {said}, and no answer of the file is 0: `first: 1` says that they count "
                    "from 1, `first: 0` that they count from 0"
                )
            index = int(said) - (start or 0)
            if 0 <= index < len(options):
                meant["index"] = index
            elif not meant:
                last = len(options) - 1 + (start or 0)
                from_one = "; `first: 1`, if they count from 1" if start is None else ""
                there = f"the {len(options)} options have the indices {start or 0} to {last}"
                raise place.error(f"the answer is index {said}, and {there}{from_one}")
        if len(set(meant.values())) > 1:
            ways = " and ".join(f"the {way} of {LETTERS[index]}" for way, index in meant.items())
            raise place.error(f"the answer {said!r} is {ways}: `answers: {next(iter(meant))}` says which is meant")
        if not meant:
            return answer_index(answer, len(options), place)
        return next(iter(meant.values()))


def _id(given: Any, question: str, options: tuple[str, ...], taken: Counter[str], place: Place) -> str:
    """The id as given, or a hash of the question; equal questions are numbered."""
    if given not in (None, ""):
        if not isinstance(given, str | int) or isinstance(given, bool):
            raise place.error(f"'id' should be a text, not {type(given).__name__}")
        return str(given)
    digest = hashlib.sha256(json.dumps([question, options]).encode()).hexdigest()[:10]
    taken[digest] += 1
    return digest if taken[digest] == 1 else f"{digest}-{taken[digest]}"


def _csv_objects(path: Path, mixed: bool) -> Iterator[tuple[Place, dict[str, Any]]]:
    """CSV rows as the objects that a JSON file would hold. With `mixed`, empty cells after the last option are none."""
    header: list[str] = []
    letters: list[str] = []
    place = Place(path, 1)
    for place, row in csv_rows(path):
        if not header:
            header, letters = _header(row, place), _letters(row)
            continue
        if len(row) != len(header):
            raise place.error(f"{len(row)} columns, and the header names {len(header)}")
        cells = dict(zip(header, row, strict=True))
        options = [cells.pop(letter) for letter in letters]
        while mixed and options and not options[-1].strip():
            options.pop()
        yield place, {**cells, "choices": options}
    if place.line == 1:
        raise judgekit.DataError("has no questions", path=path)


def _letters(row: list[str]) -> list[str]:
    return sorted(name for name in row if len(name) == 1 and name.isascii() and name.isupper())


def _header(row: list[str], place: Place) -> list[str]:
    """The names of the columns. Raises DataError where they are not those of questions."""
    twice = [name for name, count in Counter(row).items() if count > 1]
    if twice:
        raise place.error(f"the header names {twice[0]!r} twice")
    wanted = ["question", "answer", *LETTERS[: max(len(_letters(row)), 2)]]
    missing = [name for name in wanted if name not in row]
    if missing:
        raise place.error(
            f"no column {missing[0]!r} in the header; a CSV file begins with one, such as question,A,B,C,D,answer"
        )
    if "choices" in row:
        raise place.error("a CSV file has its options in columns A, B, C, …, not in 'choices'")
    return row
