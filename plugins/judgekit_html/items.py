"""Every sample with its responses and verdicts, values formatted: a page at a time, so that memory stays small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import judgekit
from judgekit_html import numbers
from judgekit_html.board import Board
from judgekit_html.findings import is_pairwise
from judgekit_html.shelf import Shelf, Stored

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ORDERS = ("when shown first", "when shown second")
SHORT = 90  # characters of a judge's reply that are shown without folding
TITLE = 160  # characters of a sample's title
Scales = Mapping[tuple[str, str], judgekit.Scale]


@dataclass(frozen=True)
class ShownVerdict:
    """One verdict of a row. `order`: the place that the system had, for pairwise metrics."""

    order: str
    value: str
    verdict: judgekit.Verdict
    figures: tuple[tuple[str, str], ...] = ()

    @property
    def folded(self) -> bool:
        return len(self.verdict.raw) > SHORT or "\n" in self.verdict.raw


@dataclass(frozen=True)
class Measure:
    """One row: the metric's value or why there is none, further series, and the verdicts behind it."""

    metric: str
    value: str
    status: str
    judge_repeat: int
    series: tuple[tuple[str, str], ...]
    readings: tuple[ShownVerdict, ...]


@dataclass
class SystemAnswer:
    """One system's response to one sample in one repeat, and how it was measured."""

    system: str
    repeat: int
    repeated: bool = False
    response: judgekit.Response | None = None
    measures: list[Measure] = field(default_factory=list)


class LetteredChoice(NamedTuple):
    letter: str
    text: str
    is_answer: bool


@dataclass(frozen=True)
class ReportItem:
    """`scores`: the first metric's values by system. `flags`: the statuses that are not plain success; `marks`: its
    changes since the baseline, or differences between systems. `values` to sort by, one a column of the board."""

    number: int
    id: str
    sample: judgekit.Sample | None
    scores: tuple[tuple[str, str], ...]
    flags: tuple[str, ...]
    marks: tuple[str, ...]
    values: tuple[str, ...]
    changes: tuple[tuple[str, str], ...]
    answers: tuple[SystemAnswer, ...]

    @property
    def title(self) -> str:
        return "this sample is not part of the run's data" if self.sample is None else titled(self.sample)

    @property
    def columns(self) -> list[list[SystemAnswer]]:
        """The answers of each system, side by side with those of the others."""
        by_system: dict[str, list[SystemAnswer]] = {}
        for answer in self.answers:
            by_system.setdefault(answer.system, []).append(answer)
        return list(by_system.values())

    @property
    def choices(self) -> list[LetteredChoice]:
        """The options of a multiple-choice question."""
        if self.sample is None:
            return []
        return [
            LetteredChoice(LETTERS[i] if i < len(LETTERS) else str(i + 1), text, i == self.sample.answer)
            for i, text in enumerate(self.sample.choices)
        ]


def titled(sample: judgekit.Sample) -> str:
    """The instruction and its input on one line, at most TITLE characters."""
    return judgekit.shortened(" ".join(f"{sample.instruction} {sample.input}".split()), TITLE)


