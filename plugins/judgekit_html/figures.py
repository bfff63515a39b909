"""The report's own sections: a chart, its one sentence and its data table, from the record and its rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import judgekit
from judgekit_html import charts, numbers
from judgekit_html.charts import Styles
from judgekit_html.findings import conclude, headlines, interval_text, metrics, opponent

OUTRIGHT = charts.OUTCOMES[:3]
TABLE_ROWS = 25  # of a loss curve's table, a split


def results(record: judgekit.RunRecord, metric: str) -> judgekit.Section | None:
    """The metric's headline numbers with their intervals; None where it has none."""
    estimates = headlines(record, metric)
    if not estimates:
        return None
    scale = estimates[0].scale
    against = opponent(record, metric)
    even = None if against is None else (scale.low + scale.high) / 2
    if against is None:
        scores = _joined([f"{e.system} scores {_figures(e)}" for e in estimates])
        low, high = (f"{end * numbers.factor(scale):g}".replace("-", "−") for end in (scale.low, scale.high))
        words = f"{scores}. The {scale.label} runs from {low} to {high}{numbers.unit(scale)}."
    else:
        wins = _joined([f"{e.system} wins {_figures(e)} against {against}" for e in estimates])
        words = f"{wins}. Even odds are marked."
    sentence = f"On {metric}, {words}"
    chart = charts.intervals(estimates, Styles(record.systems), even)
    return judgekit.Section(f"results-{metric}", metric, sentence, chart)


def differences(record: judgekit.RunRecord, metric: str) -> judgekit.Section | None:
    """The metric's paired differences; None where it has none."""
    found = [d for d in record.differences if d.metric == metric and d.series == "value"]
    if not found:
        return None
    words = [f"{d.system} − {d.against} is {_figures(d)}: {conclude(d)[0]}" for d in found]
    sentence = f"On {metric}, {_joined(words)}. Zero is marked."
    chart = charts.intervals(found, Styles(record.systems), 0)
    return judgekit.Section(f"differences-{metric}", metric, sentence, chart)


def _figures(estimate: judgekit.Estimate) -> str:
    """43.1 [37.0, 49.2], or what is missing."""
    if estimate.value is None:
        return f"nothing ({estimate.interval.note or 'no estimate'})"
    figure = numbers.amount(estimate.value, estimate.scale, difference=estimate.against is not None)
    found = interval_text(estimate)
    return f"{figure} {found}" if found.startswith("[") else f"{figure} ({found})"


def _joined(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


class Tally:
    """Rows counted by metric and system in one pass: values, missing verdicts, and wins, ties and losses."""

    def __init__(self, run: judgekit.RunView) -> None:
        self.values: dict[tuple[str, str], Counter[float]] = defaultdict(Counter)
        self.unscored: Counter[tuple[str, str]] = Counter()
        self.flipped: Counter[tuple[str, str]] = Counter()
        for row in run.rows:
            key = row.metric, row.system
            if row.value is None:
                self.unscored[key] += 1
            else:
                self.values[key][row.value] += 1
            self.flipped[key] += row.series.get("consistent") == 0

    def systems(self, metric: str) -> list[str]:
        return list(dict.fromkeys(system for name, system in (*self.values, *self.unscored) if name == metric))


def distribution(record: judgekit.RunRecord, tally: Tally, metric: str) -> judgekit.Section | None:
    """How the metric's values spread; None for pairwise metrics and for those with only two values."""
    estimates = headlines(record, metric)
    if opponent(record, metric) is not None or not estimates:
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


def _total(system: str, tally: Tally, metric: str) -> str:
    missing = tally.unscored[metric, system]
    scored = numbers.counted(tally.values[metric, system].total(), "score")
    return f"{system} has {scored}" + (f" and {missing} without" if missing else "")


def outcomes(record: judgekit.RunRecord, tally: Tally, metric: str) -> judgekit.Section | None:
    """Wins, ties and losses of a pairwise metric; None for other metrics."""
    against, systems = opponent(record, metric), tally.systems(metric)
    if against is None or not systems:
        return None
    counts = {system: _outcomes(record, tally, metric, system) for system in systems}
    sentences = [
        f"{system} against {against}: {_listed(by_outcome)}{_flips(tally.flipped[metric, system])}"
        for system, by_outcome in counts.items()
    ]
    table = judgekit.Table(
        ["system", "against", *charts.OUTCOMES],
        [[system, against, *(counts[system].get(outcome, 0) for outcome in charts.OUTCOMES)] for system in systems],
    )
    chart = charts.outcomes(counts, {system: f"{system} against {against}" for system in systems})
    return judgekit.Section(f"outcomes-{metric}", metric, f"{metric}: {'; '.join(sentences)}.", chart, table)


def _outcomes(record: judgekit.RunRecord, tally: Tally, metric: str, system: str) -> dict[str, int]:
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
    return f" ({numbers.counted(count, 'verdict')} changed with the order of the two answers)" if count else ""


def curve(training: judgekit.Training) -> judgekit.Section:
    """A training's loss by step; without a chart where no loss was recorded."""
    if not training.curve:
        return judgekit.Section(f"training-{training.name}", training.name, f"{training.name}: no loss was recorded.")
    splits: dict[str, list[judgekit.CurvePoint]] = defaultdict(list)
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
    parts += [f"{name} at the end {value:.3f}" for name, value in last.items()]
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


def _measure(point: judgekit.CurvePoint, name: str) -> str:
    return f"{point.measures[name]:.4f}" if name in point.measures else ""


def own(run: judgekit.RunView) -> dict[str, list[judgekit.Section]]:
    """The sections by their place in the report."""
    record, tally = run.record, Tally(run)
    names = metrics(record)
    return {
        "distributions": [s for metric in names if (s := distribution(record, tally, metric))],
        "pairwise": [s for metric in names if (s := outcomes(record, tally, metric))],
        "training": [curve(training) for training in record.trainings],
    }
