"""Instruction data → tokens and targets: what a model reads in training is what it reads when it is asked.

The text of an item is cut where the model begins to write, since there a prompt ends when the model is asked; each part
is tokenised in one go. A token is learnt where its characters lie within what the model is to write; one that would
reach beyond that is not made, for there the text is cut too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

import judgekit
import judgekit.data
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
from judgekit_transformers.tuning_options import TuningOptions

IGNORED = -100  # a target that the loss leaves out
Stretch = tuple[int, int]  # characters of a text, the last one not included


@dataclass(frozen=True)
class Encoding:
    """The way from items to tokens: the trainer's options, where styles are found, whether a prompt goes into the chat
    template, and the most tokens that the model reads (None: no limit)."""

    options: TuningOptions
    prompts: judgekit.data.Prompts
    chat: bool
    limit: int | None

    @property
    def style(self) -> str:
        return self.options.style


class Shown(NamedTuple):
    """A conversation as text: where in it the model writes its answers, which of them are learnt, and the token that
    ends one, if no text does."""

    text: str
    spans: Sequence[Stretch]
    learnt: Sequence[bool]
    end: int | None


@dataclass(frozen=True)
class Tokens:
    """The tokens of a text, of which answer each is (None: of what the model reads), and how many there are after each
    answer."""

    ids: list[int]
    answers: list[int | None]
    closed: list[int]


@dataclass(frozen=True)
class TuningExample:
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
        """The number of targets that count."""
        return sum(target != IGNORED for target in self.targets)


def examples(items: Sequence[judgekit.data.LearntItem], loaded: Loaded, reading: Encoding) -> list[TuningExample]:
    """Items of one turn or several as the model reads them.

    Raises DataError with the line of one that leaves nothing to learn, and (unless `truncate`) of one that is longer
    than the model reads, with how many are.
    """
    made, too_long = [], []
    style = "the model's chat template" if reading.chat else f"the style {reading.style}"
    tools = writes_tools(loaded, reading)
    for one in items:
        one.check_tools(style, tools)
        item = one.item
        try:
            wholes = _examples(loaded, one, reading)
        except judgekit.CallError as error:  # of its template, or its tokens
            raise item.error(str(error)) from None
        for whole in wholes:
            example, length = _fitted(whole, reading)
            if example.cut and not reading.options.truncate:
                too_long.append((item, length))
            elif not example.learnt:
                raise item.error(f"the prompt alone fills the {reading.limit} tokens that are read")
            made.append(example)
    if too_long:
        item, length = too_long[0]
        more = f" ({len(too_long) - 1} more are too long)" if len(too_long) > 1 else ""
        problem = f"{length} tokens are more than the {reading.limit} that are read{more}"
        raise item.error(f"{problem}; 'truncate: true' cuts them")
    return made


def writes_tools(loaded: Loaded, reading: Encoding) -> bool:
    """Whether calls of tools stand in a text as this model's own would."""
    if reading.chat:
        return "<tool_call>" in str(loaded.tokenizer.chat_template)
    return judgekit.data.style_named(reading.style, reading.prompts).tools


def _examples(loaded: Loaded, one: judgekit.data.LearntItem, reading: Encoding) -> list[TuningExample]:
    """One for a causal model, for a decoder one for each answer; only of answers that are learnt."""
    if loaded.kind == "seq2seq":
        return [_answered(loaded, one.sample, number, reading) for number, learnt in enumerate(one.learnt) if learnt]
    shown = _in_chat(loaded, one, reading) if reading.chat else _as_text(loaded, one, reading)
    return [_learning(loaded, text, reading, one.sample.id) for text in shown]


def _learning(loaded: Loaded, shown: Shown, reading: Encoding, name: str) -> TuningExample:
    """The example of a text."""
    text, spans, flags, end = shown
    if reading.options.mask_prompt:  # what stands behind the last answer that is learnt need not be read
        last = max(number for number, learnt in enumerate(flags) if learnt)
        text, spans, flags = text[: spans[last][1]], spans[: last + 1], flags[: last + 1]
    read = tokens(loaded, text, spans, chat=reading.chat)
    counted = [flags[one] if one is not None else not reading.options.mask_prompt for one in read.answers]
    ids, targets = read.ids, [token if one else IGNORED for token, one in zip(read.ids, counted, strict=True)]
    if end is not None:
        # Behind the last answer it is read too. Behind the others it is only to be said: no history has it.
        ids, targets = [*ids, end], [*targets, end if flags[-1] else IGNORED]
        for place, learnt in zip(read.closed[:-1], flags, strict=False):
            targets[place] = end if learnt else IGNORED
    return TuningExample(ids, [IGNORED, *targets[1:]], (), name)  # nothing comes before the first to say it from


