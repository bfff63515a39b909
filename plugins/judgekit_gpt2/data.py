"""From text to batches: the one home of what a model is trained on, and of which tokens its loss counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

import judgekit
from judgekit_gpt2.tokens import END_OF_TEXT, Tokenizer

IGNORED = -100  # a target that the loss leaves out


@dataclass(frozen=True)
class Example:
    """One text to train on: its tokens, how many of them (the prompt's) are not to be learnt, and what it is."""

    ids: Sequence[int]
    masked: int = 0
    name: str = ""


@dataclass(frozen=True)
class Batch:
    """Token ids [B, T], the token that follows each of them [B, T] or IGNORED, and what the rows are."""

    inputs: Tensor
    targets: Tensor
    names: tuple[str, ...] = ()


def collate(examples: Sequence[Example], end_of_text: int, limit: int | None = None) -> Batch:
    """The rule of "Build a Large Language Model (From Scratch)", chapter 7 (Raschka, 2024).

    Each text is followed by one end of text, which the model has to learn, and padded with more of them, which it
    has not: targets are the inputs shifted by one, the first pad is kept, the rest is ignored. So are the targets
    that are tokens of the prompt. `limit` cuts rows to that many tokens.
    """
    longest = max(len(example.ids) for example in examples)
    inputs = torch.full((len(examples), longest), end_of_text, dtype=torch.long)
    targets = torch.full((len(examples), longest), IGNORED, dtype=torch.long)
    for row, example in enumerate(examples):
        count = len(example.ids)
        inputs[row, :count] = torch.tensor(example.ids)
        targets[row, : count - 1] = inputs[row, 1:count]
        targets[row, count - 1] = end_of_text
        targets[row, : max(example.masked - 1, 0)] = IGNORED
    return Batch(inputs[:, :limit], targets[:, :limit], tuple(example.name for example in examples))


def bucketed(examples: Sequence[Example], size: int, generator: torch.Generator) -> list[list[Example]]:
    """All examples in random batches of texts of similar length, so that little is padding."""
    order = torch.randperm(len(examples), generator=generator).tolist()
    pool = 16 * size  # sorting within a pool keeps batches random
    batches = []
    for start in range(0, len(order), pool):
        ordered = sorted(order[start : start + pool], key=lambda index: len(examples[index].ids))
        batches += [ordered[at : at + size] for at in range(0, len(ordered), size)]
    shuffled = torch.randperm(len(batches), generator=generator).tolist()
    return [[examples[index] for index in batches[at]] for at in shuffled]


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


def read_documents(paths: Iterable[Path]) -> list[str]:
    """The documents of text files, which lines of `<|endoftext|>` set apart. Raises DataError with the file."""
    documents = []
    for path in paths:
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            raise judgekit.DataError("no such file", path=path) from None
        except UnicodeDecodeError as error:
            raise judgekit.DataError(f"not UTF-8 text: {error.reason} at byte {error.start}", path=path) from None
        except OSError as error:
            raise judgekit.DataError(f"cannot be read: {error.strerror}", path=path) from None
        found = [part.strip("\n") for part in f"\n{text}\n".split(f"\n{END_OF_TEXT}\n")]
        if not any(found):
            raise judgekit.DataError("is empty", path=path)
        documents += [part for part in found if part]
    return documents


def packed(documents: Sequence[Tensor], length: int, generator: torch.Generator | None) -> Tensor:
    """Documents (each with its end of text) end to end, in random order if there is a generator, cut into rows.

    Rows are [n, length + 1] and share one token with the next, so that every token but the first is once a target.
    What is left at the end is left out.
    """
    count = len(documents)
    order = range(count) if generator is None else torch.randperm(count, generator=generator).tolist()
    stream = torch.cat([documents[index] for index in order])
    rows = (len(stream) - 1) // length
    if rows == 0:
        return stream.new_empty(0, length + 1)
    return stream[: rows * length + 1].unfold(0, length + 1, length)


def packed_batches(rows: Tensor, size: int, generator: torch.Generator | None) -> list[Batch]:
    """Rows [n, T + 1] as batches of `size`, in random order if there is a generator; the last may be smaller."""
    if generator is not None:
        rows = rows[torch.randperm(len(rows), generator=generator)]
    return [Batch(part[:, :-1].contiguous(), part[:, 1:].contiguous()) for part in torch.split(rows, size)]
