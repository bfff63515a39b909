"""What of an item is learnt: by the marks that its file has on items and on messages, and by a trainer's `learn`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from judgekit.data.conversations import with_tools
from judgekit.data.formats import TrainingDataOptions, read_unmarked
from judgekit.data.items import Item, Split
from judgekit.data.json_files import Entry
from judgekit.data.mapping import tell_once
from judgekit.errors import DataError
from judgekit.prompting.styles import Span, render_training
from judgekit.prompting.templates import Prompts
from judgekit.records import Sample

Learn = Literal["all", "last"]  # of an item's answers

# Fields that say whether something is learnt: by 1 or true; by 0 or false; by true or false alone, since their numbers
# and texts may be classes (KTO's label); and in a way that only their own trainer knows.
LEARNT = (
    *("weight", "weights", "loss_weight", "sample_weight", "loss_scale", "loss"),
    *("train", "training", "trainable", "train_on", "learn", "learnable"),
)
MASKED = ("masked", "ignore", "ignored", "exclude", "excluded", "no_train", "not_trainable", "skip_training")
JUDGED = ("label", "kto_tag", "desirable")
UNKNOWN = ("mask", "loss_mask", "loss_masks", "train_detail")
_WORDS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


class LearntItem(NamedTuple):
    """An item to learn from, and whether each of its answers is learnt. Answers that are not are read all the same.
    `tools`: it has calls of tools, as text, which only some styles write so."""

    item: Item
    learnt: tuple[bool, ...]
    tools: bool = False

    @property
    def sample(self) -> Sample:
        return self.item.sample

    def check_tools(self, style: str, writes: bool) -> None:
        """Raises DataError where it has calls of tools and the style writes none."""
        if self.tools and not writes:
            raise self.item.error(f"has tools, or calls of them, which {style} does not write; chatml does")

    def up_to(self, number: int) -> LearntItem:
        """The item up to this answer, which alone is learnt."""
        sample = self.sample
        update = {"turns": sample.turns[:number], "turn_references": sample.references[1 : number + 1]}
        item = replace(self.item, sample=sample.model_copy(update=update))
        return LearntItem(item, (*(False for _ in range(number)), True), self.tools)


def read_learnt(
    path: Path, options: TrainingDataOptions, split: Split | None, *, learn: Learn = "all", prompts: bool = False
) -> list[LearntItem]:
    """The items of a file of which something is to be learnt. `prompts`: a trainer learns these as well.

    Raises DataError as `read_items` does, for a turn without an answer, for a mark that cannot be obeyed, and where
    nothing is left.
    """
    tools: set[int] = set()

    def reshape(entry: Entry) -> Entry:
        if (made := with_tools(entry)) is not entry:
            tools.add(entry.number)
        return made

    items = read_unmarked(path, options.format, split=split, mapping=options.mapping, reshape=reshape)
    allowed = [_allowed(item, options.ignore_marks, prompts) for item in items]
    answers = [one for of_item in allowed for one in of_item]
    if not all(answers):
        within = f" of the split {split}" if split else ""
        tell_once(
            f"{path.name}: {answers.count(False)} of {len(answers)} answers{within} are marked as not to be learnt"
        )
    last = [(*(False for _ in of_item[:-1]), of_item[-1]) if learn == "last" else of_item for of_item in allowed]
    left = [
        LearntItem(item, learnt, item.entry.number in tools)
        for item, learnt in zip(items, last, strict=True)
        if any(learnt)
    ]
    if not left:
        raise DataError("its marks leave nothing to learn", path=path)
    return left


def lessons(style: str, one: LearntItem, prompts: Prompts | None = None) -> list[tuple[list[Span], tuple[bool, ...]]]:
    """An item's conversation in a style, and which of its answers are learnt. Where a chat template shows an earlier
    answer otherwise than it is to be written, without its thoughts, each answer is a text of its own, after what
    evaluation shows before it. Raises PromptError for an answer that the template never shows as it is."""
    sample, learnt = one.sample, one.learnt
    spans = render_training(style, sample, prompts)
    answers = [span.text for span in spans if span.learn]
    changed = [
        counts and (text or "").strip() not in answer
        for text, answer, counts in zip(sample.references, answers, learnt, strict=True)
    ]
    if not any(changed):
        return [(spans, learnt)]
    if changed[-1]:
        raise one.item.error(f"the style {style} does not show the answer as it stands")
    return [
        made for number, counts in enumerate(learnt) if counts for made in lessons(style, one.up_to(number), prompts)
    ]


def read_answered(path: Path, format: str | None = None, **given: Any) -> list[Item]:
    """The items of a file to learn from, for a trainer that learns all of them alike. `given` as of `read_items`.
    Raises DataError as that does, for a turn without an answer, and for what is marked as not to be learnt."""
    items = read_unmarked(path, format, **given)
    for item in items:
        for where, fields, _ in [("", item.rest, None), *_marks(item)]:
            if key := _forbids(item, where, fields, ()):
                raise item.entry.error(f"{key!r} says that it is not to be learnt, and all is learnt alike", where)
    return items


def is_learnt(item: Item, ignored: Collection[str] = ()) -> bool:
    """Whether the marks on an item as a whole let it be learnt. Raises DataError for one that cannot be obeyed."""
    return not _forbids(item, "", item.rest, ignored)


def _allowed(item: Item, ignored: Collection[str], prompts: bool) -> tuple[bool, ...]:
    """Whether each answer may be learnt."""
    learnt = [is_learnt(item, ignored)] * len(item.sample.references)
    for where, fields, answer in _marks(item):
        if answer is not None:
            learnt[answer] &= not _forbids(item, where, fields, ignored)
        elif prompts and (key := _forbids(item, where, fields, ignored)):
            raise item.entry.error(f"{key!r} says not to learn it, and 'mask_prompt: false' learns all prompts", where)
    return tuple(learnt)


def _marks(item: Item) -> Iterator[tuple[str, Mapping[str, Any], int | None]]:
    """Of each message: its place, its other fields, and which of the answers it is, if it is one."""
    begins = 1 if item.sample.system else 0
    beside = begins and item.fields.get("system") == item.sample.system  # it is no message of the file's
    for place, fields in enumerate(item.marks):
        number, is_answer = divmod(place - begins, 2)
        yield f"message {place if beside else place + 1}", fields, number if is_answer and place >= begins else None


def _forbids(item: Item, where: str, fields: Mapping[str, Any], ignored: Collection[str]) -> str:
    """The field among these whose mark forbids to learn what it stands at; "" for none. Raises DataError for a mark
    that cannot be obeyed."""
    forbids = ""
    for key, value in fields.items():
        name, meant = key.lower(), _meant(value)
        if key in ignored or value is None or value == "":
            continue
        if name in LEARNT or name in MASKED:
            if meant is None and not isinstance(value, str):  # a text says something else
                raise _unclear(item, where, key, value, "and only 0 and 1 (false and true) can be heeded")
            if meant is not None and meant == (name in MASKED):
                forbids = key
        elif name in JUDGED:
            if value is False:
                forbids = key
            elif (isinstance(value, int | float) and value <= 0) or (isinstance(value, str) and meant is False):
                raise _unclear(item, where, key, value, "which may be a class, or a mark: true and false are marks")
        elif name in UNKNOWN:
            raise _unclear(item, where, key, value, "which may say what is not to be learnt: 'train: false' does")
    return forbids


def _meant(value: Any) -> bool | None:
    """True or false, whatever a file writes for it; None for another value."""
    if isinstance(value, bool | int | float):
        return bool(value) if value in (0, 1) else None
    return _WORDS.get(value.strip().lower()) if isinstance(value, str) else None


def _unclear(item: Item, where: str, key: str, value: Any, why: str) -> DataError:
    said = json.dumps(value, ensure_ascii=False)
    shown = said if len(said) <= 40 else "given"
    return item.entry.error(f"{key!r} is {shown}, {why}; if it is no mark, say 'ignore_marks: [{key}]'", where)