def _answered(loaded: Loaded, sample: judgekit.Sample, number: int, reading: Encoding) -> TuningExample:
    """The text before an answer for the encoder, and the answer for the decoder."""
    said = [text or "" for text in sample.references]
    asked = judgekit.data.prompt_messages(reading.style, sample, said[:number], reading.prompts, chat=reading.chat)
    style = judgekit.data.style_named(reading.style, reading.prompts)
    answer = said[number] if reading.chat else style.lead + said[number] + style.end
    ids = [*continuation_ids(loaded, answer), end_of_answer(loaded, reading.chat)[0]]
    forced = [IGNORED] * (len(loaded.beginning) - 1)
    prompt = prompt_of(loaded, judgekit.Request(messages=asked), reading.chat).ids
    return TuningExample(prompt, [*forced, *ids], [*loaded.beginning, *ids[:-1]], sample.id)


def _as_text(loaded: Loaded, one: judgekit.data.LearntItem, reading: Encoding) -> list[Shown]:
    """The conversation in its style up to the end of its last answer."""
    end = None if judgekit.data.style_named(reading.style, reading.prompts).end else end_of_answer(loaded, False)[0]
    shown = []
    for pieces, flags in judgekit.data.lessons(reading.style, one, reading.prompts):
        text, spans = "", list[Stretch]()
        for piece in pieces:
            if piece.learn:
                spans.append((len(text), len(text) + len(piece.text)))
            text += piece.text
        shown.append(Shown(text[: spans[-1][1]], spans, flags, end))
    return shown


def _in_chat(loaded: Loaded, one: judgekit.data.LearntItem, reading: Encoding) -> list[Shown]:
    """The same by the chat template: what it shows before each answer is what it shows when that is asked for. Where it
    shows earlier answers otherwise than they are written, without thoughts say, each answer is a text of its own."""
    said = [text or "" for text in one.sample.references]
    token, shown = end_of_answer(loaded, True)
    end = None if shown else token
    text, spans, alone, changed = "", list[Stretch](), list[Shown](), 0
    for number, answer in enumerate(said):
        asked = judgekit.data.prompt_messages(reading.style, one.sample, said[:number], reading.prompts, chat=True)
        prompt, _ = prompt_text(loaded.tokenizer, asked, True)
        changed = changed or (0 if prompt.startswith(text) else number)
        text = prompt + answer + shown
        spans.append((len(prompt), len(text)))
        alone.append(Shown(text, spans[-1:], (True,), end))
    if not changed:
        return [Shown(text, spans, one.learnt, end)]
    if not reading.options.mask_prompt:
        raise judgekit.CallError(
            f"the model's chat template does not show answer {changed} as it stands, with its end {shown!r}; "
            "learn such a conversation with mask_prompt: true, or in another style, with chat: false"
        )
    return [each for each, learnt in zip(alone, one.learnt, strict=True) if learnt]


def _fitted(example: TuningExample, reading: Encoding) -> tuple[TuningExample, int]:
    """The example cut to what is read, and how long its longer side was."""
    limit, length = reading.limit, max(len(example.ids), len(example.answer))
    if limit is None or length <= limit:
        return example, length
    targets, answer = example.targets[:limit], example.answer[:limit]
    return TuningExample(example.ids[:limit], targets, answer, example.name, cut=True), length


def reading_of(loaded: Loaded, options: TuningOptions, where: Path) -> Encoding:
    """`where`: the config's folder. `chat` auto: by whether the tokenizer has a template.

    Raises UsageError for what this model cannot do.
    """
    template = bool(loaded.tokenizer.chat_template)
    if options.chat is True and not template:
        raise judgekit.UsageError("chat: true, and the model has no chat template; chat: auto asks in plain text")
    if loaded.kind == "seq2seq" and not options.mask_prompt:
        raise judgekit.UsageError("mask_prompt: false, and an encoder's prompt is read, never learnt")
    if not getattr(loaded.tokenizer, "is_fast", False):
        raise judgekit.UsageError("its tokenizer does not tell which characters a token stands for (no tokenizer.json)")
    chat = template if options.chat == "auto" else options.chat
    return Encoding(options, judgekit.data.Prompts(where=where), chat, limit_of(loaded, options.max_length))


