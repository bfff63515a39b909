"""The item scores of a baseline file."""

from __future__ import annotations

from pathlib import Path

from judgekit.records import ScoreKey
from judgekit.regression.baseline import read_baseline
from judgekit.statistics.scores_by_item import ItemScores


def baseline_scores(path: Path) -> ItemScores:
    """The scored items of each system of each metric. Raises DataError where it cannot be read."""
    by_key = {}
    for metric, sheet in read_baseline(path).metrics.items():
        for key, scores in sheet.systems.items():
            system, _, opponent = key.partition(" vs ")
            by_key[ScoreKey(metric, system, opponent)] = scores.scored
    return by_key
