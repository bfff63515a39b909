"""Report sections of all metrics: letters.py and pairwise_sections.py, each for its own metrics,
and budgets.py for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import judgekit
from judgekit_metrics import budgets, letters, pairwise_sections


def sections(run: judgekit.RunView) -> Sequence[judgekit.Section]:
    """The sections of all metrics here, in order."""
    return [*budgets.sections(run), *pairwise_sections.sections(run), *letters.sections(run)]
