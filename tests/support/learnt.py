"""Items to learn from, read as the trainers read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from judgekit.data import LearntItem, Split, TrainingDataOptions, read_learnt


def learnt_items(path: Path, split: Split | None, learn: Any = "all", **given: Any) -> list[LearntItem]:
    options = TrainingDataOptions.model_validate({"data": str(path), **given})
    return read_learnt(path, options, split, learn=learn)
