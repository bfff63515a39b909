"""Report sections of multiple choice: accuracies beside those of habits, letters chosen, shots that fitted."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import judgekit
import judgekit.statistics
from judgekit_metrics.choice_readings import LETTERS

CHANCE = "chance"
BASELINE = "baseline"


@dataclass
class Tally:
    """What the rows of one metric say besides their values, by system. `read`: how its answers were read."""

    chosen: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    shots: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    read: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    asked: set[str] = field(default_factory=set)
    unscored: Counter[str] = field(default_factory=Counter)

    def add(self, row: judgekit.Row) -> None:
        self.asked.add(row.sample_id)
        if row.status != "scored" or not row.verdicts:
            self.unscored[row.system] += 1
            return
        kept = _kept(row.verdicts[0])
        for name, counts in (("chosen", self.chosen), ("shots", self.shots), ("reading", self.read)):
            if name in kept:
                counts[row.system][kept[name]] += 1


def _kept(verdict: judgekit.Verdict) -> dict[str, Any]:
    """What multiple_choice noted of an answer: its own JSON, or the figures that are left of it in a redacted run."""
    if verdict.raw.startswith("{"):
        kept: dict[str, Any] = json.loads(verdict.raw)
        return kept
    figures = verdict.series  # of a run from before there were any, nothing is left
    return {"chosen": LETTERS[int(figures["chosen"])], "shots": int(figures["shots"])} if "chosen" in figures else {}


def sections(run: judgekit.RunView) -> Sequence[judgekit.Section]:
    """Up to three sections a multiple-choice metric."""
    metrics = run.record.part("metrics")
    tallies = {name: Tally() for name in metrics if run.record.part("metrics", name).get("type") == "multiple_choice"}
    if not tallies:
        return ()
    for row in run.rows:
        if row.metric in tallies:
            tallies[row.metric].add(row)
    answers = {sample.id: LETTERS[sample.answer] for sample in run.samples if sample.answer is not None}
    shown = [section for name, tally in tallies.items() for section in _sections(run.record, name, tally, answers)]
    return [replace(section, place="choices") for section in shown]


def _sections(
    record: judgekit.RunRecord, metric: str, tally: Tally, answers: Mapping[str, str]
) -> Iterator[judgekit.Section]:
    if beside := _beside(record, metric):
        yield beside
    if tally.chosen or tally.unscored:
        yield _letters(metric, tally, Counter(answers[item] for item in tally.asked if item in answers))
    if any(count for shown in tally.shots.values() for count in shown):
        yield _shots(metric, tally)


def _beside(record: judgekit.RunRecord, metric: str) -> judgekit.Section | None:
    """Each system's accuracy and what the degenerate habits reach; None where the record has no baselines."""
    mine = [e for e in record.estimates if e.metric == metric and e.estimand == "new items"]
    systems = [e for e in mine if e.series == "value"]
    habits = [e for e in mine if e.series == BASELINE]
    if not systems or not habits:
        return None
    statistics = [s for s in record.statistics if s.metric == metric]
    notes = [f"{s.system}: {s.note}" for s in statistics if s.name == "letter_bias"]
    chance = next((s.value for s in statistics if s.name == CHANCE), None)
    lines = [_line(e) for e in (*systems, *habits)]
    if chance is not None:
        lines.append({"who": CHANCE, "value": 100 * chance, "low": None, "high": None})
    return judgekit.Section(
        name=f"baselines-{metric}",
        title=f"{metric}: beside what needs no reading",
        sentence=f"{'. '.join(notes)}." if notes else "",
        chart=_ranges(lines, None if chance is None else 100 * chance),
        table=judgekit.Table(["", "accuracy", "interval"], [_cells(line) for line in lines]),
    )


def _line(estimate: judgekit.statistics.Estimate) -> dict[str, Any]:
    values = {"value": estimate.value, "low": estimate.interval.low, "high": estimate.interval.high}
    return {"who": estimate.system, **{name: None if end is None else 100 * end for name, end in values.items()}}


