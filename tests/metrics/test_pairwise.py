"""The pairwise metric over hand-made studies, and which items change their outcome."""

import json

import pytest
from scipy.stats import binomtest

import judgekit
from judgekit.statistics.items import ItemTable
from judgekit_metrics.outcomes import Outcomes, outcomes, position_test, sign_test
from judgekit_metrics.pairwise import Pairwise, PairwiseOptions
from judgekit_metrics.preferences import Battle, all_pairs
from judgekit_metrics.stored_files import LabelOptions
from pairwise_study import PairwiseStudy, TableJudge
from tables import each

TWO: dict[str, list[list[str | None]]] = {
    "new": [["long answer"], ["a"], ["tie"]],
    "old": [["short"], ["bb"], ["eit"]],
}
FIRST = TableJudge(lambda a, b: 1.0, lambda a, b: 0.0)


def measured(answers, judge, **options):
    metric = Pairwise(PairwiseOptions.model_validate(options))
    return list(metric.rows(PairwiseStudy(answers, judge, anchor=list(answers)[-1])))


def test_both_orders_make_a_preference():
    rows = measured(TWO, TableJudge(), against="old")
    assert [row.value for row in rows] == [1, 0, 0.5]
    assert [(row.system, row.opponent) for row in rows] == [("new", "old")] * 3
    assert [row.series["consistent"] for row in rows] == [1, 1, 1]
    assert [row.series["longer"] for row in rows] == [6, -1, 0]
    biased = measured(TWO, FIRST, against="old")
    assert [row.value for row in biased] == [0.5] * 3
    assert [(row.series["consistent"], row.series["first"]) for row in biased] == [(0, 1)] * 3
    assert all("consistent_only" not in row.series for row in biased)
    rows = measured(TWO, TableJudge(order_free=True), against="old")
    assert [row.value for row in rows] == [1, 0, 0.5]
    assert [set(row.series) for row in rows] == [{"longer"}] * 3
    rows = measured(TWO, TableJudge(second=lambda a, b: None), against="old")
    assert [(row.status, row.value, row.series) for row in rows] == [("unparsed", None, {})] * 3
    assert [len(row.verdicts) for row in rows] == [2, 2, 2]
    verdict = judgekit.Verdict(status="scored", value=0.25)
    row = Battle(verdict, label=0.0).row("a", "b", "0", "mean")
    assert row.value == 0.25
    assert row.series == {"right": 1.0}


@each(
    (1.0, 1.0, 1.0, 1.0, 1, 0.5),
    (0.0, 0.0, 0.0, 0.0, 1, 0.5),
    (0.5, 0.5, 0.5, 0.5, 1, 0.5),
    (1.0, 0.0, 0.5, 0.5, 0, 1.0),
    (0.0, 1.0, 0.5, 0.5, 0, 0.0),
    (1.0, 0.5, 0.75, 0.5, 0, 0.75),
    (0.5, 0.0, 0.25, 0.5, 0, 0.75),
    (0.9, 0.6, 0.75, 1.0, 1, 0.65),
    (0.4, 0.45, 0.425, 0.0, 1, 0.475),
    (0.7, 0.2, 0.45, 0.5, 0, 0.75),
)
def test_every_rule_on_every_kind_of_item(first, second, mean, both, consistent, shown_first):
    judge = TableJudge(lambda a, b: first, lambda a, b: second)
    row = measured(TWO, judge, against="old")[0]
    assert row.value == pytest.approx(mean)
    assert row.series["both_orders"] == both
    assert row.series["consistent"] == consistent
    assert row.series["first"] == pytest.approx(shown_first)
    assert row.series.get("consistent_only") == (pytest.approx(mean) if consistent else None)
    strict = measured(TWO, judge, against="old", rule="both_orders")[0]
    assert strict.value == both
    assert strict.series["mean"] == pytest.approx(mean)
    assert "both_orders" not in strict.series


