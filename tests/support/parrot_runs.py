"""Runs in which parrots answer and parrots judge."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pluggy

from judgekit.config.blocks import RunConfig
from judgekit.pipeline.rescore import Stored
from judgekit.pipeline.run import Outcome, Run, Settings
from judgekit.plugins import build_manager
from judgekit.testing import CopyTrainer, Parrot, ParrotPlugin

JUDGE = {"backend": "parrot", "prompt": "score/integer", "temperature": 1.0, "control_items": 4}
ITEMS = [
    {"id": f"i{n}", "instruction": f"Say the word number {n}.", "output": f"word {n}", "category": f"kind {n % 3}"}
    for n in range(12)
]


def nest(here: Path) -> Path:
    """The folder, with the items in it; nothing has been asked yet."""
    (here / "items.json").write_text(json.dumps(ITEMS))
    Parrot.reset()
    CopyTrainer.runs = 0
    return here


def config(**changes: Any) -> RunConfig:
    tree = {
        "name": "parrots",
        "data": {"path": "items.json"},
        "models": {
            "good": {"backend": "parrot", "answers": {"number 1.": "word 1", "number 2.": "word 2"}},
            "bad": {"backend": "parrot", "answers": {"number": "nothing"}},
        },
        "judges": {"main": JUDGE},
        "metrics": {"exact": {"type": "exact_match"}, "quality": {"type": "score", "judge": "main"}},
        "reports": ["json"],
        "statistics": {"resamples": 199},
    }
    return RunConfig.model_validate(tree | changes)


def manager() -> pluggy.PluginManager:
    return build_manager(only=("datasets", "html", "json", "metrics", "readings", "responses"), extra=[ParrotPlugin()])


def run_of(
    spec: RunConfig, here: Path, stop: threading.Event | None = None, stored: Stored | None = None, **settings: Any
) -> Run:
    places = Settings(output=here / "runs", home=here / "home", **settings)
    return Run(spec, here, manager(), places, stop or threading.Event(), stored)


def execute(spec: RunConfig, here: Path, stored: Stored | None = None, **settings: Any) -> Outcome:
    return run_of(spec, here, stored=stored, **settings).execute()
