"""Gains from tuning: every trained system beside those that it was trained from, in words and as a table."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import NamedTuple

import judgekit
import judgekit.statistics
from judgekit_html import figures, findings, numbers
from judgekit_html.board import Board

COLUMNS = ("Metric", "Before", "After", "Difference", "Interval", "Items", "So")


def gains(record: judgekit.RunRecord, board: Board) -> list[SimpleNamespace]:
    """The gains of each trained system: from its last training, and from all of them together."""
    made = []
    trained = judgekit.data.provenances(record.spec)
    for descent in (trained[system] for system in record.systems if system in trained):
        for before in descent.compared:
            claims = [*_differences(record, board, descent.system, before), *_wins(record, descent.system, before)]
            if claims:
                title = f"{descent.system}, trained from {before}"
                sentence, rows = _sentence(record, descent, before, claims), [claim.row for claim in claims]
                made.append(SimpleNamespace(title=title, sentence=sentence, rows=rows))
    return made


class Claim(NamedTuple):
    """A row of the table, and the tone of its conclusion."""

    row: tuple[str, ...]
    tone: findings.Tone


def _differences(record: judgekit.RunRecord, board: Board, system: str, before: str) -> Iterator[Claim]:
    """A metric's headline of both, and the paired difference."""
    for estimate in record.differences:
        if (estimate.system, estimate.against) != (system, before) or not findings.is_headline(estimate):
            continue
        conclusion, tone = findings.conclude(estimate)
        yield Claim(
            (
                estimate.metric,
                _headline(record, estimate.metric, before),
                _headline(record, estimate.metric, system),
                numbers.amount(estimate.value, estimate.scale, difference=True),
                findings.interval_text(estimate),
                _items(board, estimate),
                conclusion,
            ),
            tone,
        )


def _wins(record: judgekit.RunRecord, system: str, before: str) -> Iterator[Claim]:
    """The system's win rates, where a metric compares the two."""
    for metric in findings.metrics(record):
        for estimate in findings.headlines(record, metric):
            if estimate.system == system and findings.opponent(record, estimate) == before:
                contrast = findings.preference(estimate, before)
                items = judgekit.counted(estimate.n_items, "item")
                won = (f"wins {contrast.figure}", contrast.interval, items, contrast.conclusion)
                row = (f"{metric}, {system} against {before}", numbers.NONE, numbers.NONE, *won)
                yield Claim(row, contrast.tone)


def _headline(record: judgekit.RunRecord, metric: str, system: str) -> str:
    mine = [estimate for estimate in findings.headlines(record, metric) if estimate.system == system]
    return numbers.amount(mine[0].value, mine[0].scale) if mine else numbers.NONE


def _items(board: Board, estimate: judgekit.statistics.Estimate) -> str:
    """Counts of the items that both have a score for: 60 better, 4 worse, 5 equal."""
    label = f"{estimate.metric}, {estimate.system} − {estimate.against}"
    column = next((one for one in board.differences if one.label == label), None)
    if column is None:
        return numbers.NONE
    better = sum(column.is_better(value) for value in column.moved.values())
    worse, equal = len(column.moved) - better, len(column.values) - len(column.moved)
    return f"{better} better, {worse} worse, {equal} equal"


def _sentence(record: judgekit.RunRecord, descent: judgekit.data.Provenance, before: str, claims: list[Claim]) -> str:
    """The metrics on which the system is better or worse, and how it was trained."""
    parts = []
    for tone, words in (("good", "better"), ("bad", "worse")):
        names = [claim.row[0].partition(",")[0] for claim in claims if claim.tone == tone]
        parts += [f"{words} than {before} by {figures.joined(names)}"] if names else []
    said = " and ".join(parts) or f"neither better nor worse than {before} by any metric"
    return (
        f"{descent.system} is {said}, as far as the intervals of the paired differences tell: an item is "
        f"compared with itself, before and after. {_way(record, descent)}."
    )


def _way(record: judgekit.RunRecord, descent: judgekit.data.Provenance) -> str:
    """The trainings that led to a system, each with its trainer and length: base (gpt2-pretrain, 40 steps), then …"""
    made = {training.name: training for training in record.trainings}
    steps = []
    for name in descent.trainings:
        training = made.get(name)
        last = max((point.step for point in training.curve), default=0) if training else 0
        length = f", {judgekit.counted(last, 'step')}" if last else ""
        steps.append(f"{name} ({training.trainer if training else 'a training'}{length})")
    return f"Trained in this order: {', then '.join(steps)}"
