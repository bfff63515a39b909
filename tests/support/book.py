"""Chapter 7 of "Build a Large Language Model (From Scratch)" a second time and in plain lists: for tests alone."""

from __future__ import annotations

from collections.abc import Sequence


def by_hand(
    texts: Sequence[tuple[Sequence[int], int]], end_of_text: int, limit: int | None = None
) -> tuple[list[list[int]], list[list[int]]]:
    """Inputs and targets of texts given as (token ids, how many of them are the instruction)."""
    width = max(len(ids) for ids, _ in texts) + 1
    inputs, targets = [], []
    for ids, instruction in texts:
        row = [*ids] + [end_of_text] * (width - len(ids))
        wanted = row[1:]
        pads = [place for place, token in enumerate(wanted) if token == end_of_text]
        for place in [*pads[1:], *range(instruction - 1)]:
            if place < len(wanted):
                wanted[place] = -100
        inputs.append(row[:-1][:limit])
        targets.append(wanted[:limit])
    return inputs, targets


def instruction_part(item: dict[str, str]) -> str:
    """What the book's `format_input` makes of an item: all that stands before the response's heading."""
    parts = [
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
        f"### Instruction:\n{item['instruction']}",
    ]
    if item["input"]:
        parts.append(f"### Input:\n{item['input']}")
    return "\n\n".join(parts)


def whole_text(item: dict[str, str]) -> str:
    """What is learnt from an item."""
    return f"{instruction_part(item)}\n\n### Response:\n{item['output']}"
