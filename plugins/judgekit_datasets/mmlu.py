"""`loader: mmlu`: four-option questions in the original layout, {dev,test,val}/<subject>_{dev,test,val}.csv.

Rows have no header: question, option A, option B, option C, option D, letter of the right one. Cells are taken as they
are. (The published script reads them by pandas, which turns "None" into "nan" and 0.10 into 0.1: of the 14,042 prompts
with five shots that makes 10 differ.)"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

import judgekit
from judgekit_datasets.questions import Place, answer_index, checked_options, checked_question, csv_rows, enough, unique

COLUMNS = "question, four options, letter"


class MMLUOptions(judgekit.Options):
    """`subjects`: None means all. `shots`: how many of the subject's dev questions are shown before each question.

    `per_subject`: only the first so many questions of each subject.
    """

    path: str
    split: Literal["test", "val", "dev"] = "test"
    subjects: tuple[str, ...] | None = None
    shots: int = Field(5, ge=0)
    per_subject: int | None = Field(None, ge=1)

    @field_validator("subjects")
    @classmethod
    def _are_different(cls, subjects: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for subject in subjects or ():
            if subjects and subjects.count(subject) > 1:
                raise ValueError(f"{subject!r} is named twice")
        return subjects


class MMLU(judgekit.DataLoader):
    """Four-option questions in MMLU's layout: {dev,test,val}/<subject>_….csv."""

    Options: ClassVar[type[judgekit.Options]] = MMLUOptions
    options: MMLUOptions

    @cached_property
    def _subjects(self) -> list[str]:
        split = self.options.split
        folder = self.path(self.options.path) / split
        subjects = sorted(path.name.removesuffix(f"_{split}.csv") for path in folder.glob(f"*_{split}.csv"))
        if not subjects:
            raise judgekit.DataError(f"no file named <subject>_{split}.csv here", path=folder)
        for subject in self.options.subjects or ():
            if subject not in subjects:
                raise judgekit.DataError(
                    f"no subject is named {subject!r} (there are: {', '.join(subjects)})", path=folder
                )
        return list(self.options.subjects or subjects)

    def _file(self, subject: str, split: str) -> Path:
        return self.path(self.options.path) / split / f"{subject}_{split}.csv"

    def inputs(self) -> list[Path]:
        files = [self._file(subject, self.options.split) for subject in self._subjects]
        if self.options.shots:
            files += [self._file(subject, "dev") for subject in self._subjects]
        return files

    def load(self) -> Iterator[judgekit.Sample]:
        _ = self._dev  # errors in the examples are raised before the first question is read
        for subject in self._subjects:
            questions = list(read_questions(self._file(subject, self.options.split), subject))
            yield from questions[: self.options.per_subject]

    @cached_property
    def _dev(self) -> dict[str, Sequence[judgekit.Sample]]:
        return {subject: self._examples(subject) for subject in self._subjects} if self.options.shots else {}

    def _examples(self, subject: str) -> Sequence[judgekit.Sample]:
        path = self._file(subject, "dev")
        if not path.is_file():
            raise judgekit.DataError(
                f"no such file: the {self.options.shots} shots of {subject} come from it (or set shots: 0)", path=path
            )
        return enough(list(read_questions(path, subject)), self.options.shots, path)

    def shots(self, sample: judgekit.Sample) -> Sequence[judgekit.Sample]:
        """The first `shots` dev questions of the sample's subject, in file order, as published."""
        return self._dev.get(sample.category or "", ())


def read_questions(path: Path, subject: str) -> Iterator[judgekit.Sample]:
    """The questions of one file. Raises DataError with file and line."""
    numbered = enumerate(csv_rows(path))
    return unique((place, _question(row, f"{subject}-{at:04d}", subject, place)) for at, (place, row) in numbered)


def _question(row: list[str], sample_id: str, subject: str, place: Place) -> judgekit.Sample:
    if len(row) != 6:
        raise place.error(f"{len(row)} columns; should be {COLUMNS}")
    question, *options, letter = row
    if letter not in "ABCD" or len(letter) != 1:
        if place.line == 1 and "question" in question.lower():
            raise place.error(f"a header; this layout has none: the first line is a question already ({COLUMNS})")
        raise place.error(f"the answer is {letter!r}; should be A, B, C or D")
    return judgekit.Sample(
        id=sample_id,
        instruction=checked_question(question, place),
        choices=checked_options(options, place),
        answer=answer_index(letter, len(options), place),
        category=subject,
    )
