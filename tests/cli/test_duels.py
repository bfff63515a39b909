"""Tables of pairs: win rates that mirror each other, and a dash for what was not counted."""

from judgekit.cli.duels import duel_rows, matrix, several_opponents, shown_estimate

from judged_runs import SHARE, record_of, row
from judgekit.results import Estimate, Interval, Statistic

NONE = Interval(method="t", low=None, high=None)


def estimate(system, opponent, value, **changes):
    return Estimate(
        metric="duel", system=system, opponent=opponent, scale=SHARE, value=value, confidence=0.95, interval=NONE,
        n_items=4, **changes,
    )  # fmt: skip


ESTIMATES = (estimate("a", "b", 0.75), estimate("a", "c", None), estimate("a", "b", 0.1, series="length_adjusted"))


def record(**changes):
    return record_of([row("s", 1.0, metric="duel")]).model_copy(update={"estimates": ESTIMATES, **changes})


def test_half_of_the_matrix_mirrors_the_other_half():
    columns, rows = matrix(record(systems=("b", "a", "c")), "duel")
    assert columns[1:] == ("b", "a")
    assert rows == [("b", "", "25.0 %"), ("a", "75.0 %", "")]


def test_of_many_pairs_the_table_has_the_headlines():
    assert several_opponents(ESTIMATES) == {"duel"}
    assert several_opponents(ESTIMATES[:1]) == set()
    assert [shown_estimate(one, {"duel"}) for one in ESTIMATES] == [True, True, False]
    assert all(shown_estimate(one, set()) for one in ESTIMATES)


def test_what_was_not_counted_is_a_dash_and_a_tiny_p_is_no_zero():
    values = {"wins": 3.0, "sign_test": 0.0001, "strange": 1.0}
    statistics = tuple(
        Statistic(metric="duel", system="a", opponent="b", name=name, label=name, value=value, note="")
        for name, value in values.items()
    )
    (only,) = duel_rows(record(statistics=statistics))
    assert only == ("duel", "a", "b", "3", "–", "–", "–", "–", "< 0.001")
