"""Changes since the baseline: the gate's rules with their outcomes, and the items that moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import judgekit
import judgekit.statistics
from judgekit_html import figures, findings, numbers
from judgekit_html.board import Board, Column
from judgekit_html.tables import method_name

MOST = 5  # items a direction


class ItemLink(NamedTuple):
    number: str
    href: str
    title: str


Link = Callable[[str], ItemLink | None]  # by an item's id; None where the run does not have it


def rules(record: judgekit.RunRecord) -> list[SimpleNamespace]:
    """The rules of the gate, formatted."""
    return [_rule(claim) for claim in record.gate.claims] if record.gate else []


def _rule(claim: judgekit.statistics.GateClaim) -> SimpleNamespace:
    scale, differ = claim.scale, claim.kind == "margin"
    limit = numbers.amount(claim.threshold, scale)
    asked = f"no worse by {limit}" if differ else f"{claim.limit} {limit}"
    clusters = "" if claim.n_clusters is None else f" in {judgekit.counted(claim.n_clusters, 'cluster')}"
    span = numbers.span(claim.interval.low, claim.interval.high, scale, difference=differ)
    return SimpleNamespace(
        what=findings.claimed(claim),
        asked=asked,
        outcome=claim.outcome,
        tone=findings.GATE_TONES[claim.outcome],
        before=numbers.amount(claim.baseline, scale),
        now=numbers.amount(claim.candidate, scale),
        change=numbers.amount(claim.value, scale, difference=True) if differ else numbers.NONE,
        interval=span or f"none: {claim.interval.note or 'no reason recorded'}",
        method=method_name(claim.interval.method),
        p=numbers.NONE if claim.p_holm is None else numbers.chance(claim.p_holm),
        detectable=numbers.amount(claim.detectable, scale),
        items=f"{numbers.whole(claim.n_items)}{clusters}",
        moved=f"{claim.better} better, {claim.worse} worse, {claim.equal} equal" if differ else numbers.NONE,
        reasons=[*claim.reasons, *([claim.stop.note] if claim.stop else [])],
    )


@dataclass(frozen=True)
class Movement:
    """One comparison item by item. `names` are those of the two sides."""

    section: judgekit.Section
    names: tuple[str, str]
    movers: Sequence[SimpleNamespace]  # each an item that moved


def movements(record: judgekit.RunRecord, columns: Iterable[Column], link: Link) -> list[Movement]:
    """A waterfall and the items that moved furthest, the worse first, for each column."""
    made = []
    for column in columns:
        moved = column.moved
        names = _sides(column)
        ids = _furthest(column, moved)
        movers = [_mover(column, sample_id, moved[sample_id], link) for sample_id in ids]
        made.append(Movement(figures.waterfall(record, column, moved), names, movers))
    return made


def _sides(column: Column) -> tuple[str, str]:
    if column.kind == "change":
        return "Baseline", "Now"
    first, _, second = column.label.removeprefix(f"{column.metric}, ").partition(" − ")
    return second, first


def _furthest(column: Column, moved: Mapping[str, float]) -> list[str]:
    good = 1 if column.scale.higher_is_better else -1
    ranked = sorted(moved, key=lambda sample_id: (good * moved[sample_id], sample_id))
    worse = [sample_id for sample_id in ranked if good * moved[sample_id] < 0][:MOST]
    better = [sample_id for sample_id in reversed(ranked) if good * moved[sample_id] > 0][:MOST]
    return [*worse, *better]


def _mover(column: Column, sample_id: str, change: float, link: Link) -> SimpleNamespace:
    """An item that moved: its place in the report, and its score on both sides."""
    number, href, title = link(sample_id) or ItemLink("", "", "")
    return SimpleNamespace(
        id=sample_id,
        number=number,
        href=href,
        title=title,
        change=numbers.amount(change, column.scale, difference=True),
        tone="good" if column.is_better(change) else "bad",
        first=numbers.amount(column.second[sample_id], column.scale),
        second=numbers.amount(column.first[sample_id], column.scale),
    )


def wanted(board: Board) -> set[str]:
    """The ids of all items that `movements` may name."""
    columns = [*board.differences, *board.changes]
    return {sample_id for column in columns for sample_id in _furthest(column, column.moved)}
