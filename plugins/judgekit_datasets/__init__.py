"""Data loaders: instructions in the Alpaca shape; conversations of several turns; multiple-choice questions of MMLU,
HellaSwag, ARC, or your own."""

from __future__ import annotations

import judgekit


@judgekit.hookimpl
def judgekit_datasets() -> dict[str, type[judgekit.DataLoader]]:
    from judgekit_datasets.arc import ARC
    from judgekit_datasets.choices import Choices
    from judgekit_datasets.conversations import Conversations
    from judgekit_datasets.hellaswag import HellaSwag
    from judgekit_datasets.instructions import Instructions
    from judgekit_datasets.mmlu import MMLU

    return {
        "instructions": Instructions,
        "conversations": Conversations,
        "mmlu": MMLU,
        "hellaswag": HellaSwag,
        "arc": ARC,
        "choices": Choices,
    }
