"""Passes over examples: their batches, their order, and what a model in training writes at the end of one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import judgekit
import judgekit.data

if TYPE_CHECKING:
    import torch

    from judgekit_gpt2.model import GPT2
    from judgekit_gpt2.tokens import Tokenizer
    from judgekit_gpt2.training import Portion, Respond

_WRITTEN = 64  # tokens that a model in training writes, at most

R = TypeVar("R")


class Lazy(Sequence[Any]):
    """Batches that are made when they are asked for."""

    def __init__(self, groups: Sequence[Sequence[R]], collate: Callable[[Sequence[R]], Portion]) -> None:
        self._groups, self._collate = groups, collate

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, index: Any) -> Any:
        return self._collate(self._groups[index])


def spread(batches: Sequence[Portion], most: int | None) -> Sequence[Portion]:
    """At most so many of the batches, from all over them."""
    if most is None or len(batches) <= most:
        return batches
    return [batches[(2 * place + 1) * len(batches) // (2 * most)] for place in range(most)]


def writer(tokenizer: Tokenizer, openings: Sequence[tuple[Sequence[int], str | None]], end: str = "") -> Respond:
    """A function that lets a model in training go on from the tokens of each opening, greedily; up to `end`.

    With its tokens, an opening has what the model should write, or None if that is not known.
    """

    def respond(model: GPT2, step: int) -> list[judgekit.data.TrainingSample]:
        from judgekit_gpt2.generation import Prompt, generate

        fitting = [opening for opening in openings if 0 < len(opening[0]) < model.config.context]
        stopped = (lambda ids: end in tokenizer.decode(ids)) if end else None
        asked = [Prompt(ids, _WRITTEN, stopped=stopped) for ids, _ in fitting]
        written = generate(model, asked, tokenizer.end_of_text)
        return [
            judgekit.data.TrainingSample(
                step=step, prompt=tokenizer.decode(ids), text=tokenizer.decode(new.ids), reference=reference
            )
            for (ids, reference), new in zip(fitting, written, strict=True)
        ]

    return respond


def order_of(seed: int, number: int) -> torch.Generator:
    """The generator of the order of pass `number`: the seed itself for the first, as the book has it, and for the
    others a hash, so that no two seeds share a pass."""
    return drawing(seed_of(seed, number) if number else seed)


def seed_of(*numbers: int) -> int:
    """A seed from several numbers, by a hash."""
    digest = hashlib.sha256(" ".join(map(str, numbers)).encode()).digest()
    return int.from_bytes(digest[:7], "little")


def drawing(seed: int) -> torch.Generator:
    """A generator of random numbers from a seed."""
    import torch

    return torch.Generator().manual_seed(seed)
