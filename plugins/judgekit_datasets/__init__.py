"""Data loaders: instruction files in the Alpaca shape, and multiple-choice questions in MMLU's layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import judgekit

if TYPE_CHECKING:
    from collections.abc import Mapping


@judgekit.hookimpl
def judgekit_datasets() -> Mapping[str, type[judgekit.DataLoader]]:
    from judgekit_datasets.instructions import Instructions
    from judgekit_datasets.mmlu import MMLU

    return {"instructions": Instructions, "mmlu": MMLU}
