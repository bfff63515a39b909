"""Conversations of several turns: one reader for evaluation and for stored answers.

A file is a JSON array or JSONL of items in one of three shapes:

ShareGPT   {"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}, …]}
OpenAI     {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}, …]}
MT-Bench   {"turns": ["…", "…"], "reference": ["…", "…"]}

User and assistant take turns, the user first, after at most one system message. The user's turns make the sample, the
assistant's are their references. The last turn of the user may be without one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from judgekit.errors import DataError
from judgekit.instructions import labels_of, read_objects
from judgekit.plugins import did_you_mean
from judgekit.records import Message, Role, Sample

ROLES: dict[str, Role] = {
    "human": "user", "user": "user",
    "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant", "bard": "assistant", "bing": "assistant",
    "model": "assistant",
    "system": "system", "developer": "system",
}  # fmt: skip
_SHAPES = {"conversations": ("from", "value"), "conversation": ("from", "value"), "messages": ("role", "content")}
_KNOWN = frozenset(
    {*_SHAPES, "turns", "reference", "references", "id", "question_id", "conversation_id", "category", "system"}
)


class Talk(NamedTuple):
    """One conversation: the sample, and the assistant's turns of the file, in order."""

    sample: Sample
    answers: tuple[str, ...]
    place: str


def read_conversations(path: Path, most_turns: int | None = None) -> list[Talk]:
    """The conversations of a file, in file order, each cut after `most_turns` turns of the user.

    Without an id, an item is known by a hash of its system message and the user's turns. Raises DataError with file,
    item and message: not JSON, another shape, an unknown role, two turns of one side in a row, an assistant who begins,
    an empty turn, a duplicate id.
    """
    found: list[Talk] = []
    place_of: dict[str, str] = {}
    for place, fields in read_objects(path):
        messages = _messages(path, place, fields)
        system = messages[0].content if messages[0].role == "system" else _system(path, place, fields)
        said = [message for message in messages if message.role != "system"]
        every = [message.content for message in said if message.role == "user"]
        users = every[:most_turns]
        answers = [message.content for message in said if message.role == "assistant"][: len(users)]
        if "turns" in fields:
            references = _references(path, place, fields, len(messages))[: len(users)]
        else:
            references = [*answers, *[None] * (len(users) - len(answers))]
        item_id = _id(path, place, fields) or _unused(_content_id(system, every), place_of)
        if item_id in place_of:
            raise DataError(f"{place}: the id {item_id!r} is already that of {place_of[item_id]}", path=path)
        place_of[item_id] = place
        category = fields.get("category")
        sample = Sample(
            id=item_id,
            instruction=users[0],
            reference=references[0],
            turns=tuple(users[1:]),
            turn_references=tuple(references[1:]),
            system=system,
            category=None if category is None else str(category),
            metadata=labels_of(fields, _KNOWN),
        )
        found.append(Talk(sample, tuple(answers), place))
    return found


def _messages(path: Path, place: str, fields: dict[str, Any]) -> list[Message]:
    """The item's messages, checked."""
    shape = next((key for key in _SHAPES if key in fields), None)
    if "turns" in fields and shape is None:
        raw = [{"role": "user", "content": turn} for turn in _list(path, place, fields, "turns")]
        return [_message(path, f"{place}, turn {number}", one, "role", "content") for number, one in enumerate(raw, 1)]
    if shape is None:
        hint = did_you_mean(next(iter(fields), ""), _SHAPES)
        raise DataError(f"{place}: no 'conversations' (ShareGPT), 'messages' (OpenAI) or 'turns'{hint}", path=path)
    found: list[Message] = []
    for number, one in enumerate(_list(path, place, fields, shape), start=1):
        where = f"{place}, message {number}"
        if not isinstance(one, dict):
            raise DataError(f"{where}: should be an object, not {type(one).__name__}", path=path)
        # Either shape may come with the other's keys.
        keys = ("from", "value") if "from" in one else ("role", "content") if "role" in one else _SHAPES[shape]
        message = _message(path, where, one, *keys)
        _check_order(path, where, found, message)
        found.append(message)
    if not any(message.role == "user" for message in found):
        raise DataError(f"{place}: the user says nothing", path=path)
    return found


