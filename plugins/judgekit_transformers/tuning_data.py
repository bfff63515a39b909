"""Instruction data → tokens and targets: what a model reads in training is what it reads when it is asked.

The text of an item is cut where the model begins to write, since there a prompt ends when the model is asked; each part
is tokenised in one go. A token is learnt where its characters lie within what the model is to write; one that would
reach beyond that is not made, for there the text is cut too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import judgekit
from judgekit_transformers.loading import Loaded
from judgekit_transformers.prompts import (
    continuation_ids,
    known,
    limit_of,
    line_before,
    prompt_of,
    prompt_text,
    rendered,
)

IGNORED = -100  # a target that the loss leaves out
Span = tuple[int, int]  # characters of a text, the last one not included


@dataclass(frozen=True)
class Reading:
    """How items become tokens: the prompt's style, whether it goes into the chat template, the most tokens that the
    model reads (None: no limit), and what is done with more."""

    style: str
    chat: bool
    mask_prompt: bool
    limit: int | None
    truncate: bool


@dataclass(frozen=True)
class Example:
    """One item: what the model reads, and what it is to say.

    Of a causal model `ids` are the whole text and `targets` the same ids, IGNORED where they are not learnt. An encoder
    reads `ids`, its decoder reads `answer`, and `targets` are what comes after each of `answer`'s tokens.
    """

    ids: Sequence[int]
    targets: Sequence[int]
    answer: Sequence[int] = ()
    name: str = ""
    cut: bool = False

    @property
    def learnt(self) -> int:
        """How many targets count."""
        return sum(target != IGNORED for target in self.targets)


def examples(path: Path, split: Any, loaded: Loaded, reading: Reading) -> list[Example]:
    """The items of a file (or of one split of it) as the model reads them.

    Raises DataError for an item without a response, for one that leaves nothing to learn, and (unless `truncate`) for
    one that is longer than the model reads, with how many are.
    """
    made, too_long = [], []
    for item in judgekit.read_instructions(path, split):
        if not item.sample.reference:
            raise judgekit.DataError(f"{item.place}: no 'output' to learn from", path=path)
        try:
            example, length = _fitted(_example(loaded, item.sample, reading), reading)
        except judgekit.CallError as error:  # of its template, or its tokens
            raise judgekit.DataError(f"{item.place}: {error}", path=path) from None
        if example.cut and not reading.truncate:
            too_long.append((item.place, length))
        elif not example.learnt:
            raise judgekit.DataError(f"{item.place}: the prompt alone fills the {reading.limit} tokens", path=path)
        made.append(example)
    if too_long:
        place, length = too_long[0]
        more = f" ({len(too_long) - 1} more are too long)" if len(too_long) > 1 else ""
        problem = f"{length} tokens are more than the {reading.limit} that are read{more}"
        raise judgekit.DataError(f"{place}: {problem}; 'truncate: true' cuts them", path=path)
    return made


def _example(loaded: Loaded, sample: judgekit.Sample, reading: Reading) -> Example:
    asked = (judgekit.Message(role="user", content=judgekit.render_instruction(reading.style, sample)),)
    response, end = sample.reference or "", end_of_answer(loaded, reading.chat)
    if loaded.kind == "seq2seq":
        ids = prompt_of(loaded, judgekit.Request(messages=asked), reading.chat).ids
        said = [*continuation_ids(loaded, response), end]
        forced = loaded.beginning[1:]
        return Example(ids, [*[IGNORED] * len(forced), *said], [*loaded.beginning, *said[:-1]], sample.id)
    prompt, _ = prompt_text(loaded.tokenizer, asked, reading.chat)
    text = prompt + response
    ids, learnt = tokens(loaded, text, [(len(prompt), len(text))], chat=reading.chat)
    ids, learnt = [*ids, end], [*learnt, True]
    if not reading.mask_prompt:
        learnt = [False, *[True] * (len(ids) - 1)]  # nothing comes before the first to say it from
    return Example(
        ids, [token if counts else IGNORED for token, counts in zip(ids, learnt, strict=True)], (), sample.id
    )


def _fitted(example: Example, reading: Reading) -> tuple[Example, int]:
    """The example cut to what is read, and how long its longer side was."""
    limit, length = reading.limit, max(len(example.ids), len(example.answer))
    if limit is None or length <= limit:
        return example, length
    targets, answer = example.targets[:limit], example.answer[:limit]
    return Example(example.ids[:limit], targets, answer, example.name, cut=True), length


def reading_of(loaded: Loaded, style: str, chat: Any, mask_prompt: bool, limit: int | None, truncate: bool) -> Reading:
    """`chat` auto: by whether the tokenizer has a template. Raises UsageError for what this model cannot do."""
    template = bool(loaded.tokenizer.chat_template)
    if chat is True and not template:
        raise judgekit.UsageError("chat: true, and the model has no chat template; chat: auto asks in plain text")
    if loaded.kind == "seq2seq" and not mask_prompt:
        raise judgekit.UsageError("mask_prompt: false, and an encoder's prompt is read, never learnt")
    if not getattr(loaded.tokenizer, "is_fast", False):
        raise judgekit.UsageError("its tokenizer does not tell which characters a token stands for (no tokenizer.json)")
    return Reading(style, template if chat == "auto" else chat, mask_prompt, limit_of(loaded, limit), truncate)


def tokens(loaded: Loaded, text: str, spans: Sequence[Span], *, chat: bool) -> tuple[list[int], list[bool]]:
    """The tokens of a text in whose `spans` (one at least) the model writes, and which of them it writes.

    The first part, up to the first span, has the tokens of a prompt of that text: the model's special tokens about it,
    or with `chat` those that the template put there.
    """
    first, ends = spans[0][0], [*(start for start, _ in spans[1:]), len(text)]
    ids = _part(loaded, text[:first], special=not chat, follows=False)[0]
    learnt = [False] * len(ids)
    for (start, stop), end in zip(spans, ends, strict=True):
        part, places = _part(loaded, text[start:end])
        written = [last <= stop - start for _, last in places]
        if any(begun < stop - start < last for begun, last in places):
            head, tail = (_part(loaded, one)[0] for one in (text[start:stop], text[stop:end]))
            part, written = head + tail, [True] * len(head) + [False] * len(tail)
        ids, learnt = ids + part, learnt + written
    return known(loaded, ids), learnt


def _part(
    loaded: Loaded, text: str, *, special: bool = False, follows: bool = True
) -> tuple[list[int], Sequence[Span]]:
    """The tokens of a part of a text, each with its characters' places; `follows`: it goes on from another part."""
    line = line_before(loaded, text) if follows else 0
    before = "\n" if line else ""
    made = loaded.tokenizer(before + text, add_special_tokens=special, return_offsets_mapping=True)
    places = [(begun - len(before), last - len(before)) for begun, last in made["offset_mapping"]]
    return list(made["input_ids"])[line:], places[line:]


