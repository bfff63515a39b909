"""Multiple choice: what answers without reading reach, and accuracies over categories (MMLU's subjects).

A model that always says one letter is right as often as that letter is. An accuracy whose interval reaches down to the
best such habit cannot be told from it (statistics.md, section 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from judgekit.records import Sample, Scale
from judgekit.results import Estimate, Statistic
from judgekit.statistics.clusters import cluster_t, cluster_values, too_few_clusters
from judgekit.statistics.estimates import estimate
from judgekit.statistics.intervals import Range, none, standard_error
from judgekit.statistics.items import Floats, Indices, ItemTable, group

LETTERS = "ABCDEFGHIJ"
LONGEST = "longest option"
BASELINE = Scale(label="degenerate baseline", low=0, high=1, unit="%")
_MACRO = "macro accuracy"
_CLUSTERED = "clustered by category"


def degenerate(samples: Sequence[Sample]) -> dict[str, list[float]]:
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


def chance(samples: Sequence[Sample]) -> float:
    """The expected share of right answers of who draws one of each question's options at random."""
    return float(np.mean([1 / len(sample.choices) for sample in samples]))


def baselines(
    metric: str, samples: Sequence[Sample], confidence: float, clusters: Mapping[str, str] | None = None
) -> list[Estimate]:
    """What each degenerate habit reaches on all the samples, as the estimate of a system of that name."""
    found = []
    for habit, values in degenerate(samples).items():
        table = ItemTable(clusters)
        for sample, value in zip(samples, values, strict=True):
            table.add(sample.id, 0, 0, value)
        (fresh,) = estimate(
            table, metric=metric, system=habit, series=BASELINE, series_name="baseline", confidence=confidence
        )
        found.append(fresh)
    return found


def by_category(
    table: ItemTable, categories: Mapping[str, str], whole: Estimate, clustered: bool = False
) -> list[Estimate]:
    """The macro accuracy, which gives each category the same weight, and the (micro) accuracy with its standard error
    over categories: both t with G − 1 degrees of freedom. Nothing where there are fewer than two categories.

    `whole` is the headline estimate of the table; `clustered` says that it has the categories as clusters already.
    """
    ids = table.ids
    scale = Range(whole.scale.low, whole.scale.high)
    present, means = table.means()
    labels = _labels([categories.get(ids[index], "") for index in present])
    if not len(means) or labels.max() < 1:
        return []
    found = [_macro(table, categories, whole, group(labels, means).mean, scale)]
    if not clustered:
        values = cluster_values(means, labels)
        found.append(_over(whole, "clustered", _CLUSTERED, float(np.mean(means)), values, scale))
    return found


def _macro(table: ItemTable, categories: Mapping[str, str], whole: Estimate, values: Floats, scale: Range) -> Estimate:
    ends = []
    for end in (scale.low, scale.high):  # with every missing verdict at this end
        present, means = table.means(end)
        ids = table.ids
        labels = _labels([categories.get(ids[index], "") for index in present])
        ends.append(float(np.mean(group(labels, means).mean)))
    found = _over(whole, "macro", _MACRO, float(np.mean(values)), values, scale)
    return found.model_copy(update={"bounds": (ends[0], ends[1])})


def _over(whole: Estimate, series: str, label: str, value: float, values: Floats, scale: Range) -> Estimate:
    """An estimate whose units are categories, one value each."""
    refused = too_few_clusters(len(values))
    interval = none("cluster_t", refused) if refused else cluster_t(values, whole.confidence, scale)
    return whole.model_copy(
        update={
            "series": series,
            "scale": whole.scale.model_copy(update={"label": label}),
            "value": min(max(value, scale.low), scale.high),
            "se": standard_error(values),
            "interval": interval,
            "bootstrap": None,
            "n_clusters": len(values),
        }
    )


def _labels(names: Sequence[str]) -> Indices:
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].astype(np.intp)


def letter_bias(whole: Estimate, table: ItemTable, samples: Sequence[Sample]) -> Statistic:
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


def chance_statistic(metric: str, samples: Sequence[Sample]) -> Statistic:
    note = "expected of who draws one of each question's options at random"
    return Statistic(metric=metric, system="", name="chance", label="chance", value=chance(samples), note=note)
