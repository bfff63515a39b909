"""Tables of pairs: what was measured of each, and a dash for what was not counted."""

from judged_runs import SHARE, record_of, row
from judgekit.cli.pairs import matrix, several_opponents, shown_estimates, statistic_tables
from judgekit.results import Estimate, Interval, Statistic

NONE = Interval(method="t", low=None, high=None)


def estimate(system, opponent, value, **changes):
    return Estimate(
        metric="duel", system=system, opponent=opponent, scale=SHARE, value=value, confidence=0.95, interval=NONE,
        n_items=4, **changes,
    )  # fmt: skip


LENGTHS = tuple(estimate("a", one, 0.1, series="length_adjusted") for one in "bc")
ESTIMATES = (estimate("a", "b", 0.75), estimate("a", "c", None), *LENGTHS)


def record(**changes):
    return record_of([row("s", 1.0, metric="duel")]).model_copy(update={"estimates": ESTIMATES, **changes})


def test_the_matrix_has_what_was_measured() -> None:
    columns, rows = matrix(record(systems=("b", "a", "c")), "duel")
    assert columns[1:] == ("b", "a")
    assert rows == [("b", "", ""), ("a", "75.0 %", "")]


def test_of_many_pairs_the_table_has_the_headlines() -> None:
    assert several_opponents(ESTIMATES) == {"duel"}
    assert several_opponents(ESTIMATES[:1]) == set()
    assert shown_estimates(ESTIMATES) == list(ESTIMATES[:2])
    assert shown_estimates(ESTIMATES[:3]) == list(ESTIMATES[:3]), "said of all systems against one"


def test_what_was_not_counted_is_a_dash_and_a_tiny_p_is_no_zero() -> None:
    values = {"b": {"won": 3.0, "p": 0.0001}, "c": {"won": 1234.0, "p": None}}
    statistics = tuple(
        Statistic(metric="duel", system="a", opponent=opponent, name=name, label=name, value=value, note="")
        for opponent, mine in values.items()
        for name, value in mine.items()
    )
    ((columns, rows),) = statistic_tables(record(statistics=statistics))
    assert columns == ("metric", "system", "opponent", "won", "p")
    assert rows == [("duel", "a", "b", "3", "< 0.001"), ("duel", "a", "c", "1,234", "–")]
