"""`loader: mmlu`: four-option questions in the original layout, {dev,test,val}/<subject>_{dev,test,val}.csv.

Rows have no header: question, option A, option B, option C, option D, letter of the right one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

import judgekit

LETTERS = "ABCD"


class MMLUOptions(judgekit.Options):
    """`subjects`: None means all. `shots`: how many of the subject's dev questions are shown before each question."""

    path: str
    split: Literal["test", "val", "dev"] = "test"
    subjects: tuple[str, ...] | None = None
    shots: int = Field(5, ge=0, le=5)


class MMLU(judgekit.DataLoader):
    """Four-option questions in MMLU's layout: {dev,test,val}/<subject>_….csv."""

    Options: ClassVar[type[judgekit.Options]] = MMLUOptions
    options: MMLUOptions

    @cached_property
    def _subjects(self) -> list[str]:
        split = self.options.split
        folder = self.path(self.options.path) / split
        found = sorted(path.name.removesuffix(f"_{split}.csv") for path in folder.glob(f"*_{split}.csv"))
        if not found:
            raise judgekit.DataError(f"no file named <subject>_{split}.csv here", path=folder)
        for subject in self.options.subjects or ():
            if subject not in found:
                raise judgekit.DataError(
                    f"no subject is named {subject!r} (there are: {', '.join(found)})", path=folder
                )
        return list(self.options.subjects or found)

    def _file(self, subject: str, split: str) -> Path:
        return self.path(self.options.path) / split / f"{subject}_{split}.csv"

    def inputs(self) -> list[Path]:
        files = [self._file(subject, self.options.split) for subject in self._subjects]
        if self.options.shots:
            files += [self._file(subject, "dev") for subject in self._subjects]
        return files

    def load(self) -> Iterator[judgekit.Sample]:
        for subject in self._subjects:
            yield from read_questions(self._file(subject, self.options.split), subject)

    @cached_property
    def _dev(self) -> dict[str, list[judgekit.Sample]]:
        if not self.options.shots:
            return {}
        return {subject: list(read_questions(self._file(subject, "dev"), subject)) for subject in self._subjects}

    def shots(self, sample: judgekit.Sample) -> Sequence[judgekit.Sample]:
        """The first `shots` dev questions of the sample's subject, in file order, as published."""
        return self._dev.get(sample.category or "", [])[: self.options.shots]


def read_questions(path: Path, subject: str) -> Iterator[judgekit.Sample]:
    """The questions of one file. Raises DataError with file and line."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise judgekit.DataError("no such file", path=path) from None
    except UnicodeDecodeError as error:
        raise judgekit.DataError(f"not UTF-8 text: {error.reason} at byte {error.start}", path=path) from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    count = 0
    try:
        for count, row in enumerate(rows, start=1):
            yield _question(row, f"{subject}-{count - 1:04d}", subject, path, rows.line_num)
    except csv.Error as error:
        raise judgekit.DataError(f"not CSV: {error}", path=path, line=rows.line_num) from None
    if not count:
        raise judgekit.DataError("is empty", path=path)


def _question(row: list[str], sample_id: str, subject: str, path: Path, line: int) -> judgekit.Sample:
    if len(row) != 6:
        raise judgekit.DataError(f"{len(row)} columns; should be question, four options, letter", path=path, line=line)
    question, *options, letter = row
    if letter not in LETTERS or len(letter) != 1:
        raise judgekit.DataError(f"the answer is {letter!r}; should be A, B, C or D", path=path, line=line)
    return judgekit.Sample(
        id=sample_id, instruction=question, choices=tuple(options), answer=LETTERS.index(letter), category=subject
    )
