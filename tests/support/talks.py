"""A small file of conversations, a config of a run on it, and what came out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from judgekit.config.blocks import RunConfig
from judgekit.pipeline.run import Outcome
from judgekit.records import Row
from judgekit.results import Estimate


def talk(number: int, turns: int) -> dict[str, Any]:
    """A conversation in the shape of ShareGPT."""
    said = []
    for turn in range(1, turns + 1):
        said += [{"from": "human", "value": f"Tell me {number} of {turn}."}, {"from": "gpt", "value": f"It is {turn}."}]
    return {"id": f"talk-{number}", "conversations": said, "difficulty": ("easy", "hard")[number % 2]}


def write(here: Path, talks: list[dict[str, Any]], name: str = "talks.json") -> Path:
    path = here / name
    path.write_text(json.dumps(talks), "utf-8")
    return path


def config(**changes: Any) -> RunConfig:
    tree: dict[str, Any] = {
        "name": "talks",
        "data": {"loader": "conversations", "path": "talks.json"},
        "models": {"one": {"backend": "talker"}, "two": {"backend": "talker", "voice": "Well, I did hear"}},
        "judges": {"main": {"backend": "grader", "control_items": 0}},
        "metrics": {"quality": {"type": "score"}},
        "reports": ["json"],
        "statistics": {"resamples": 99},
    }
    return RunConfig.model_validate(tree | changes)


def rows(outcome: Outcome, metric: str = "quality", system: str = "one") -> dict[str, Row]:
    return {row.sample_id: row for row in outcome.folder.rows if (row.metric, row.system) == (metric, system)}


def estimates(outcome: Outcome, metric: str = "quality", system: str = "one") -> dict[str, Estimate]:
    return {one.series: one for one in outcome.record.estimates if (one.metric, one.system) == (metric, system)}
