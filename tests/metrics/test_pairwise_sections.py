"""What pairwise metrics add to a report, with names that attack it."""

from judgekit.records import Scale
from judgekit.results import Estimate, RunView, Statistic
from judgekit_html import report
from judgekit_metrics.pairwise_sections import sections
from sample_run import HOSTILE, estimate_of, sample_run
from sinks import each_of

RATE = Scale(label="win rate", low=0, high=1, unit="%")


def view(*systems):
    """A record of every pair of these systems."""
    pairs = [(a, b) for place, a in enumerate(systems) for b in systems[:place]]
    found: list[Estimate] = [
        estimate_of("duel", a, 0.6, 0.1, RATE, 40, series=series, opponent=b)
        for a, b in pairs
        for series in ("value", "consistent", "first", "both_orders", "length_adjusted")
    ]
    found += [
        estimate_of("duel", a, 0.7, 0.1, RATE, 40, series="bradley_terry", opponent=systems[0]) for a in systems[1:]
    ]
    counted = [
        Statistic(metric="duel", system=a, opponent=b, name=name, label=name, value=value)
        for a, b in pairs
        for name, value in (("changed", 7), ("first_won", 5), ("sign_test", 0.4531))
    ]
    return sample_run(
        8, 1, systems=systems, estimates=tuple(found), statistics=tuple(counted), differences=(), spec={"metrics": {}}
    )


def test_three_systems_have_a_matrix_two_have_none():
    by_name = {section.name: section for section in sections(view("a", "b", "c"))}
    assert list(by_name) == ["matrix-duel", "strengths-duel", "rules-duel", "positions-duel"]
    table = by_name["matrix-duel"].table
    assert table is not None
    assert list(table.columns) == ["wins of ↓ against →", "a", "b", "c"]
    assert [row[1] for row in table.rows] == ["", "60.0\u202f% [50.4, 70.7]", "60.0\u202f% [50.4, 70.7]"]
    assert table.rows[0][2] == "40.0\u202f% [29.3, 49.6]", "the other half is the mirror image, its ends turned round"
    positions = by_name["positions-duel"].table
    assert positions is not None
    assert list(positions.rows[0][3:]) == [7, 5, "0.453"]
    run = view("a", "b")
    two = run.record.model_copy(
        update={"estimates": tuple(e for e in run.record.estimates if e.series != "bradley_terry")}
    )
    names = [section.name for section in sections(RunView(two, (), (), ()))]
    assert names == ["rules-duel", "positions-duel"]
    (words,) = [s.sentence for s in sections(RunView(two, (), (), ())) if s.name == "positions-duel"]
    assert "of 7 items whose verdict changed with the order, the first won 5 (p 0.453)" in words
    assert list(sections(sample_run())) == []


def test_hostile_names_are_drawn_and_escaped():
    def is_escaped(text):
        run = view(f"a{text}", f"b{text}", f"c{text}")
        page = report(run, sections(run))["report.html"].decode()
        assert "Bradley–Terry strengths" in page
        assert "<script>alert" not in page
        assert "<img src=x" not in page

    each_of(HOSTILE, is_escaped)
