"""Letter bias: what a habit that reads nothing reaches on multiple choice, and who can be told from it.

A model that always says one letter is right as often as that letter is. An accuracy whose interval reaches down to the
best such habit cannot be told from it (statistics.md, section 5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import judgekit
from judgekit.statistics import Estimate, IntervalTerms, ItemTable, Statistic, Subject, estimate
from judgekit_metrics.choice_readings import LETTERS

LONGEST = "longest option"
BASELINE = judgekit.Scale(label="degenerate baseline", low=0, high=1, unit="%")


def degenerate(samples: Sequence[judgekit.Sample]) -> dict[str, list[float]]:
    """By habit, one value a sample: 1 where it is right, else 0.

    The habits are to answer always A, always B, … (as many letters as the longest list of options has), and to take the
    longest option in characters, of several the first. A letter beyond a question's options is wrong. ValueError for a
    sample without an answer.
    """
    if any(sample.answer is None for sample in samples):
        raise ValueError("a sample has no answer")
    most = max((len(sample.choices) for sample in samples), default=0)
    habits = {
        f"always {LETTERS[index]}": [float(sample.answer == index) for sample in samples] for index in range(most)
    }
    habits[LONGEST] = [float(sample.answer == longest(sample.choices)) for sample in samples]
    return habits


def longest(options: Sequence[str]) -> int:
    """The index of the longest option in characters; of several, the first."""
    lengths = [len(option) for option in options]
    return lengths.index(max(lengths))


def chance(samples: Sequence[judgekit.Sample]) -> float:
    """The expected share of right answers of who draws one of each question's options at random."""
    return float(np.mean([1 / len(sample.choices) for sample in samples]))


def baselines(terms: judgekit.AggregateTerms) -> list[Estimate]:
    """What each degenerate habit reaches on all the samples, as the estimate of a system of that name."""
    estimates = []
    for habit, values in degenerate(terms.samples).items():
        table = ItemTable(terms.clusters)
        for sample, value in zip(terms.samples, values, strict=True):
            table.add(sample.id, 0, 0, value)
        of = Subject(terms.metric, habit, BASELINE, "baseline")
        estimates += estimate(table, of, IntervalTerms(confidence=terms.confidence))
    return estimates


def letter_bias(whole: Estimate, table: ItemTable, samples: Sequence[judgekit.Sample]) -> Statistic:
    """How far the accuracy's interval stays above the best degenerate habit on the same items, those that `table` has
    scored; at most 0 where it cannot be told from it.

    `value` is the interval's lower end less the habit's share, and the note says it in words.
    """
    ids = table.ids
    scored = {ids[index] for index in table.means()[0]}
    reached = {
        habit: float(np.mean(values))
        for habit, values in degenerate([sample for sample in samples if sample.id in scored]).items()
        if values
    }
    habit = max(reached, key=lambda name: reached[name], default=LONGEST)
    best = reached.get(habit, 0.0)
    reach = f"{habit}, {100 * best:.2f} % of the same items"
    margin = None if whole.interval.low is None else whole.interval.low - best
    if margin is None:
        note = f"not known to be above letter bias: there is no interval ({whole.interval.note})"
    elif margin > 0:
        note = f"above every degenerate baseline (the best is {reach})"
    elif whole.interval.high is not None and whole.interval.high < best:
        note = f"cannot be told from letter bias: the interval is below the best degenerate baseline ({reach})"
    else:
        note = f"cannot be told from letter bias: the interval reaches the best degenerate baseline ({reach})"
    label = "lower end of the interval − best degenerate baseline"
    return Statistic(metric=whole.metric, system=whole.system, name="letter_bias", label=label, value=margin, note=note)


def chance_statistic(metric: str, samples: Sequence[judgekit.Sample]) -> Statistic:
    note = "expected of who draws one of each question's options at random"
    return Statistic(metric=metric, system="", name="chance", label="chance", value=chance(samples), note=note)
