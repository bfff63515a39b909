"""The formats of instruction data: one reader and one writer for evaluation, training and conversion alike.

A file is a JSON array or JSONL of items in one of five formats (`items` and `conversations` show them). It is told
by its fields; where a format is named, a file in another one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from judgekit.contracts import Options
from judgekit.data import conversations as talks
from judgekit.data.items import (
    ALPACA,
    DOLLY,
    Item,
    Said,
    Split,
    content_id,
    hash_of,
    in_split,
    labels_of,
    written_at_once,
)
from judgekit.data.json_files import Entry, read_objects
from judgekit.data.mapping import Constant, FieldMapping, mapped, tell, usual_names
from judgekit.errors import DataError, UsageError
from judgekit.records import Sample
from judgekit.text import did_you_mean, one_of


@dataclass(frozen=True)
class Format:
    """`main`: fields of which an object of this format has one. `fields`: all that a mapping may name. `ids`: fields
    that an object's id may be in. `write` is None for a format that is only read."""

    title: str
    main: tuple[str, ...]
    fields: tuple[str, ...]
    read: Callable[[Entry], Said]
    write: Callable[[Item], dict[str, Any]] | None
    ids: tuple[str, ...] = ("id",)


_TALK_IDS = ("id", "question_id", "conversation_id")
_BESIDE = ("system", "id", "category", "split")
_SHARE_GPT_KEYS = ("conversations", "conversation")


def _written(item: Item, key: str, speaker: int, roles: Mapping[Any, str]) -> dict[str, Any]:
    return talks.written_in_messages(item.sample, item.marks, key, talks.SPEAKER[speaker], talks.SAID[speaker], roles)


def _at_once(title: str, names: Mapping[str, str]) -> Format:
    read, fields = partial(talks.said_at_once, names=names), (*names.values(), *_BESIDE)
    return Format(title, ("instruction",), fields, read, lambda item: written_at_once(item, names))


FORMATS: dict[str, Format] = {
    "alpaca": _at_once("Alpaca", ALPACA),
    "dolly": _at_once("Dolly", DOLLY),
    "sharegpt": Format(
        "ShareGPT",
        _SHARE_GPT_KEYS,
        (*_SHARE_GPT_KEYS, "from", "value", "input", *_BESIDE),
        partial(talks.said_in_messages, keys=_SHARE_GPT_KEYS),
        partial(_written, key="conversations", speaker=0, roles=talks.SHARE_GPT_ROLES),
        _TALK_IDS,
    ),
    "messages": Format(
        "OpenAI messages",
        ("messages",),
        ("messages", "role", "content", "input", *_BESIDE),
        partial(talks.said_in_messages, keys=("messages",)),
        partial(_written, key="messages", speaker=1, roles={role: role for role in talks.SHARE_GPT_ROLES}),
        _TALK_IDS,
    ),
    "mt-bench": Format(
        "MT-Bench", ("turns",), ("turns", "reference", "references", *_BESIDE), talks.said_in_turns, None, _TALK_IDS
    ),
}
_TALKS = frozenset({"sharegpt", "messages", "mt-bench"})
_MESSAGE_FIELDS = frozenset({*talks.SPEAKER, *talks.SAID})
ALIASES = {"chatml": "messages", "openai": "messages", "vicuna": "sharegpt"}


def format_named(name: str) -> str:
    """The format's own name. Raises UsageError for one that is not known."""
    full_name = ALIASES.get(name.lower(), name.lower())
    if full_name not in FORMATS:
        raise UsageError(f"unknown format {name!r}{one_of(name, FORMATS)}")
    return full_name


def read_items(
    path: Path,
    format: str | None = None,
    *,
    split: Split | None = None,
    mapping: FieldMapping | None = None,
    empty: bool = False,
    reshape: Callable[[Entry], Entry] = lambda entry: entry,
    bad: list[DataError] | None = None,
) -> list[Item]:
    """The items of a file, or of one split of it, in file order.

    `format` None: told by the first item, also where its fields have other usual names (mapping.py): what is taken for
    what is said on standard error. `mapping` says it: {"instruction": "question"}. `reshape` is done to each object
    first. Items that cannot be read are left out where there is a list, `bad`, for their errors. `empty` allows outputs
    without a text. A split is the items' own `split` field where they have one; otherwise the book's: by file order,
    the first 85 % train, the next 10 % test, the rest validation.

    The id of an item without one is a hash of its question, so that the same item has the same id in another file,
    split or format. Raises DataError with file and line: missing, empty, not JSON, not UTF-8, another format, a missing
    or ill-typed field, an unknown role, two turns of one side in a row, an empty turn, a duplicate id.
    """
    named = None if format is None else format_named(format)
    chosen = named
    items: list[Item] = []
    place_of: dict[str, Item] = {}
    names, unmapped = dict(mapping or {}), dict(mapping or {})
    for raw in read_objects(path, bad=bad):
        try:
            entry = mapped(reshape(raw), names, unmapped)
            chosen = chosen or _seen(entry)
            guess = chosen is None or (not items and "instruction" in names and chosen == "alpaca")
            if guess and (taken := usual_names(entry)):
                tell(path, tuple(taken.items()))
                names, chosen = {**taken, **names}, "alpaca"
                entry = mapped(reshape(raw), names, unmapped)
            if chosen is None:
                raise _strange(entry)
            if not items:
                _check_mapping(mapping or {}, chosen)
            own = _own_format(entry, chosen, named is not None)
            item = item_of(entry, own, place_of, raw.fields)
            if not empty and any(answer is not None and not answer.strip() for answer in item.sample.references):
                raise item.error(f"{entry.called(_output(chosen))} is empty")
        except DataError as error:
            if bad is None:
                raise
            bad.append(error)
            continue
        place_of[item.sample.id] = item
        items.append(item)
    if not items:
        raise bad[0] if bad else DataError("has no items", path=path)
    for field, name in unmapped.items():
        there = dict.fromkeys(key for item in items for key in item.fields)
        raise DataError(f"no item has a field {str(name)!r} to be its {field!r}{one_of(str(name), there)}", path=path)
    return items if split is None else in_split(items, split, path)


