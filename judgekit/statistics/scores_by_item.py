"""Item scores: what every item scored, and how far two systems, or a run and its baseline, differ on it."""

from __future__ import annotations

from collections.abc import Mapping

from judgekit.errors import DataError
from judgekit.records import ScoreKey
from judgekit.results import RunView
from judgekit.statistics.item_tables import item_tables, rounded, scales_of

ItemScores = Mapping[ScoreKey, Mapping[str, float]]
"""By what was measured, the scored items' means by sample id."""


def item_scores(run: RunView) -> ItemScores:
    """The headline value of every scored item: judge repeats averaged first, then generations (ItemTable.means).

    Raises DataError where a row is there twice.
    """
    scores: dict[ScoreKey, dict[str, float]] = {}
    tables, _ = item_tables(run.rows, scales_of(run.record))
    for place, table in tables.items():
        try:
            scores[place] = {sample_id: rounded(mean) for sample_id, mean in table.by_id().items()}
        except ValueError as error:
            raise DataError(f"rows.jsonl: {error}") from None
    return scores


def item_differences(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """first − second of every item that both have scored, by sample id."""
    return {sample_id: rounded(value - second[sample_id]) for sample_id, value in first.items() if sample_id in second}
