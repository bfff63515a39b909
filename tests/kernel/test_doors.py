"""Doors: opening one loads nothing (tests/house holds that a door's names are those of its stub)."""

import subprocess
import sys

DOORS = ("judgekit.data", "judgekit.statistics", "judgekit.testing")


def test_a_door_loads_nothing_before_a_name_is_used():
    code = (
        f"import sys\nfor name in {DOORS}: __import__(name)\n"
        "print(*(name for name in sys.modules if name.startswith('judgekit.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {*DOORS, "judgekit.doors"}