def read_instructions(
    path: Path,
    split: Split | None = None,
    format: str | None = None,
    mapping: FieldMapping | None = None,
    reshape: Callable[[Entry], Entry] = lambda entry: entry,
    bad: list[DataError] | None = None,
) -> list[Item]:
    """The items of a file of single questions, in any format (see `read_items`). An output that is blank is none.
    Raises DataError as `read_items` does, and for a conversation of several turns."""
    read = read_items(path, format, split=split, mapping=mapping, empty=True, reshape=reshape, bad=bad)
    items = [_unanswered(item) for item in read]
    for item in items:
        if item.sample.turns:
            raise item.error(
                f"a conversation of {len(item.sample.turns) + 1} turns; 'loader: conversations' reads them"
            )
    return items


def _unanswered(item: Item) -> Item:
    """The item, without a reference where that is blank."""
    if item.sample.reference is None or item.sample.reference.strip():
        return item
    return replace(item, sample=item.sample.model_copy(update={"reference": None}))


class TrainingDataOptions(Options):
    """Options of a trainer about its data. `data`: a file of items in any format, told by the items unless `format` is
    set; `mapping` says which of their fields is what (`{instruction: question}`). `split` None learns all of it,
    `validation` None holds nothing out. What is marked (`weight: 0`, `train: false`, KTO's `label: false`) is not
    learnt, unless `ignore_marks` names the field."""

    data: str
    format: str | None = None
    mapping: dict[str, str | Constant] = Field({})
    ignore_marks: tuple[str, ...] = ()
    split: Split | None = "train"
    validation: Split | None = "validation"

    @model_validator(mode="after")
    def _held_out_is_not_learnt(self) -> TrainingDataOptions:
        if self.validation is not None and self.split in (None, self.validation):
            raise ValueError(
                f"'split: {self.split or 'null'}' learns what 'validation: {self.validation}' holds out; "
                "give 'validation: null'"
            )
        return self


def read_unmarked(path: Path, format: str | None = None, **given: Any) -> list[Item]:
    """The items of a file, each answered, whatever their marks (see learnt.py) say of learning them. `given` as of
    `read_items`. Raises DataError as that does, and for a turn without an answer."""
    items = read_items(path, format, **given)
    for item in items:
        if (without := next((at for at, text in enumerate(item.sample.references) if not text), None)) is not None:
            missing = f"turn {without + 1} has no answer" if item.sample.turns else "no output"
            raise item.error(f"{missing} to learn from")
    return items


class FileConversation(NamedTuple):
    """One conversation: the sample, and the assistant's turns of the file, in order."""

    sample: Sample
    answers: tuple[str, ...]
    place: str


def read_conversations(
    path: Path, most_turns: int | None = None, format: str | None = None, mapping: FieldMapping | None = None
) -> list[FileConversation]:
    """The conversations of a file in any format, in file order, each cut after `most_turns` turns of the user; a single
    question is one, too. Raises DataError as `read_items` does."""
    conversations = []
    for item in read_items(path, format, mapping=mapping):
        sample = item.sample
        if most_turns is not None and len(sample.turns) >= most_turns:
            turns, references = sample.turns[: most_turns - 1], sample.turn_references[: most_turns - 1]
            sample = sample.model_copy(update={"turns": turns, "turn_references": references})
        said = () if item.format == "mt-bench" else sample.references
        answers = tuple(answer for answer in said if answer is not None)
        conversations.append(FileConversation(sample, answers, item.place))
    return conversations


def holds_conversations(path: Path) -> bool:
    """True if the items of a file are conversations, by the first of them. Raises DataError where it cannot be read."""
    return _seen(next(read_objects(path))) in _TALKS