def _cells(line: Mapping[str, Any]) -> list[str]:
    value = "none" if line["value"] is None else f"{line['value']:.2f} %"
    interval = "" if line["low"] is None else f"[{line['low']:.2f} %, {line['high']:.2f} %]"
    return [line["who"], value, interval]


def _ranges(lines: Sequence[Mapping[str, Any]], chance: float | None) -> dict[str, Any]:
    """A line for each: the interval, and the value as a point; chance is a line through all of them."""
    names = [line["who"] for line in lines]
    y = {"field": "who", "type": "nominal", "title": None, "sort": names}
    x = {"type": "quantitative", "title": "accuracy (%)", "scale": {"domain": [0, 100]}}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
        {"mark": {"type": "point", "filled": True, "size": 60}, "encoding": {"y": y, "x": {**x, "field": "value"}}},
    ]
    if chance is not None:
        layers.append({"mark": {"type": "rule", "strokeDash": [3, 3]}, "encoding": {"x": {"datum": chance, **x}}})
    known = [dict(line) for line in lines if line["value"] is not None]
    padding = {"left": 24, "right": 8, "top": 4, "bottom": 4}  # the reader's font may be wider than the measured one
    return {"data": {"values": known}, "layer": layers, "width": 300, "height": {"step": 24}, "padding": padding}


def _letters(metric: str, tally: Tally, right: Counter[str]) -> judgekit.Section:
    """A system that prefers a letter, whatever the question, shows it here."""
    letters = sorted({letter for chosen in tally.chosen.values() for letter in chosen} | set(right))
    counts = [("right answers", right), *tally.chosen.items()]
    values = [{"who": who, "letter": letter, "count": count[letter]} for who, count in counts for letter in letters]
    return judgekit.Section(
        name=f"letters-{metric}",
        title=f"{metric}: letters chosen",
        sentence=_sentence(tally),
        chart={
            "data": {"values": values},
            "mark": "bar",
            "encoding": {
                "x": {"field": "letter", "type": "nominal", "title": None, "axis": {"labelAngle": 0}},
                "y": {"field": "count", "type": "quantitative", "title": "questions"},
                "column": {"field": "who", "type": "nominal", "title": None, "sort": [who for who, _ in counts]},
            },
            "width": 110,
            "height": 120,
        },
        table=judgekit.Table(["", *letters], [[who, *(count[letter] for letter in letters)] for who, count in counts]),
    )


def _sentence(tally: Tally) -> str:
    favourites = [
        f"{who} answers {letter} to {count} of {chosen.total()}"
        + (f" (read by {' and '.join(tally.read[who])})" if tally.read[who] else "")
        for who, chosen in tally.chosen.items()
        for letter, count in chosen.most_common(1)
    ]
    return f"{'; '.join(favourites)}. A letter chosen far more often than it is right is a habit, not knowledge."


def _shots(metric: str, tally: Tally) -> judgekit.Section:
    """How many worked examples had room before each question."""
    numbers = sorted({shots for shown in tally.shots.values() for shots in shown}, reverse=True)
    parts = []
    for system, shown in tally.shots.items():
        had = ", ".join(
            f"{judgekit.counted(shown[shots], 'question')} with {shots}" for shots in numbers if shown[shots]
        )
        without = f", {tally.unscored[system]} not scored" if tally.unscored[system] else ""
        parts.append(f"{system}: {had}{without}")
    rows: list[list[str | int]] = [
        [system, *(shown[shots] for shots in numbers), tally.unscored[system]] for system, shown in tally.shots.items()
    ]
    return judgekit.Section(
        name=f"shots-{metric}",
        title=f"{metric}: worked examples that had room",
        sentence=f"Worked examples are dropped from the end while a prompt is too long. {'. '.join(parts)}.",
        table=judgekit.Table(["", *(f"{shots} shots" for shots in numbers), "not scored"], rows),
    )
