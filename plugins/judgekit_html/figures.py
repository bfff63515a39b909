"""The report's own sections: a chart, its one sentence and its data table, from the record and its rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import judgekit
import judgekit.data
import judgekit.statistics
from judgekit_html import charts, numbers
from judgekit_html.board import Column
from judgekit_html.charts import Styles
from judgekit_html.findings import (
    conclude,
    headlines,
    interval_text,
    is_pairwise,
    metrics,
    opponent,
    several_opponents,
)

OUTRIGHT = charts.OUTCOMES[:3]
TOKENS = "tokens"  # learnt from so far: in the table, but not worth a curve
TABLE_ROWS = 25  # of a loss curve's table, a split


def results(record: judgekit.RunRecord, metric: str) -> judgekit.Section | None:
    """The metric's headline numbers with their intervals; None where it has none."""
    estimates = headlines(record, metric)
    if not estimates:
        return None
    scale = estimates[0].scale
    pairwise = is_pairwise(record, metric)
    even = (scale.low + scale.high) / 2 if pairwise else None
    if not pairwise:
        scores = joined([f"{e.system} scores {_figures(e)}" for e in estimates])
        low, high = (numbers.minus(f"{end * numbers.factor(scale):g}") for end in (scale.low, scale.high))
        words = f"{scores}. The {scale.label} runs from {low} to {high}{numbers.unit(scale)}."
    else:
        wins = joined([f"{e.system} wins {_figures(e)} against {opponent(record, e)}" for e in estimates])
        words = f"{wins}. Even odds are marked."
    sentence = f"On {metric}, {words}"
    chart = charts.intervals(estimates, Styles(record.systems), even, several_opponents(record, metric))
    return judgekit.Section(f"results-{metric}", metric, sentence, chart)


def differences(record: judgekit.RunRecord, metric: str) -> judgekit.Section | None:
    """The metric's paired differences, and the margin of the gate's rule on it; None where it has none."""
    estimates = [d for d in record.differences if d.metric == metric and d.series == "value"]
    if not estimates:
        return None
    words = [f"{d.system} − {d.against} is {_figures(d)}: {conclude(d)[0]}" for d in estimates]
    margin = margin_of(record, metric, estimates[0].scale)
    sentence = f"On {metric}, {joined(words)}. Zero is marked{margin_words(margin, estimates[0].scale)}."
    chart = charts.intervals(estimates, Styles(record.systems), 0, margin=margin)
    return judgekit.Section(f"differences-{metric}", metric, sentence, chart)


def margin_of(record: judgekit.RunRecord, metric: str, scale: judgekit.Scale) -> float | None:
    """The margin of the gate's rule on the metric, on the scale of differences."""
    for claim in record.gate.claims if record.gate else ():
        if claim.metric == metric and claim.kind == "margin":
            return -claim.threshold if scale.higher_is_better else claim.threshold
    return None


def margin_words(margin: float | None, scale: judgekit.Scale) -> str:
    if margin is None:
        return ""
    return f"; the dashed line is the gate's margin, {numbers.amount(margin, scale, difference=True)}"


def waterfall(record: judgekit.RunRecord, column: Column, moved: Mapping[str, float]) -> judgekit.Section:
    """The difference on each item as a bar; `moved`: those that are not zero."""
    scale = column.scale
    better = sum(column.is_better(value) for value in moved.values())
    equal = len(column.values) - len(moved)
    counts = f"{better} better, {len(moved) - better} worse, {equal} equal"
    words = f"{column.label}, item by item: {counts}"
    if len(column.values) > charts.BARS:
        words += f"; {charts.BARS} of the {numbers.whole(len(column.values))} items are drawn, evenly spaced"
    margin = margin_of(record, column.metric, scale)
    bars = charts.ranked(column.values, scale)
    chart = charts.waterfall([value for _, value in bars], scale, "difference", margin)
    sentence = f"{words}. The bars go from the largest gain to the largest loss{margin_words(margin, scale)}."
    table = judgekit.Table(
        ["sample", "difference"],
        [[sample_id, numbers.amount(value, scale, difference=True)] for sample_id, value in bars],
    )
    name = f"waterfall-{column.kind}-{column.metric}"
    return judgekit.Section(name, column.label, sentence, chart if column.values else None, table)


