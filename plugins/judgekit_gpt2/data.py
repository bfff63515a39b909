"""From text to batches: the one home of what a model is trained on, and of which tokens its loss counts."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor

import judgekit
from judgekit_gpt2.tokens import Tokenizer

IGNORED = -100  # a target that the loss leaves out

T = TypeVar("T")
S = TypeVar("S", bound=Sized)


@dataclass(frozen=True)
class Example:
    """One text to train on: its tokens, how many of them (the prompt's) are not to be learnt, and what it is."""

    ids: Sequence[int]
    masked: int = 0
    name: str = ""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Batch:
    """Token ids [B, T], the token that follows each of them [B, T] or IGNORED, and what the rows are."""

    inputs: Tensor
    targets: Tensor
    names: tuple[str, ...] = ()

    @property
    def weight(self) -> int:
        """How many targets count."""
        return int((self.targets != IGNORED).sum())

    def part(self, rank: int, ranks: int) -> Batch:
        """One process's share, every `ranks`-th row from `rank` on: [about B / ranks, T], without rows if there are
        fewer than processes."""
        assert 0 <= rank < ranks, f"process {rank} of {ranks}"
        return Batch(self.inputs[rank::ranks], self.targets[rank::ranks], self.names[rank::ranks])


def collate(examples: Sequence[Example], end_of_text: int, limit: int | None = None) -> Batch:
    """The rule of "Build a Large Language Model (From Scratch)", chapter 7 (Raschka, 2024).

    Each text is followed by one end of text, which the model has to learn, and padded with more of them, which it
    has not: targets are the inputs shifted by one, the first pad is kept, the rest is ignored. So are the targets
    that are tokens of the prompt (exercise 7.2). `limit`, the book's `allowed_max_length`, cuts rows to that many
    tokens.
    """
    longest = max(len(example) for example in examples)
    padded = torch.full((len(examples), longest + 1), end_of_text, dtype=torch.long)  # [B, T + 1]
    for row, example in enumerate(examples):
        padded[row, : len(example)] = torch.tensor(example.ids, dtype=torch.long)
    inputs, targets = padded[:, :-1], padded[:, 1:].clone()  # [B, T]
    for row, example in enumerate(examples):
        targets[row, max(len(example), 1) :] = IGNORED
        targets[row, : max(example.masked - 1, 0)] = IGNORED  # the first token is no target
    names = tuple(example.name for example in examples)
    return Batch(inputs[:, :limit].contiguous(), targets[:, :limit].contiguous(), names)


def shuffled(examples: Sequence[T], size: int, generator: torch.Generator, drop_last: bool) -> list[list[T]]:
    """All examples in random batches of `size`; the last may be smaller, unless `drop_last` leaves it out.

    From a generator seeded with s, the first epoch is the one that torch's DataLoader with `shuffle=True` gives after
    `torch.manual_seed(s)`: the book's, for 123.
    """
    _random_seed(generator)  # DataLoader's iterator draws one for its workers,
    seed = _random_seed(generator)  # then RandomSampler one for a generator of its own
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed)).tolist()
    batches = [[examples[index] for index in order[at : at + size]] for at in range(0, len(order), size)]
    return _full(batches, size) if drop_last else batches


def bucketed(examples: Sequence[S], size: int, generator: torch.Generator, drop_last: bool = False) -> list[list[S]]:
    """All examples in random batches of texts of similar length, so that little is padding.

    One batch may be smaller than `size`, unless `drop_last` leaves it out.
    """
    order = torch.randperm(len(examples), generator=generator).tolist()
    pool = 16 * size  # sorting within a pool keeps batches random
    batches = []
    for start in range(0, len(order), pool):
        ordered = sorted((examples[index] for index in order[start : start + pool]), key=len)
        batches += [ordered[at : at + size] for at in range(0, len(ordered), size)]
    if drop_last:
        batches = _full(batches, size)
    return [batches[at] for at in torch.randperm(len(batches), generator=generator).tolist()]


def _random_seed(generator: torch.Generator) -> int:
    return int(torch.empty((), dtype=torch.int64).random_(generator=generator).item())


def _full(batches: list[list[T]], size: int) -> list[list[T]]:
    return [batch for batch in batches if len(batch) == size]


def instruction_examples(
    path: Path,
    split: Literal["train", "test", "validation"],
    tokenizer: Tokenizer,
    *,
    style: str,
    mask_prompt: bool,
    context: int,
    truncate: bool = False,
) -> list[Example]:
    """The items of one split as prompt and response, the prompt being rendered exactly as evaluation renders it.

    Prompt and response are encoded apart, as they are when the model answers. Raises DataError for an item without
    a response, and (unless `truncate`) for one that is longer than the model's context.
    """
    examples = []
    for item in judgekit.read_instructions(path, split):
        sample = item.sample
        if not sample.reference:
            raise judgekit.DataError(f"{item.place}: no 'output' to learn from", path=path)
        prompt = tokenizer.encode(judgekit.render_instruction(style, sample))
        ids = prompt + tokenizer.encode(sample.reference)
        if len(ids) > context and not truncate:
            raise judgekit.DataError(
                f"{item.place}: {len(ids)} tokens are more than the context of {context}; 'truncate: true' cuts them",
                path=path,
            )
        if len(prompt) >= context:
            raise judgekit.DataError(f"{item.place}: the prompt alone fills the context of {context}", path=path)
        examples.append(Example(ids, len(prompt) if mask_prompt else 0, sample.id))
    return examples
