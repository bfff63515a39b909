"""The printed lines about repeats: intervals for a rerun, the parts of the variance, and advice on what to add."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judgekit.cli.tables import interval, number
from judgekit.regression.baseline import system_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from judgekit.results import Estimate, RunRecord, VarianceBudget


def pooled_line(record: RunRecord) -> str:
    """The runs that a pooled run is made of; empty for an ordinary run."""
    if not record.pooled:
        return ""
    runs = ", ".join(f"{one.run_id} (seed {one.seed})" for one in record.pooled)
    return f"{len(record.pooled)} runs pooled as repeats of the same items: {runs}"


def rerun_rows(estimates: Sequence[Estimate]) -> list[tuple[str, ...]]:
    """(metric, system, estimate, interval, method, items × repeats) of the headline means, for a rerun."""
    return [
        (
            one.metric,
            _system(one),
            number(one.value, one.scale),
            interval(one.interval, one.scale),
            one.interval.method,
            f"{one.n_items} × {one.repeats}",
            one.interval.note if one.interval.low is not None else "",
        )
        for one in estimates
        if one.estimand == "rerun on these items" and one.series == "value"
    ]


def budget_lines(record: RunRecord) -> list[str]:
    """One line for each mean whose variance can be split: its parts, and the advice."""
    return [
        f"{one.metric}, {_system(one)}: {_parts(one)}{one.advice}"
        for one in record.variance_budgets
        if one.generation is not None or one.judge is not None
    ]


def _parts(budget: VarianceBudget) -> str:
    units = "items" if budget.n_clusters is None else "clusters"
    parts = {units: budget.item, "generation": budget.generation, "judge": budget.judge}
    total = sum(part or 0.0 for part in parts.values())
    if not total:
        return ""
    return ", ".join(f"{name} {part / total:.0%}" for name, part in parts.items() if part is not None) + ". "


def _system(one: Estimate | VarianceBudget) -> str:
    return system_key(one.system, one.opponent)
