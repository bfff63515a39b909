"""Doors: every name in the stub resolves, nothing else does, and opening one loads nothing."""

import importlib
import subprocess
import sys

import pytest

DOORS = ("judgekit.data", "judgekit.statistics", "judgekit.testing")


@pytest.mark.parametrize("name", DOORS)
def test_what_the_stub_names_is_there_and_nothing_else(name):
    door = importlib.import_module(name)
    assert dir(door) == door.__all__ == sorted(door.__all__)
    assert all(getattr(door, one) is not None for one in door.__all__)
    with pytest.raises(AttributeError, match="Nonsense"):
        door.Nonsense  # noqa: B018


def test_a_door_loads_nothing_before_a_name_is_used():
    code = (
        f"import sys\nfor name in {DOORS}: __import__(name)\n"
        "print(*(name for name in sys.modules if name.startswith('judgekit.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {*DOORS, "judgekit.doors"}
