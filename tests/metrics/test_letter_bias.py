"""What habits reach on multiple choice, accuracies over categories, and whether a system can be told from a habit."""

import numpy as np
import pytest
from scipy import stats

from judgekit.records import Sample, Scale
from judgekit.statistics.aggregate import AggregateTerms
from judgekit.statistics.estimates import IntervalTerms, Subject, estimate
from judgekit.statistics.items import ItemTable
from judgekit_metrics.letter_bias import baselines, chance, degenerate, letter_bias, longest
from judgekit_metrics.macro_average import by_category

ACCURACY = Scale(label="accuracy", low=0, high=1, unit="%")


def sample(number, answer, options=("a", "b", "c", "d"), category="x"):
    return Sample(id=f"{number:04d}", instruction="?", choices=options, answer=answer, category=category)


def headline(table):
    return estimate(table, Subject("m", "s", ACCURACY), IntervalTerms(resamples=199))[0]


def test_habits_by_hand():
    assert longest(["a", "bb", "cc"]) == 1
    assert longest(["éé", "abc", "x"]) == 2 - 1
    assert longest(["ééé", "abcd"]) == 1
    samples = [sample(0, 0, ("aa", "b", "c")), sample(1, 4, ("a", "b", "c", "d", "eee")), sample(2, 1)]
    assert degenerate(samples) == {
        "always A": [1, 0, 0], "always B": [0, 0, 1], "always C": [0, 0, 0], "always D": [0, 0, 0],
        "always E": [0, 1, 0], "longest option": [1, 1, 0],
    }  # fmt: skip
    assert chance(samples) == pytest.approx((1 / 3 + 1 / 5 + 1 / 4) / 3)
    with pytest.raises(ValueError, match="no answer"):
        degenerate([Sample(id="1", instruction="?", choices=("a", "b"))])


def test_macro_averages_have_intervals_bounds_or_a_reason():
    samples = [sample(n, n % 4) for n in range(40)]
    found = baselines(AggregateTerms(metric="m", series={"value": ACCURACY}, samples=samples, systems="s", anchor="s"))
    assert [habit.system for habit in found] == ["always A", "always B", "always C", "always D", "longest option"]
    assert all(habit.value == 0.25 and habit.interval.method == "wilson" for habit in found)
    assert {habit.series for habit in found} == {"baseline"}
    table, categories = table_of({"a": [1, 1], "b": [0, 0, 0, 0]})
    macro, clustered = by_category(table, categories, headline(table))
    assert macro.value == 0.5
    assert clustered.value == pytest.approx(1 / 3)
    assert macro.interval.low is None
    assert "too few clusters: 2" in macro.interval.note
    table, categories = table_of({"a": [1, 0]})
    assert by_category(table, categories, headline(table)) == []
    empty, categories = table_of({"a": [None], "b": [None]})
    assert by_category(empty, categories, headline(empty)) == []
    table, categories = table_of({"a": [1, None], "b": [0, 0]})
    macro = by_category(table, categories, headline(table))[0]
    assert macro.value == 0.5
    assert macro.bounds == (0.25, 0.5)
    assert macro.counts == {"scored": 3, "truncated": 1}


def table_of(values):
    table, categories = ItemTable(), {}
    for category, results in values.items():
        for number, value in enumerate(results):
            name = f"{category}-{number}"
            categories[name] = category
            table.add(name, 0, 0, value, "scored" if value is not None else "truncated")
    return table, categories


def test_macro_is_the_mean_of_the_categories_with_t_over_them():
    rng = np.random.default_rng(3)
    values = {f"c{n:02d}": [float(x) for x in rng.integers(0, 2, 5 + 3 * n)] for n in range(12)}
    table, categories = table_of(values)
    macro, clustered = by_category(table, categories, headline(table))
    means = np.array([np.mean(each) for each in values.values()])
    assert (macro.series, clustered.series) == ("macro", "clustered")
    assert macro.value == pytest.approx(means.mean())
    assert macro.se == pytest.approx(means.std(ddof=1) / np.sqrt(12))
    half = stats.t.ppf(0.975, 11) * means.std(ddof=1) / np.sqrt(12)
    assert macro.interval.low == pytest.approx(means.mean() - half)
    assert macro.interval.high == pytest.approx(means.mean() + half)
    everything = np.concatenate([np.array(each) for each in values.values()])
    assert clustered.value == pytest.approx(everything.mean())
    assert clustered.n_clusters == 12
    assert clustered.interval.method == "cluster_t"
    # The linearised ratio estimator, written out (Cochran 1977, 6.3).
    sums = np.array([np.sum(np.array(each) - everything.mean()) for each in values.values()])
    assert clustered.se == pytest.approx(np.sqrt(12 / 11 * np.sum(sums**2)) / len(everything))


def test_an_accuracy_is_told_from_letter_bias_by_its_interval():
    samples = [sample(n, n % 4) for n in range(200)]

    def note(right):
        table = ItemTable()
        for number in range(200):
            table.add(f"{number:04d}", 0, 0, float(number < right))
        found = letter_bias(headline(table), table, samples)
        assert found.value is not None
        return found.value, found.note

    assert note(55)[1].startswith("cannot be told from letter bias: the interval reaches the best")
    assert note(55)[0] < 0
    assert note(150)[1] == "above every degenerate baseline (the best is always A, 25.00 % of the same items)"
    assert note(150)[0] > 0
    assert note(10)[1].startswith("cannot be told from letter bias: the interval is below the best")
    part = ItemTable()
    for number in range(0, 200, 4):  # those whose answer is A, and nothing else was scored
        part.add(f"{number:04d}", 0, 0, 1.0)
    assert "always A, 100.00 % of the same items" in letter_bias(headline(part), part, samples).note
    nothing = ItemTable()
    nothing.add("0000", 0, 0, None, "truncated")
    assert letter_bias(headline(nothing), nothing, samples).value is None
