"""A run by the command, of a config that a test writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from judgekit.cli import execute


def places(here: Path) -> list[str]:
    """The options that keep a run in this folder, silently."""
    return ["-o", str(here / "runs"), "--home", str(here / "home"), "--progress", "none"]


def run(here: Path, config: str | dict[str, Any], *more: str, code: int = 0) -> Path:
    """The folder of the run, or that of all runs where the command ends with another code."""
    path = here / "judgekit.yaml"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    assert execute(["run", str(path), *places(here), *more]) == code
    return here / "runs" if code else next(here.glob("runs/*/record.json")).parent


def lines(path: Path) -> list[Any]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]
