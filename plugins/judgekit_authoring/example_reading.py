"""The reading `example`: a judge that answers by a number of stars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import judgekit
from judgekit.judging import Question, Reading, Said, Task, Unreadable, read_reply


class ExampleReading(Reading):
    """Stars, and nothing else."""

    task: ClassVar[Task] = "score"
    default_prompt: ClassVar[str] = "example/default"

    def verdict(self, question: Question, replies: Sequence[judgekit.Reply]) -> judgekit.Verdict:
        """What was refused, cut or failed is passed on by `read_reply`; what cannot be read for sure is Unreadable."""
        return read_reply(replies[0], self._stars)

    def _stars(self, text: str) -> Said:
        low, high = self.setting.scale
        said = text.strip()
        if set(said) != {"★"} or not low <= len(said) <= high:
            raise Unreadable(f"not {low:g} to {high:g} times ★")
        return Said(float(len(said)))
