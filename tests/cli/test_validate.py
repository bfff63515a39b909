"""`judgekit validate`: good, or everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from judgekit.cli import execute


def test_validate_says_good_or_everything_that_is_wrong(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["validate"]) == 0
    assert "judgekit.yaml: good (1 model, 0 judges, 1 metric, 6 samples)" in capsys.readouterr().out
    assert execute(["validate", "--set", "against=x", "--set", "reports=[pdf]"]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 2