class Items:
    """Every sample of a run by its number, from 1, in the data's order.

    Rows and responses of samples that the data do not have come last: they are never dropped. `many` keeps what
    belongs to the samples on disk until their page is made.
    """

    def __init__(self, run: judgekit.RunView, board: Board, many: int) -> None:
        self.run, self.board = run, board
        self.numbers = {sample.id: number for number, sample in enumerate(run.samples, start=1)}
        self.known = len(self.numbers)
        self.shelf = Shelf(on_disk=self.known > many)
        for noun in _everything(run):
            number = self.numbers.setdefault(noun.sample_id, len(self.numbers) + 1)
            self.shelf.put(number, noun)
        record = run.record
        self._scales = {(e.metric, e.series): e.scale for e in record.estimates}
        self._pairwise = {metric for metric, _ in self._scales if is_pairwise(record, metric)}
        self._order = {system: place for place, system in enumerate(record.systems)}

    def __len__(self) -> int:
        return len(self.numbers)

    def pages(self, size: int) -> Iterator[list[ReportItem]]:
        """The items, `size` at a time."""
        samples, ids = iter(self.run.samples), iter(self.numbers)
        for first in range(1, len(self) + 1, size):
            last = min(first + size - 1, len(self))
            here: list[judgekit.Sample | None] = list(islice(samples, size))
            here += [None] * (last - first + 1 - len(here))
            nouns = self.shelf.between(first, last)
            yield [
                self._item(first + at, sample_id, sample, nouns.get(first + at, []))
                for at, (sample_id, sample) in enumerate(zip(islice(ids, size), here, strict=True))
            ]

    def _item(self, number: int, sample_id: str, sample: judgekit.Sample | None, nouns: Sequence[Stored]) -> ReportItem:
        answers: dict[tuple[str, int], SystemAnswer] = {}
        values: dict[str, dict[str, list[str]]] = {}
        flags: dict[str, None] = {}
        for noun in nouns:
            key = noun.system, noun.repeat
            answer = answers.setdefault(key, SystemAnswer(*key))
            if isinstance(noun, judgekit.Response):
                answer.response = noun
                if noun.status != "complete":
                    flags[noun.status] = None
                continue
            measure = _measure(noun, self._scales, noun.metric in self._pairwise)
            answer.measures.append(measure)
            values.setdefault(noun.metric, {}).setdefault(noun.system, []).append(measure.value)
            if noun.status != "scored":
                flags[noun.status] = None
        first = next(iter(values.values()), {})
        return ReportItem(
            number=number,
            id=sample_id,
            sample=sample,
            scores=tuple((system, ", ".join(said)) for system, said in first.items()),
            flags=tuple(flags),
            marks=self.board.marks(sample_id),
            values=self.board.values(sample_id),
            changes=self.board.changes_of(sample_id),
            answers=self._sorted(answers),
        )

    def _sorted(self, answers: Mapping[tuple[str, int], SystemAnswer]) -> tuple[SystemAnswer, ...]:
        """By system in the record's order, then by repeat; systems with several repeats number them."""
        order = self._order
        ordered = sorted(answers.values(), key=lambda a: (order.get(a.system, len(order)), a.system, a.repeat))
        repeated = {answer.system for answer in ordered if answer.repeat}
        for answer in ordered:
            answer.repeated = answer.system in repeated
        return tuple(ordered)


def _everything(run: judgekit.RunView) -> Iterator[Stored]:
    yield from run.responses
    yield from run.rows


def _measure(row: judgekit.Row, scales: Scales, pairwise: bool) -> Measure:
    several = len(row.verdicts) > 1
    orders = ORDERS if pairwise and len(row.verdicts) == 2 else _places(row)
    scale = scales.get((row.metric, "value"))
    return Measure(
        metric=f"{row.metric} against {row.opponent}" if row.opponent else row.metric,
        value=_value(row.value, scale) if row.value is not None else row.status,
        status=row.status,
        judge_repeat=row.judge_repeat,
        series=_figures(row.series, row.metric, scales),
        readings=tuple(
            ShownVerdict(
                order,
                _reading(verdict, scale) if several else "",
                verdict,
                _figures({k: v for k, v in verdict.series.items() if k not in row.series}, row.metric, scales),
            )
            for order, verdict in zip(orders, row.verdicts, strict=True)
            if several or verdict.raw or verdict.rationale or verdict.detail or verdict.series
        ),
    )


def _places(row: judgekit.Row) -> Sequence[str]:
    """The parts of a conversation that the verdicts are on: the turns, then the whole; empty for one verdict."""
    count = len(row.verdicts)
    turns = sum(name.startswith("turn_") for name in {*row.series, *row.missing})
    if count < 2 or not turns:
        return ("",) * count
    return [f"turn {place + 1}" if place < turns or turns < count - 1 else "the whole" for place in range(count)]


def _figures(series: Mapping[str, float], metric: str, scales: Scales) -> tuple[tuple[str, str], ...]:
    """(label, value) of further values."""
    figures = []
    for name, value in series.items():
        scale = scales.get((metric, name))
        figures.append((scale.label if scale else name, _value(value, scale)))
    return tuple(figures)


def _reading(verdict: judgekit.Verdict, scale: judgekit.Scale | None) -> str:
    return verdict.status if verdict.value is None else _value(verdict.value, scale)


def _value(value: float, scale: judgekit.Scale | None) -> str:
    return numbers.cell(value) if scale is None else numbers.amount(value, scale)


def titles(samples: Iterable[judgekit.Sample], wanted: Iterable[str]) -> dict[str, str]:
    """The titles of some samples, by id."""
    ids = set(wanted)
    return {sample.id: titled(sample) for sample in samples if sample.id in ids} if ids else {}
