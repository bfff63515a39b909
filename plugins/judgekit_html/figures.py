"""The report's own sections: a chart, its one sentence and its data table, from the record and its rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import judgekit
from judgekit_html import charts, numbers
from judgekit_html.charts import Styles
from judgekit_html.findings import headlines, interval_text, metrics, opponent

Words = Callable[[judgekit.Estimate], str]
TABLE_ROWS = 25  # of a loss curve's table, a split


def results(record: judgekit.RunRecord, metric: str) -> judgekit.Section | None:
    """The metric's headline numbers with their intervals; None where it has none."""
    estimates = headlines(record, metric)
    return _intervals(f"results-{metric}", metric, estimates, record, _scores) if estimates else None


def differences(record: judgekit.RunRecord, metric: str) -> judgekit.Section | None:
    """The metric's paired differences; None where it has none."""
    found = [d for d in record.differences if d.metric == metric and d.series == "value"]
    return _intervals(f"differences-{metric}", metric, found, record, _contrast) if found else None


def _intervals(
    name: str, metric: str, estimates: Sequence[judgekit.Estimate], record: judgekit.RunRecord, words: Words
) -> judgekit.Section:
    chart = charts.intervals(estimates, Styles(record.systems))
    sentence = f"{metric}: {'; '.join(words(estimate) for estimate in estimates)}."
    return judgekit.Section(name, metric, sentence, chart)


def _scores(estimate: judgekit.Estimate) -> str:
    return f"{estimate.system} {numbers.amount(estimate.value, estimate.scale)} {interval_text(estimate)}"


def _contrast(estimate: judgekit.Estimate) -> str:
    figure = numbers.amount(estimate.value, estimate.scale, difference=True)
    return f"{estimate.system} − {estimate.against} {figure} {interval_text(estimate)}"


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
        counts["win" if value > middle else "loss" if value < middle else "tie"] += count
    return {**counts, "no verdict": tally.unscored[metric, system]}


_PLURALS = {"win": "wins", "tie": "ties", "loss": "losses", "no verdict": "without a verdict"}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(
        f"{counts.get(outcome, 0)} {outcome if counts.get(outcome, 0) == 1 and outcome != 'no verdict' else plural}"
        for outcome, plural in _PLURALS.items()
        if outcome != "no verdict" or counts.get(outcome, 0)
    )


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
    return judgekit.Section(
        f"training-{training.name}",
        training.name,
        f"{training.name}: {'; '.join(parts)}, in nats a token.",
        charts.curve(charts.thinned(training.curve)),
        judgekit.Table(["split", "step", "loss"], [[point.split, point.step, f"{point.loss:.4f}"] for point in rows]),
    )


def own(run: judgekit.RunView) -> dict[str, list[judgekit.Section]]:
    """The sections by their place in the report."""
    record, tally = run.record, Tally(run)
    names = metrics(record)
    return {
        "distributions": [s for metric in names if (s := distribution(record, tally, metric))],
        "pairwise": [s for metric in names if (s := outcomes(record, tally, metric))],
        "training": [curve(training) for training in record.trainings],
    }