def end_of_answer(loaded: Loaded, chat: bool) -> int:
    """The token that ends an answer: the one that the chat template puts behind it, else the tokenizer's own."""
    own = loaded.tokenizer.eos_token_id
    if chat:
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}]
        behind = rendered(loaded.tokenizer, turns, asked=False)[len(rendered(loaded.tokenizer, turns[:1])) :]
        found = loaded.tokenizer(behind, add_special_tokens=False).input_ids
        own = next((token for token in found if token in loaded.ends), own)
    if own is None:
        own = loaded.ends[0] if loaded.ends else None
    if own is None:
        raise judgekit.UsageError("neither tokenizer nor config names a token that ends an answer (eos_token)")
    return int(own)


def collate(batch: Sequence[tuple[int, Example]]) -> dict[str, Any]:
    """Tensors of one batch of (number, example), padded on the right; the mask hides what pads. `rows`: the numbers.

    input_ids, attention_mask [B, T]; labels [B, T] of a causal model, and [B, A] beside decoder_input_ids [B, A].
    """
    import torch

    found = [example for _, example in batch]
    made = {
        "input_ids": _padded([example.ids for example in found], 0),
        "attention_mask": _padded([[1] * len(example.ids) for example in found], 0),
        "labels": _padded([example.targets for example in found], IGNORED),
        "rows": torch.tensor([number for number, _ in batch]),
    }
    if any(example.answer for example in found):
        made["decoder_input_ids"] = _padded([example.answer for example in found], 0)
    return made


def _padded(rows: Sequence[Sequence[int]], value: int) -> Any:
    import torch

    made = torch.full((len(rows), max(map(len, rows))), value, dtype=torch.long)
    for at, row in enumerate(rows):
        made[at, : len(row)] = torch.tensor(row, dtype=torch.long)
    return made