def _message(path: Path, where: str, fields: dict[str, Any], speaker: str, said: str) -> Message:
    role = fields.get(speaker)
    if not isinstance(role, str):
        raise DataError(
            f"{where}: {f'{speaker!r} is not a text' if role is not None else f'no {speaker!r}'}", path=path
        )
    if role.strip().lower() not in ROLES:
        hint = did_you_mean(role, ROLES) or f" (known are: {', '.join(ROLES)})"
        raise DataError(f"{where}: unknown role {role!r}{hint}", path=path)
    content = fields.get(said)
    if isinstance(content, list):
        content = _joined(path, where, content)
    if not isinstance(content, str):
        wrong = f"{said!r} is not a text" if content is not None else f"no {said!r}"
        raise DataError(f"{where}: {wrong}", path=path)
    if not content.strip():
        raise DataError(f"{where}: the turn of {role!r} is empty", path=path)
    return Message(role=ROLES[role.strip().lower()], content=content)


def _joined(path: Path, where: str, parts: list[Any]) -> str:
    """The text of OpenAI's content parts. An image or a sound is no text."""
    texts = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            raise DataError(f"{where}: a part of type {kind!r}; only text can be read", path=path)
        texts.append(part["text"])
    return "\n".join(texts)


def _check_order(path: Path, where: str, before: Sequence[Message], message: Message) -> None:
    if message.role == "system":
        if before:
            raise DataError(f"{where}: a system message comes first, and once", path=path)
        return
    last = before[-1].role if before else "system"
    if last == "system" and message.role == "assistant":
        raise DataError(f"{where}: the conversation begins with the assistant; the user speaks first", path=path)
    if last == message.role:
        raise DataError(f"{where}: two turns of the {message.role} in a row", path=path)


def _list(path: Path, place: str, fields: dict[str, Any], key: str) -> list[Any]:
    found = fields[key]
    if not isinstance(found, list):
        raise DataError(f"{place}: {key!r} should be a list of turns, not {type(found).__name__}", path=path)
    if not found:
        raise DataError(f"{place}: {key!r} has no turn", path=path)
    return found


def _references(path: Path, place: str, fields: dict[str, Any], turns: int) -> list[str | None]:
    """The references of an item in the shape of MT-Bench: one a turn, or none."""
    given = fields.get("reference", fields.get("references"))
    if not given:
        return [None] * turns
    if (
        not isinstance(given, list)
        or len(given) != turns
        or not all(one is None or isinstance(one, str) for one in given)
    ):
        raise DataError(f"{place}: 'reference' should be a list of {turns} texts, one a turn", path=path)
    return [one if one and one.strip() else None for one in given]


def _system(path: Path, place: str, fields: dict[str, Any]) -> str:
    """The system message of an item that has it beside its turns."""
    found = fields.get("system")
    if found is not None and not isinstance(found, str):
        raise DataError(f"{place}: 'system' is not a text", path=path)
    return found or ""


def _id(path: Path, place: str, fields: dict[str, Any]) -> str:
    given = next((fields[key] for key in ("id", "question_id", "conversation_id") if fields.get(key) is not None), "")
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise DataError(f"{place}: 'id' should be a string, not {type(given).__name__}", path=path)
    return str(given)


def _content_id(system: str, users: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([system, *users]).encode()).hexdigest()[:10]


def _unused(digest: str, taken: dict[str, str]) -> str:
    """Equal conversations are counted."""
    unique, count = digest, 1
    while unique in taken:
        count += 1
        unique = f"{digest}-{count}"
    return unique


def holds_conversations(path: Path) -> bool:
    """Whether the items of a file are conversations, by the first of them. Raises DataError where it cannot be read."""
    _, fields = next(read_objects(path))
    return any(key in fields for key in (*_SHAPES, "turns"))
