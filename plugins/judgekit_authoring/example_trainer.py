"""The trainer `example`: its checkpoint is a count of words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import judgekit


class ExampleOptions(judgekit.Options):
    """`path`: the text, from the config's folder."""

    path: str


class ExampleTrainer(judgekit.Trainer):
    """Counts the words of a text."""

    Options: ClassVar[type[judgekit.Options]] = ExampleOptions
    options: ExampleOptions

    def inputs(self) -> list[Path]:
        return [self.path(self.options.path)]

    def check(self) -> None:
        """What would end the training, found before it."""
        path = self.path(self.options.path)
        if not path.is_file():
            raise judgekit.DataError("no such file", path=path)

    def train(self, into: Path, progress: Callable[[int, int, str], None]) -> None:
        """Write the checkpoint. `progress` raises Interrupted when the run is to end: let it through."""
        words = self.path(self.options.path).read_text("utf-8").split()
        progress(1, 1, judgekit.counted(len(words), "word"))
        (into / "words.json").write_text(json.dumps(dict(sorted(Counter(words).items()))), "utf-8")
