"""Numbers in cells, and tables that nothing from outside breaks."""

import pytest

from judgekit.cli.tables import interval, number, print_table
from judgekit.records import Scale
from judgekit.results import Interval

SCORE, GRADE = Scale(label="s", low=0, high=100), Scale(label="g", low=1, high=5)
SHARE = Scale(label="w", low=0, high=1, unit="%")


@pytest.mark.parametrize(
    ("value", "scale", "plain", "signed"),
    [
        (None, SCORE, "–", "–"),
        (12.34, SCORE, "12.3", "+12.3"),
        (3.0, GRADE, "3.000", "+3.000"),
        (-0.5, SHARE, "-50.0 %", "-50.0 %"),
    ],
)
def test_a_number_has_the_decimals_of_its_scale(value, scale, plain, signed):
    assert (number(value, scale), number(value, scale, signed=True)) == (plain, signed)


def test_an_interval_or_why_there_is_none():
    assert interval(Interval(method="t", low=1.0, high=2.0), SCORE) == "[1.0, 2.0]"
    assert interval(Interval(method="t", low=None, high=2.0, note="too few"), SCORE) == "too few"
    assert interval(Interval(method="t", low=None, high=None), SCORE) == "none"


def test_a_table_shows_cells_as_text(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    print_table("[red]title", ("name", "n"), [("[bold]x[/bold]\x1b[31m", "1"), ("long " * 20, "2")])
    out = capsys.readouterr().out
    assert "[red]title" in out
    assert "[bold]x[/bold]\\x1b[31m" in out
    assert out.count("long") == 20
    assert max(map(len, out.splitlines())) <= 40