def holds_questions(path: Path) -> bool:
    """True if the items of a file are questions or conversations, by the first of them, and not answers by id alone.
    Raises DataError where it cannot be read."""
    first = next(read_objects(path))
    return _seen(first) is not None or bool(usual_names(first))


def _seen(entry: Entry) -> str | None:
    """The format that an object's fields belong to; None if it is unknown."""
    there = entry.fields.keys()
    for name, format in FORMATS.items():
        if name in _TALKS and not there.isdisjoint(format.main):
            return name
    if "instruction" not in there:
        return None
    # Without a context, a "response" may be anyone's; Dolly's own items have both.
    dolly = {"context", "response"} <= there and there.isdisjoint(("input", "output"))
    return "dolly" if dolly else "alpaca"


def _own_format(entry: Entry, chosen: str, named: bool) -> str:
    """The format of one object of a file whose format is chosen: that one, or (where none was named) another shape of
    conversation. Raises DataError for an object that looks like another format."""
    seen = _seen(entry)
    if seen == chosen:
        return chosen
    there = entry.fields.keys()
    main = FORMATS[chosen].main
    if seen is None and there.isdisjoint(main):
        hint = next((hint for key in there if (hint := did_you_mean(key, main))), "")
        raise entry.error(f"no {entry.called(main[0])}, which {FORMATS[chosen].title} has{hint}")
    if seen is None:
        return chosen
    if not there.isdisjoint(main) and {chosen, seen} != {"alpaca", "dolly"}:
        return chosen
    if chosen == "dolly" and there.isdisjoint(("input", "output")):
        return chosen
    if not named and {chosen, seen} <= _TALKS:
        return seen
    title, its = FORMATS[chosen].title, FORMATS[seen].title
    if named:
        raise entry.error(f"looks like {its}, not {title}: name the format {seen} (--from {seen})")
    raise entry.error(f"looks like {its}, where the items before it are {title}")


def _strange(entry: Entry) -> DataError:
    main = [key for format in FORMATS.values() for key in format.main]
    hint = next((hint for key in entry.fields if (hint := did_you_mean(key, main))), "")
    keys = ", ".join(map(repr, list(entry.fields)[:8])) or "nothing"
    wanted = "'instruction' (Alpaca, Dolly), 'conversations' (ShareGPT), 'messages' (OpenAI) or 'turns' (MT-Bench)"
    return entry.error(f"no {wanted}{hint or f'; it has {keys}: a mapping such as instruction=NAME says what is what'}")


def _check_mapping(mapping: FieldMapping, chosen: str) -> None:
    for field in mapping:
        if field not in FORMATS[chosen].fields:
            known = FORMATS[chosen].fields
            raise UsageError(f"{FORMATS[chosen].title} has no field {field!r} to map to{one_of(field, known)}")


def item_of(entry: Entry, chosen: str, place_of: Mapping[str, Item], raw: Mapping[str, Any] | None = None) -> Item:
    """The item in an object of a chosen format; `place_of` has those before it, by id, and `raw` the fields by the
    file's own names. Raises DataError."""
    format = FORMATS[chosen]
    said = format.read(entry)
    rest = {key: value for key, value in entry.fields.items() if key not in said.used}
    given = next((rest[key] for key in format.ids if rest.get(key) is not None), None)
    if isinstance(given, bool) or not isinstance(given, str | int | None):
        raise entry.error(f"'id' should be a string, not {type(given).__name__}")
    item_id = str(given) if given not in (None, "") else _unused(_content_id(said), place_of)
    if item_id in place_of:
        other = place_of[item_id]
        place = other.place if other.place.startswith("line") else f"{other.place} (line {other.line})"
        raise entry.error(f"the id {item_id!r} is already that of {place}")
    category = rest.get("category")
    if category is not None and (isinstance(category, bool) or not isinstance(category, str | int | float)):
        raise entry.error("'category' is not a text")
    sample = Sample(
        id=item_id,
        instruction=said.users[0],
        input=said.input,
        reference=said.references[0],
        turns=said.users[1:],
        turn_references=said.references[1:],
        system=said.system,
        category=None if category is None else str(category),
        metadata=labels_of(rest, {*format.ids, "category", *(["split"] if "instruction" in format.main else [])}),
    )
    return Item(sample, rest, said.marks, said.lost, {**(raw or {}), **entry.fields}, entry, chosen)


def _content_id(said: Said) -> str:
    """A hash of the question: the same for one question in any format."""
    if len(said.users) == 1 and not said.system:
        return content_id({"instruction": said.users[0], "input": said.input})
    first = f"{said.users[0]}\n\n{said.input}" if said.input else said.users[0]
    return hash_of([said.system, first, *said.users[1:]])


def _unused(digest: str, taken: Mapping[str, Any]) -> str:
    """The hash, numbered if an equal question has it already."""
    unique, count = digest, 1
    while unique in taken:
        count += 1
        unique = f"{digest}-{count}"
    return unique


def _output(chosen: str) -> str:
    return {"alpaca": "output", "dolly": "response"}.get(chosen, "reference")
