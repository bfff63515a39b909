"""A sample's way through `generate` is straight."""

from __future__ import annotations

import runpy
from pathlib import Path


def test_a_samples_way_is_straight(tmp_path: Path, checkout: Path) -> None:
    tracer = runpy.run_path(str(checkout / "tests" / "house" / "sample_path.py"))
    rooms = tracer["sample_path"](tmp_path)
    assert set(rooms) == {"pipeline", "prompting", "calls"}
    assert tracer["returns"](rooms) <= 3, " → ".join(rooms)
