"""What the metrics add to every report: which letters a system answers with, beside those that are right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import judgekit
from judgekit_metrics.multiple_choice import LETTERS


def sections(run: judgekit.RunView) -> Sequence[judgekit.Section]:
    """One section a multiple-choice metric. A system that prefers a letter, whatever the question, shows it here."""
    types = {name: metric.get("type") for name, metric in _mapping(run.record.spec.get("metrics")).items() if metric}
    names = [name for name, kind in types.items() if kind == "multiple_choice"]
    if not names:
        return ()
    chosen: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in names}
    asked: dict[str, set[str]] = {name: set() for name in names}
    for row in run.rows:
        if row.metric in chosen:
            asked[row.metric].add(row.sample_id)
            if row.status == "scored" and row.verdicts:
                chosen[row.metric][row.system, json.loads(row.verdicts[0].raw)["chosen"]] += 1
    right = {sample.id: LETTERS[sample.answer] for sample in run.samples if sample.answer is not None}
    return [
        _letters(name, chosen[name], Counter(right[item] for item in asked[name] if item in right)) for name in names
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _letters(metric: str, chosen: Counter[tuple[str, str]], right: Counter[str]) -> judgekit.Section:
    systems = list(dict.fromkeys(system for system, _ in chosen))
    letters = sorted({letter for _, letter in chosen} | set(right))
    counts = [("right answers", right)] + [
        (system, Counter({letter: chosen[system, letter] for letter in letters})) for system in systems
    ]
    values = [{"who": who, "letter": letter, "count": count[letter]} for who, count in counts for letter in letters]
    return judgekit.Section(
        name=f"letters-{metric}",
        title=f"{metric}: letters chosen",
        sentence=_sentence(counts[1:], sum(right.values())),
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


def _sentence(counts: Sequence[tuple[str, Counter[str]]], questions: int) -> str:
    favourites = [
        f"{who} answers {letter} to {count} of {questions}"
        for who, tally in counts
        for letter, count in tally.most_common(1)
    ]
    return f"{'; '.join(favourites)}. A letter chosen far more often than it is right is a habit, not knowledge."
