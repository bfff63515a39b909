"""docs/statistics.md names every method of the config, and the constants of the rule that chooses."""

import re

from judgekit.statistics.clusters import FEWEST
from judgekit.statistics.intervals import CARRIERS, SATURATED, SMALL
from judgekit.statistics.methods import METHODS, RESAMPLES


def test_the_methods_and_the_rule_are_those_of_the_code(checkout):
    page = (checkout / "docs" / "statistics.md").read_text("utf-8")
    first_cells = re.findall(r"^\| (`[^|]*`) \|", page, re.MULTILINE)
    named = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    text = " ".join(page.split())
    assert named == set(METHODS)
    assert f"({RESAMPLES})" in text
    assert f"fewer than {SMALL} items" in text
    assert f"fewer than {CARRIERS} items that carry the spread" in text
    assert f"fewer than {FEWEST} clusters" in text
    assert SATURATED == 0.5
    assert "at least half of them" in text