def test_opponents_meet():
    answers: dict[str, list[list[str | None]]] = {"new": [["aaa", "b", "cc"]] * 3, "old": [["xx"], [None], ["xx"]]}
    rows = measured(answers, TableJudge(), against="old")
    assert [row.value for row in rows[:3]] == [1, 0, 0.5]
    assert [row.status for row in rows[3:6]] == ["error"] * 3
    answers: dict[str, list[list[str | None]]] = {"a": [["1"]], "b": [["22"]], "c": [["333"]]}
    for options in ({}, {"against": "all"}):
        rows = measured(answers, TableJudge(), **options)
        assert [(row.system, row.opponent, row.value) for row in rows] == [
            ("a", "c", 0), ("b", "c", 0), ("b", "a", 1),
        ]  # fmt: skip
    assert all_pairs(["a", "b"], "b") == [("a", "b")]
    assert len(all_pairs([*"abcdef"], "d")) == 15
    assert all(system != "d" for system, _ in all_pairs([*"abcdef"], "d")), "others are compared with the anchor"

    def problems(systems, **options):
        return Pairwise(PairwiseOptions.model_validate(options)).check(dict.fromkeys(systems.split(), frozenset()))

    assert problems("new old", against="old") == []
    assert "no model is named 'old'" in problems("new", against="old")[0]
    assert problems("old", against="old") == ["there is no second model to compare"]
    assert problems("old") == ["there is no second model to compare"]
    assert problems("a b c", against="all") == []
    assert "a model has that name" in problems("a all", against="all")[0]


def test_labels_are_compared_and_checked(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("id,better\n0,n\n1,n\n2,tie\n")
    options = LabelOptions(path=str(path), field="better", names={"n": "new", "o": "old"})
    rows = measured(TWO, TableJudge(), against="old", labels=options)
    assert [row.series["right"] for row in rows] == [1, 0, 1]
    split = measured(TWO, FIRST, against="old", labels=options)
    right = [[row.series[name] for name in ("right", "right_first", "right_second", "right_both")] for row in split]
    assert right == [[0.5, 1, 0, 0], [0.5, 1, 0, 0], [0, 0, 0, 0]]
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps({"id": one, "better": "new"}) + "\n" for one in ("0", "7", "8")))
    metric = Pairwise(PairwiseOptions(against="old", labels=LabelOptions(path=str(path), field="better")))
    samples = [judgekit.Sample(id="0", instruction="x")]
    (problem,) = metric.check_samples(samples, ["new", "old"], True)
    assert problem == "2 of 3 labels are for samples that do not exist, such as '7', '8'"
    assert metric.check_samples(samples, ["new", "old"], False) == [], "a limit left the others out"


@each(
    ("id,better\n0,q\n", "line 2: the winner 'q' is none of 'n', 'old', 'tie'"),
    ("id,better\n0,n\n0,n\n", "line 3: the sample '0' is labelled twice"),
    ("id,betr\n0,n\n", "no row has a field 'better'; did you mean 'betr'?"),
    ("id,better\n0\n", "1 cells under 2 columns"),
    ("", "is empty"),
    ("id,better\n", "has no rows"),
)
def test_bad_labels_are_named_by_file_and_line(content, said, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(content)
    metric = Pairwise(
        PairwiseOptions(against="old", labels=LabelOptions(path=str(path), field="better", names={"n": "new"}))
    )
    with pytest.raises(judgekit.DataError, match=r"labels\.csv") as error:
        metric.check_samples([judgekit.Sample(id="0", instruction="x")], ["new", "old"], True)
    assert said in str(error.value)


def table(*items):
    """One tuple of repeats an item."""
    found = ItemTable()
    for number, repeats in enumerate(items):
        for repeat, value in enumerate(repeats):
            found.add(str(number), repeat, 0, value, "scored" if value is not None else "unparsed")
    return found


@each((0, 1), (3, 2), (5, 5), (17, 4), (4, 17), (900, 800), (2, 0))
def test_the_sign_test_is_the_exact_binomial_one(wins, losses):
    assert sign_test(wins, losses) == pytest.approx(binomtest(wins, wins + losses).pvalue, rel=1e-9)


def test_an_item_changes_once_or_not_at_all():
    test = position_test(table((0.5,), (0.5,)), table((1,), (1,)))
    assert (test.changed, test.first, test.p) == (0, 0, None)
    assert outcomes(table((1, 1, 0), (0.5, 0.5), (0, 1), (0.25, 0.5), (None, 1), (None,))) == Outcomes(2, 2, 1)
    test = position_test(table((1, 0.5, 1), (0.5, 0), (1, 0), (0.75,)), table((0, 1, 0), (1, 0), (0, 0), (0,)))
    assert (test.changed, test.first) == (4, 2)
    assert test.p == 1.0, "the item whose repeats fell to either side says nothing: two against one are left"
    test = position_test(table((0.6,), (0.7,), (0.8,)), table((1,), (1,), (0,)))
    assert (test.changed, test.first, test.p) == (1, 1, 1.0)