def _figures(estimate: judgekit.statistics.Estimate) -> str:
    """A value and its interval, 43.1 [37.0, 49.2], or what is missing."""
    if estimate.value is None:
        return f"nothing ({estimate.interval.note or 'no estimate'})"
    figure = numbers.amount(estimate.value, estimate.scale, difference=estimate.against is not None)
    interval = interval_text(estimate)
    return f"{figure} {interval}" if interval.startswith("[") else f"{figure} ({interval})"


def joined(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


class RowCounts:
    """Rows counted by metric and system (or "system against opponent") in one pass: values, missing verdicts, and wins,
    ties and losses."""

    def __init__(self, run: judgekit.RunView) -> None:
        self.values: dict[tuple[str, str], Counter[float]] = defaultdict(Counter)
        self.unscored: Counter[tuple[str, str]] = Counter()
        self.flipped: Counter[tuple[str, str]] = Counter()
        self.sides: dict[str, tuple[str, str]] = {}
        for row in run.rows:
            against = opponent(run.record, row)
            key = row.metric, row.system if against is None else f"{row.system} against {against}"
            if against is not None:
                self.sides[key[1]] = row.system, against
            if row.value is None:
                self.unscored[key] += 1
            else:
                self.values[key][row.value] += 1
            self.flipped[key] += row.series.get("consistent") == 0

    def systems(self, metric: str) -> list[str]:
        return list(dict.fromkeys(system for name, system in (*self.values, *self.unscored) if name == metric))


def distribution(record: judgekit.RunRecord, tally: RowCounts, metric: str) -> judgekit.Section | None:
    """The distribution of the metric's values; None for pairwise metrics and for those with only two values."""
    estimates = headlines(record, metric)
    if is_pairwise(record, metric) or not estimates:
        return None
    scale, systems = estimates[0].scale, tally.systems(metric)
    seen = {value for system in systems for value in tally.values[metric, system]}
    if seen <= {scale.low, scale.high}:
        return None
    bars = {
        system: charts.bins(tally.values[metric, system], tally.unscored[metric, system], scale) for system in systems
    }
    totals = "; ".join(_total(system, tally, metric) for system in systems)
    table = judgekit.Table(
        ["system", scale.label, "verdicts"],
        [[system, bar.label, bar.count] for system, counted in bars.items() for bar in counted],
    )
    chart = charts.histogram(bars, scale, Styles(record.systems))
    return judgekit.Section(f"distribution-{metric}", metric, f"{metric}, one count a verdict: {totals}.", chart, table)


def _total(system: str, tally: RowCounts, metric: str) -> str:
    missing = tally.unscored[metric, system]
    scored = judgekit.counted(tally.values[metric, system].total(), "score")
    return f"{system} has {scored}" + (f" and {missing} without" if missing else "")


def outcomes(record: judgekit.RunRecord, tally: RowCounts, metric: str) -> judgekit.Section | None:
    """Wins, ties and losses of a pairwise metric; None for other metrics."""
    pairs = tally.systems(metric)
    if not is_pairwise(record, metric) or not pairs:
        return None
    counts = {pair: _outcomes(record, tally, metric, pair) for pair in pairs}
    sentences = [
        f"{pair}: {_listed(by_outcome)}{_flips(tally.flipped[metric, pair])}" for pair, by_outcome in counts.items()
    ]
    table = judgekit.Table(
        ["system", "against", *charts.OUTCOMES],
        [[*tally.sides[pair], *(counts[pair].get(outcome, 0) for outcome in charts.OUTCOMES)] for pair in pairs],
    )
    chart = charts.outcomes(counts, {pair: pair for pair in pairs})
    return judgekit.Section(f"outcomes-{metric}", metric, f"{metric}: {'; '.join(sentences)}.", chart, table)


def _outcomes(record: judgekit.RunRecord, tally: RowCounts, metric: str, system: str) -> dict[str, int]:
    scale = next((e.scale for e in headlines(record, metric)), None)
    middle = (scale.low + scale.high) / 2 if scale else 0.5
    counts: Counter[str] = Counter()
    for value, count in tally.values[metric, system].items():
        counts["wins" if value > middle else "losses" if value < middle else "ties"] += count
    return {**counts, "no verdict": tally.unscored[metric, system]}


_ONE = {"wins": "win", "ties": "tie", "losses": "loss", "no verdict": "without a verdict"}


def _listed(counts: Mapping[str, int]) -> str:
    """29 wins, 6 ties, 1 loss."""
    parts = []
    for outcome in charts.OUTCOMES:
        count, outright = counts.get(outcome, 0), outcome in OUTRIGHT
        if count or outright:
            parts.append(f"{count} {outcome if outright and count != 1 else _ONE[outcome]}")
    return ", ".join(parts)


def _flips(count: int) -> str:
    return f" ({judgekit.counted(count, 'verdict')} changed with the order of the two answers)" if count else ""


def curve(training: judgekit.data.Training) -> judgekit.Section:
    """A training's loss by step; without a chart where no loss was recorded."""
    if not training.curve:
        return judgekit.Section(f"training-{training.name}", training.name, f"{training.name}: no loss was recorded.")
    splits: dict[str, list[judgekit.data.CurvePoint]] = defaultdict(list)
    for point in training.curve:
        splits[point.split].append(point)
    parts = [
        f"{split} loss went from {points[0].loss:.3f} at step {points[0].step:,} to {points[-1].loss:.3f} at step "
        f"{points[-1].step:,} (lowest {min(point.loss for point in points):.3f})"
        for split, points in splits.items()
    ]
    rows = charts.thinned(training.curve, TABLE_ROWS)
    measures = list(dict.fromkeys(name for point in training.curve for name in point.measures))
    last = {name: point.measures[name] for point in training.curve for name in point.measures}
    parts += [f"{name.replace('_', ' ')} at the end {_number(value, 3)}" for name, value in last.items()]
    return judgekit.Section(
        f"training-{training.name}",
        training.name,
        f"{training.name}: {'; '.join(parts)}. Losses are in nats.",
        charts.curve(charts.thinned(training.curve)),
        judgekit.Table(
            ["split", "step", "loss", *measures],
            [
                [point.split, point.step, f"{point.loss:.4f}", *(_measure(point, name) for name in measures)]
                for point in rows
            ],
        ),
    )


def _measure(point: judgekit.data.CurvePoint, name: str) -> str:
    return _number(point.measures[name], 4) if name in point.measures else ""


def _number(value: float, digits: int) -> str:
    """A number with so many decimals; if it is small (a learning rate), with as many significant digits."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}f}" if value == 0 or abs(value) >= 0.01 else f"{value:.{digits}g}"


def measures(training: judgekit.data.Training) -> list[judgekit.Section]:
    """The other measures of a training, each with its own chart."""
    sections = []
    names = dict.fromkeys(name for point in training.curve for name in point.measures)
    for name in (name for name in names if name != TOKENS):
        points = [point for point in training.curve if name in point.measures]
        first, last = points[0], points[-1]
        sentence = (
            f"{training.name}: {name.replace('_', ' ')} went from {_number(first.measures[name], 3)} at step "
            f"{first.step:,} to {_number(last.measures[name], 3)} at step {last.step:,}."
        )
        words = name.replace("_", " ")
        rows: list[list[str | float | int | None]] = [
            [one.split, one.step, _measure(one, name)] for one in charts.thinned(points, TABLE_ROWS)
        ]
        table = judgekit.Table(["split", "step", words], rows)
        chart = charts.measure(charts.thinned(points), name)
        sections.append(judgekit.Section(f"training-{training.name}-{name}", words, sentence, chart, table))
    return sections


def own(run: judgekit.RunView) -> dict[str, list[Any]]:
    """`placed`: sections with their place; `training`: those of each training."""
    record, tally = run.record, RowCounts(run)
    names = metrics(record)
    return {
        "placed": [
            *(replace(s, place="distributions") for metric in names if (s := distribution(record, tally, metric))),
            *(replace(s, place="pairwise") for metric in names if (s := outcomes(record, tally, metric))),
        ],
        "training": [[curve(training), *measures(training)] for training in record.trainings],
    }
