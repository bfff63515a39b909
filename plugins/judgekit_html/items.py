"""Every sample with its responses and verdicts, grouped by sample id, values formatted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import judgekit
from judgekit_html import numbers
from judgekit_html.findings import opponent

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ORDERS = ("when shown first", "when shown second")
SHORT = 90  # characters of a judge's reply that are shown without folding
Scales = Mapping[tuple[str, str], judgekit.Series]


@dataclass(frozen=True)
class Reading:
    """One verdict of a row. `order` says which place the system had, for pairwise metrics."""

    order: str
    value: str
    verdict: judgekit.Verdict

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
    readings: tuple[Reading, ...]


@dataclass
class Answer:
    """What one system said to one sample in one repeat, and what was made of it."""

    system: str
    repeat: int
    repeated: bool = False
    response: judgekit.Response | None = None
    measures: list[Measure] = field(default_factory=list)


@dataclass(frozen=True)
class Item:
    """`scores`: the first metric's values by system. `flags`: the statuses that are not plain success."""

    number: int
    id: str
    sample: judgekit.Sample | None
    scores: tuple[tuple[str, str], ...]
    flags: tuple[str, ...]
    answers: tuple[Answer, ...]

    @property
    def title(self) -> str:
        """The instruction and its input on one line, at most 160 characters."""
        if self.sample is None:
            return "this sample is not part of the run's data"
        text = " ".join(f"{self.sample.instruction} {self.sample.input}".split())
        return text if len(text) <= 160 else f"{text[:159]}…"

    @property
    def choices(self) -> list[tuple[str, str, bool]]:
        """(letter, text, whether it is the answer) of a multiple-choice question."""
        if self.sample is None:
            return []
        return [
            (LETTERS[i] if i < len(LETTERS) else str(i + 1), text, i == self.sample.answer)
            for i, text in enumerate(self.sample.choices)
        ]


def items(run: judgekit.RunView) -> Iterator[Item]:
    """One Item a sample, in the data's order; rows and responses of unknown samples come last, never dropped."""
    record = run.record
    scales = {(e.metric, e.series): e.scale for e in record.estimates}
    pairwise = {metric for metric, _ in scales if opponent(record, metric) is not None}
    answers: dict[str, dict[tuple[str, int], Answer]] = defaultdict(dict)
    values: dict[str, dict[str, dict[str, list[str]]]] = defaultdict(dict)
    flags: dict[str, dict[str, None]] = defaultdict(dict)
    for response in run.responses:
        key = response.system, response.repeat
        answers[response.sample_id].setdefault(key, Answer(*key)).response = response
        if response.status != "complete":
            flags[response.sample_id][response.status] = None
    for row in run.rows:
        key = row.system, row.repeat
        measure = _measure(row, scales, row.metric in pairwise)
        answers[row.sample_id].setdefault(key, Answer(*key)).measures.append(measure)
        values[row.sample_id].setdefault(row.metric, {}).setdefault(row.system, []).append(measure.value)
        if row.status != "scored":
            flags[row.sample_id][row.status] = None
    samples: dict[str, judgekit.Sample | None] = {sample.id: sample for sample in run.samples}
    order = {system: place for place, system in enumerate(record.systems)}
    for number, sample_id in enumerate(dict.fromkeys([*samples, *answers]), start=1):
        yield Item(
            number=number,
            id=sample_id,
            sample=samples.get(sample_id),
            scores=_scores(values[sample_id]),
            flags=tuple(flags[sample_id]),
            answers=_sorted(answers[sample_id], order),
        )


def _scores(by_metric: Mapping[str, Mapping[str, list[str]]]) -> tuple[tuple[str, str], ...]:
    first = next(iter(by_metric.values()), {})
    return tuple((system, ", ".join(values)) for system, values in first.items())


def _sorted(answers: Mapping[tuple[str, int], Answer], order: Mapping[str, int]) -> tuple[Answer, ...]:
    """By system in the record's order, then by repeat; systems with several repeats number them."""
    found = sorted(answers.values(), key=lambda a: (order.get(a.system, len(order)), a.system, a.repeat))
    repeated = {answer.system for answer in found if answer.repeat}
    for answer in found:
        answer.repeated = answer.system in repeated
    return tuple(found)


def _measure(row: judgekit.Row, scales: Scales, pairwise: bool) -> Measure:
    several = len(row.verdicts) > 1
    orders = ORDERS if pairwise and len(row.verdicts) == 2 else ("",) * len(row.verdicts)
    series = [(_label(row, name, scales), _value(v, scales.get((row.metric, name)))) for name, v in row.series.items()]
    return Measure(
        metric=row.metric,
        value=_value(row.value, scales.get((row.metric, "value"))) if row.value is not None else row.status,
        status=row.status,
        judge_repeat=row.judge_repeat,
        series=tuple(series),
        readings=tuple(
            Reading(order, _reading(verdict, scales.get((row.metric, "value"))) if several else "", verdict)
            for order, verdict in zip(orders, row.verdicts, strict=True)
            if several or verdict.raw or verdict.rationale or verdict.detail
        ),
    )


def _label(row: judgekit.Row, name: str, scales: Scales) -> str:
    scale = scales.get((row.metric, name))
    return scale.label if scale else name


def _reading(verdict: judgekit.Verdict, scale: judgekit.Series | None) -> str:
    return verdict.status if verdict.value is None else _value(verdict.value, scale)


def _value(value: float, scale: judgekit.Series | None) -> str:
    return numbers.cell(value) if scale is None else numbers.amount(value, scale)
