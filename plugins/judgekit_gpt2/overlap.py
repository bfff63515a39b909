"""Preflight: is a model asked about the very items that it was fine-tuned on?"""

from __future__ import annotations

from collections.abc import Iterator

import judgekit


def seen_in_training(spec: judgekit.RunSpec) -> Iterator[judgekit.Problem]:
    """A warning for each gpt2-finetune training on the file and split that the run evaluates on."""
    asked = spec.data.options
    for name, training in spec.train.items():
        options = training.options
        if training.trainer != "gpt2-finetune" or options.get("data") != asked.get("path"):
            continue
        split = options.get("split", "train")
        if asked.get("split") in (None, split):
            yield judgekit.Problem(
                severity="warning",
                where=f"train.{name}",
                message=f"is trained on the split {split!r} of {options['data']}, which the run evaluates on: "
                "its scores say what it remembers",
            )
