"""The fixture `judgekit`: single answers for a config's judges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from judgekit_pytest import MARK, RuleOutcome

if TYPE_CHECKING:
    import judgekit
    from judgekit_pytest.session import Session


class Judged:
    """A test's way to a judge. `config` is the file that it is configured in."""

    def __init__(self, item: pytest.Item, session: Session) -> None:
        mark = item.get_closest_marker(MARK)
        name = mark.kwargs.get("config") if mark is not None else None
        self.config: Path = session.find(str(name or session.config_name), item)
        self._item, self._session = item, session

    def score(
        self,
        text: str,
        *,
        instruction: str,
        input: str = "",
        reference: str | None = None,
        judge: str | None = None,
        repeats: int = 1,
    ) -> judgekit.Score:
        """The judge's verdict on one answer: `assert judgekit.score(…) >= 70`.

        It compares as a number; `.value`, `.status`, `.verdicts`, `.rationale`, and `.interval`: with `repeats` of a
        judge that draws, what a rerun on this very answer would give. A judge that gave no score makes the test
        inconclusive where the number is used, and one that could not be asked makes it an error.
        """
        if not isinstance(text, str):
            raise RuleOutcome(f"judgekit.score takes the answer as a text, not {type(text).__name__}", "error", 2)
        asked = {
            "instruction": instruction,
            "input": input,
            "reference": reference,
            "judge": judge,
            "repeats": repeats,
        }
        return self._session.score(self.config, self._item.nodeid, text, asked)

    def run(self) -> judgekit.RunView:
        """The finished run of the config: its record with every estimate, its samples, responses and rows."""
        return self._session.run(self.config)
