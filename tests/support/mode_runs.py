"""Runs of two stored systems, eight items and judges of the plugin in probing.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pluggy
import pytest

from judgekit.config.blocks import RunConfig
from judgekit.errors import PreflightError
from judgekit.pipeline.prepare import prepare
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import build_manager
from judgekit.records import Row
from judgekit.results import Estimate, RunRecord
from judgekit.testing import ParrotPlugin
from probing import Prober, ProberPlugin

ITEMS = [{"instruction": f"Say the word number {n}.", "output": f"word {'o' * n}"} for n in range(8)]
PLUGINS = ("datasets", "json", "metrics", "readings", "responses")


def config(judges: dict[str, Any], kind: str = "score", judge: str | None = None, **changes: Any) -> RunConfig:
    judges = {name: {"backend": "prober", "control_items": 0} | part if "panel" not in part else part
              for name, part in judges.items()}  # fmt: skip
    metric = {"type": kind, "judge": judge or next(iter(judges))}
    tree = {
        "name": "modes",
        "data": {"path": "items.json"},
        "models": {
            "new": {"backend": "responses", "path": "answers.json", "field": "answer"},
            "old": {"backend": "responses", "path": "others.json", "field": "answer"},
        },
        "judges": judges,
        "metrics": {"quality": metric | ({"against": "old"} if kind == "pairwise" else {})},
        "reports": ["json"],
        "statistics": {"resamples": 99},
    }
    return RunConfig.model_validate(tree | changes)


def manager() -> pluggy.PluginManager:
    return build_manager(only=PLUGINS, extra=[ProberPlugin(), ParrotPlugin()])


def run(spec: RunConfig, here: Path) -> tuple[RunRecord, list[Row]]:
    outcome = Run(spec, here, manager(), Settings(output=here / "runs", home=here / "home")).execute()
    return outcome.record, list(outcome.folder.view().rows)


def refused(spec: RunConfig, here: Path) -> str:
    """What preflight says of it."""
    with pytest.raises(PreflightError) as caught:
        prepare(spec, here, manager(), here / "checkpoints")
    assert not Prober.calls, "nothing is asked before all is well"
    return str(caught.value)


def estimates(record: RunRecord, system: str = "new") -> dict[str, Estimate]:
    return {row.series: row for row in record.estimates if row.system == system and row.estimand == "new items"}
