"""The data loader `example`: a question and its answer a line, with a tab between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import judgekit


class ExampleOptions(judgekit.Options):
    """`path`: the file, from the config's folder."""

    path: str


class ExampleLoader(judgekit.DataLoader):
    """A question and its answer a line."""

    Options: ClassVar[type[judgekit.Options]] = ExampleOptions
    options: ExampleOptions

    def inputs(self) -> list[Path]:
        return [self.path(self.options.path)]

    def load(self) -> Iterator[judgekit.Sample]:
        path = self.path(self.options.path)
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise judgekit.DataError(f"cannot be read: {error}", path=path) from error
        for number, line in enumerate(lines, start=1):
            question, tab, answer = line.partition("\t")
            if not tab:
                raise judgekit.DataError("no tab between question and answer", path=path, line=number)
            yield judgekit.Sample(id=str(number), instruction=question, reference=answer)
