"""Whole runs on stored answers, for contract tests: two systems, eight items, and the parrot as the judge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from judgekit.config.blocks import RunConfig
from judgekit.plugins import build_manager
from judgekit.results import RunView
from judgekit.testing.parrots import ParrotPlugin

PLUGINS = ("datasets", "json", "metrics", "readings", "responses")
ITEMS = tuple(
    {
        "id": f"item-{number}",
        "instruction": f"Say the word number {number}.",
        "question": f"Which is the word number {number}?",
        "output": f"word {'o' * number}",
        "category": ("odd", "even")[number % 2],
        "choices": ["word", f"word {'o' * number}", "none of these"],
        "answer": number % 3,
        "new": f"word {'o' * number}",
        "old": f"a word, <b>number</b> {number}",
    }
    for number in range(8)
)


def run_config(metrics: Mapping[str, Any], needs: frozenset[str] = frozenset({"responses"})) -> RunConfig:
    """The config of a run of two systems, "new" and "old", judged by "main", that has what metrics of these `needs` do:
    stored answers, or models that are asked; questions with choices; a judge that scores, or one that compares."""
    asking, mode = "responses" not in needs, "letter" if "pairwise" in needs else "integer"
    answers = {"": "A"} if "pairwise" in needs else {}
    stored = {"backend": "responses", "path": "items.json"}
    models = {name: {"backend": "parrot"} if asking else stored | {"field": name} for name in ("new", "old")}
    tree = {
        "name": "sample",
        "data": {"path": "items.json", "loader": "choices" if "choices" in needs else "instructions"},
        "models": models,
        "judges": {"main": {"backend": "parrot", "mode": mode, "answers": answers, "control_items": 2}},
        "metrics": dict(metrics),
        "reports": ["json"],
        "statistics": {"resamples": 99, "by": ["category"]},
    }
    return RunConfig.model_validate(tree)


def stored_run(where: Path, config: RunConfig, plugins: Sequence[Any] = (), items: Sequence[Any] = ITEMS) -> RunView:
    """The run, made in the folder."""
    from judgekit.pipeline.run import Run, Settings

    where.mkdir(parents=True, exist_ok=True)
    (where / "items.json").write_text(json.dumps(list(items)), "utf-8")
    manager = build_manager(only=PLUGINS, extra=[ParrotPlugin(), *plugins])
    settings = Settings(output=where / "runs", home=where / "home")
    return Run(config, where, manager, settings).execute().folder.view()


def sample_run(where: Path) -> RunView:
    """A small finished run with scores, a judge's card and breakdowns, made in the folder."""
    score = {"quality": {"type": "score", "judge": "main"}, "exact": {"type": "exact_match"}}
    return stored_run(where, run_config(score))
