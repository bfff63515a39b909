"""From text to batches: the one home of what a model is trained on, and of which tokens its loss counts."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from itertools import repeat
from typing import TypeVar

import torch
from torch import Tensor

import judgekit
import judgekit.data
from judgekit_gpt2.tokens import Tokenizer

IGNORED = -100  # a target that the loss leaves out

T = TypeVar("T")
S = TypeVar("S", bound=Sized)


@dataclass(frozen=True)
class Example:
    """One text to train on: its tokens, how many of them (the prompt's) are not to be learnt, and what it is.

    `targets` says otherwise what is learnt where, as of a conversation: for each token what has to follow it, or
    IGNORED.
    """

    ids: Sequence[int]
    masked: int = 0
    name: str = ""
    targets: Sequence[int] | None = None

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
        """The number of targets that count."""
        return int((self.targets != IGNORED).sum())

    def part(self, rank: int, ranks: int) -> Batch:
        """One process's share, every `ranks`-th row from `rank` on: [about B / ranks, T], without rows if there are
        fewer than processes."""
        return Batch(self.inputs[rank::ranks], self.targets[rank::ranks], self.names[rank::ranks])


def collate(examples: Sequence[Example], end_of_text: int, limit: int | None = None) -> Batch:
    """The rule of "Build a Large Language Model (From Scratch)", chapter 7 (Raschka, 2024).

    Each text is followed by one end of text, which the model has to learn, and padded with more of them, which it
    has not: targets are the inputs shifted by one, the first pad is kept, the rest is ignored. So are the targets
    that are tokens of the prompt (exercise 7.2). An example's own targets count before this rule. `limit`, the book's
    `allowed_max_length`, cuts rows to that many tokens.
    """
    longest = max(len(example) for example in examples)
    padded = torch.full((len(examples), longest + 1), end_of_text, dtype=torch.long)  # [B, T + 1]
    for row, example in enumerate(examples):
        padded[row, : len(example)] = torch.tensor(example.ids, dtype=torch.long)
    inputs, targets = padded[:, :-1], padded[:, 1:].clone()  # [B, T]
    for row, example in enumerate(examples):
        targets[row, max(len(example), 1) :] = IGNORED
        targets[row, : max(example.masked - 1, 0)] = IGNORED  # the first token is no target
        if example.targets is not None:
            targets[row, : len(example)] = torch.tensor(example.targets, dtype=torch.long)
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
    items: Sequence[judgekit.data.LearntItem],
    tokenizer: Tokenizer,
    *,
    style: str,
    mask_prompt: bool,
    context: int,
    truncate: bool = False,
    prompts: judgekit.data.Prompts | None = None,
) -> list[Example]:
    """Items as texts to learn, rendered exactly as evaluation renders them.

    With `mask_prompt` the assistant's turns alone are learnt. Raises DataError with the line of an item that leaves
    nothing to learn, and (unless `truncate`) of one that is longer than the model's context, with how many are.
    """
    ends = judgekit.data.style_named(style, prompts).end != ""
    examples, too_long = [], []
    for one in items:
        item = one.item
        for spans, learnt in judgekit.data.lessons(style, one, prompts):
            example = of_spans(spans, tokenizer, mask_prompt=mask_prompt, ends=ends, name=item.sample.id, learnt=learnt)
            if len(example) > context and not truncate:
                too_long.append((item, len(example)))
            elif len(tokenizer.encode(spans[0].text)) >= context or not learns(example, context):
                raise item.error(f"the prompt alone fills the context of {context}")
            examples.append(example)
    if too_long:
        item, length = too_long[0]
        more = f" ({len(too_long) - 1} more are too long)" if len(too_long) > 1 else ""
        raise item.error(f"{length} tokens are more than the context of {context}{more}; 'truncate: true' cuts them")
    return examples


def learns(example: Example, context: int) -> bool:
    """Whether something of the example is learnt within a context."""
    if example.targets is None:
        return len(example) > 0
    return any(target != IGNORED for target in example.targets[:context])


def of_spans(
    spans: Sequence[judgekit.data.Span],
    tokenizer: Tokenizer,
    *,
    mask_prompt: bool,
    ends: bool,
    name: str = "",
    learnt: Sequence[bool] | None = None,
) -> Example:
    """A rendered conversation as an example. `ends`: its style has a text that ends an answer. `learnt` says of each
    answer whether it is learnt, or only read; None: all are.

    Each span is encoded by itself. Where a prompt ends and an answer begins is where a model begins to write: no token
    may reach across, though the encoding of the whole text often has one there (`:"` for a quotation behind a colon).
    So the prompt's tokens are those that evaluation gives the model, and those of the answer are the ones it can write.

    In a style without a text for it, an answer ends with the end of text: that is the target behind the last token of
    every answer, and only a target, since in evaluation no history has it. In a style with one, the end of text is no
    part of any answer, and without `mask_prompt` it is still learnt behind the whole text.
    """
    flags = repeat(True) if learnt is None else iter(learnt)
    parts = [(span, span.learn and next(flags)) for span in spans]
    while parts and not (parts[-1][1] if mask_prompt else parts[-1][0].learn):
        parts.pop()  # what stands behind the last answer is neither read nor learnt
    ids: list[int] = []
    labels: list[int] = []  # what each token is as a target
    closed = []  # how many tokens there are after each answer, and whether it is learnt
    for span, counts in parts:
        new = tokenizer.encode(span.text)
        ids += new
        labels += new if counts or not (span.learn or mask_prompt) else [IGNORED] * len(new)
        closed += [(len(ids), counts)] if span.learn else []
    if len(closed) == 1 and closed[0][1] and not (ends and mask_prompt):
        return Example(ids, len(tokenizer.encode(spans[0].text)) if mask_prompt else 0, name)
    targets = [*labels[1:], IGNORED]
    for length, counts in closed if not ends else ():
        targets[length - 1] = tokenizer.end_of_text if counts else IGNORED
    if not mask_prompt and closed[-1][1]:
        targets[-1] = tokenizer.end_of_text
    return Example(ids, 0, name, targets)