def tokens(loaded: Loaded, text: str, spans: Sequence[Stretch], *, chat: bool) -> Tokens:
    """The tokens of a text in whose `spans` (one at least) the model writes.

    The first part, up to the first span, has the tokens of a prompt of that text: the model's special tokens about it,
    or with `chat` those that the template put there. Without, the text is cut where an answer ends too, as a prompt
    is; with it a prompt is tokenised whole, and cut is only a token that reaches across.
    """
    first, ends = spans[0][0], [*(start for start, _ in spans[1:]), len(text)]
    ids = _part(loaded, text[:first], special=not chat, follows=False)[0]
    answers: list[int | None] = [None] * len(ids)
    closed = []
    for number, ((start, stop), end) in enumerate(zip(spans, ends, strict=True)):
        part, places = _part(loaded, text[start:end])
        written = [last <= stop - start for _, last in places]
        if not chat or any(begun < stop - start < last for begun, last in places):
            head, tail = (_part(loaded, one)[0] for one in (text[start:stop], text[stop:end]))
            part, written = head + tail, [True] * len(head) + [False] * len(tail)
        closed.append(len(ids) + sum(written))
        ids, answers = ids + part, answers + [number if one else None for one in written]
    return Tokens(known(loaded, ids), answers, closed)


def _part(
    loaded: Loaded, text: str, *, special: bool = False, follows: bool = True
) -> tuple[list[int], Sequence[Stretch]]:
    """The tokens of a part of a text, each with its characters' places; `follows`: it goes on from another part."""
    line = line_before(loaded, text) if follows else 0
    before = "\n" if line else ""
    made = loaded.tokenizer(before + text, add_special_tokens=special, return_offsets_mapping=True)
    places = [(begun - len(before), last - len(before)) for begun, last in made["offset_mapping"]]
    return list(made["input_ids"])[line:], places[line:]


def end_of_answer(loaded: Loaded, chat: bool) -> tuple[int, str]:
    """The token that ends an answer, and how a chat template writes it: "" where it does not.

    Raises UsageError for a model that has none.
    """
    if chat:
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}]
        asked, whole = rendered(loaded.tokenizer, turns[:1]) + "a", rendered(loaded.tokenizer, turns, asked=False)
        behind = whole.removeprefix(asked) if whole.startswith(asked) else ""
        for token in loaded.tokenizer(behind, add_special_tokens=False).input_ids[:1]:
            if token in loaded.ends:
                return token, str(loaded.tokenizer.convert_ids_to_tokens(token))
    own = loaded.tokenizer.eos_token_id
    if own is None and not loaded.ends:
        raise judgekit.UsageError("neither tokenizer nor config names a token that ends an answer (eos_token)")
    return (loaded.ends[0] if own is None else int(own)), ""


def collate(batch: Sequence[tuple[int, TuningExample]]) -> dict[str, Any]:
    """Tensors of one batch of (number, example), padded on the right; the mask hides what pads. `rows`: the numbers.

    input_ids, attention_mask [B, T]; labels [B, T] of a causal model, and [B, A] beside decoder_input_ids [B, A].
    """
    rows = [example for _, example in batch]
    made = {
        "input_ids": _padded([example.ids for example in rows], 0),
        "attention_mask": _padded([[1] * len(example.ids) for example in rows], 0),
        "labels": _padded([example.targets for example in rows], IGNORED),
        "rows": torch.tensor([number for number, _ in batch]),
    }
    if any(example.answer for example in rows):
        made["decoder_input_ids"] = _padded([example.answer for example in rows], 0)
    return made


def _padded(rows: Sequence[Sequence[int]], value: int) -> Any:
    made = torch.full((len(rows), max(map(len, rows))), value, dtype=torch.long)
    for at, row in enumerate(rows):
        made[at, : len(row)] = torch.tensor(row, dtype=torch.long)
    return made
