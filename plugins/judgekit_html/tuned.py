"""What tuning bought: every trained system beside those that it was trained from, in words and as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import judgekit
import judgekit.statistics
from judgekit_html import figures, findings, numbers
from judgekit_html.board import Board

COLUMNS = ("Metric", "Before", "After", "Difference", "Interval", "Items", "So")


@dataclass(frozen=True)
class Bought:
    """One system beside one that it comes of."""

    title: str
    sentence: str
    rows: list[tuple[str, ...]]


def bought(record: judgekit.RunRecord, board: Board) -> list[Bought]:
    """For each trained system what its last training bought, and all of them together."""
    found = []
    trained = judgekit.data.provenances(record.spec)
    for descent in (trained[system] for system in record.systems if system in trained):
        for before in descent.compared:
            claims = [*_differences(record, board, descent.system, before), *_wins(record, descent.system, before)]
            if claims:
                title = f"{descent.system}, trained from {before}"
                found.append(Bought(title, _sentence(record, descent, before, claims), [row for row, _ in claims]))
    return found


Claim = tuple[tuple[str, ...], findings.Tone]


def _differences(record: judgekit.RunRecord, board: Board, system: str, before: str) -> Iterator[Claim]:
    """A metric's headline of both, and the paired difference."""
    for found in record.differences:
        if (found.system, found.against, found.series, found.estimand) != (system, before, "value", findings.NEW):
            continue
        conclusion, tone = findings.conclude(found)
        yield (
            (
                found.metric,
                _headline(record, found.metric, before),
                _headline(record, found.metric, system),
                numbers.amount(found.value, found.scale, difference=True),
                findings.interval_text(found),
                _items(board, found),
                conclusion,
            ),
            tone,
        )


def _wins(record: judgekit.RunRecord, system: str, before: str) -> Iterator[Claim]:
    """How often the system's answers are preferred, where a metric compares the two."""
    for metric in findings.metrics(record):
        for found in findings.headlines(record, metric):
            if found.system == system and findings.opponent(record, found) == before:
                contrast = findings.preference(found, before)
                items = judgekit.counted(found.n_items, "item")
                won = (f"wins {contrast.figure}", contrast.interval, items, contrast.conclusion)
                yield (f"{metric}, {system} against {before}", numbers.NONE, numbers.NONE, *won), contrast.tone


def _headline(record: judgekit.RunRecord, metric: str, system: str) -> str:
    mine = [found for found in findings.headlines(record, metric) if found.system == system]
    return numbers.amount(mine[0].value, mine[0].scale) if mine else numbers.NONE


def _items(board: Board, found: judgekit.statistics.Estimate) -> str:
    """60 better, 4 worse, 5 equal: of the items that both have a score for."""
    label = f"{found.metric}, {found.system} − {found.against}"
    column = next((one for one in board.differences if one.label == label), None)
    if column is None:
        return numbers.NONE
    better = sum(column.is_better(value) for value in column.moved.values())
    worse, equal = len(column.moved) - better, len(column.values) - len(column.moved)
    return f"{better} better, {worse} worse, {equal} equal"


def _sentence(record: judgekit.RunRecord, descent: judgekit.data.Provenance, before: str, claims: list[Claim]) -> str:
    """How the one came of the other, and on which metrics it is better or worse."""
    parts = []
    for tone, words in (("good", "better"), ("bad", "worse")):
        names = [row[0].partition(",")[0] for row, found in claims if found == tone]
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
