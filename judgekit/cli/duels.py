"""What a run prints of its pairwise metrics besides the estimates: wins, ties and losses, and the test of positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from judgekit.results import Estimate, RunRecord

COLUMNS = ("metric", "system", "opponent", "won", "tied", "lost", "changed with the order", "first won", "sign test p")
NAMES = ("wins", "ties", "losses", "changed", "first_won", "sign_test")


def several_opponents(estimates: Iterable[Estimate]) -> set[str]:
    """The metrics that compare more than one pair of systems with other opponents: a system's name says too little."""
    opponents: dict[str, set[str]] = {}
    for estimate in estimates:
        if estimate.opponent is not None:
            opponents.setdefault(estimate.metric, set()).add(estimate.opponent)
    return {metric for metric, found in opponents.items() if len(found) > 1}


def shown_estimate(estimate: Estimate, several: set[str]) -> bool:
    """Whether the table of estimates has it: of many pairs it has the headlines and the strengths alone."""
    return estimate.metric not in several or estimate.series in ("value", "bradley_terry")


def matrix(record: RunRecord, metric: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(columns, rows) of every system's win rate against every other; half of it mirrors the other half."""
    rates: dict[tuple[str, str], float] = {}
    for one in record.estimates:
        if (
            (one.metric, one.series, one.estimand) == (metric, "value", "new items")
            and one.opponent
            and one.value is not None
        ):
            rates[one.system, one.opponent], rates[one.opponent, one.system] = one.value, 1 - one.value
    systems = [system for system in record.systems if any(system in pair for pair in rates)]
    rows = [
        (system, *(f"{rates[system, other] * 100:.1f} %" if (system, other) in rates else "" for other in systems))
        for system in systems
    ]
    return ("wins of ↓ against →", *systems), rows


def duel_rows(record: RunRecord) -> list[tuple[str, ...]]:
    """One row a pair, a dash for what was not counted."""
    pairs: dict[tuple[str, str, str], dict[str, float | None]] = {}
    for one in record.statistics:
        if one.name in NAMES and one.opponent is not None:
            pairs.setdefault((one.metric, one.system, one.opponent), {})[one.name] = one.value
    return [(*pair, *(_cell(name, values.get(name)) for name in NAMES)) for pair, values in pairs.items()]


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if name != "sign_test" else f"{value:.3f}" if value >= 0.001 else "< 0.001"
