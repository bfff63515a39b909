"""Pairs of preferences as they stand in a file. No torch here: a config is checked with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import judgekit
import judgekit.data

PAIR = ("chosen", "rejected")
_LISTS = ("messages", "conversations", "conversation")
_TALK = re.compile(r"(?:^|\n\n)(Human|Assistant):[ ]?")  # as in Anthropic's HH-RLHF


class Preferred(NamedTuple):
    """An item whose last turn has two responses."""

    item: judgekit.data.Item
    chosen: str
    rejected: str

    def sample(self, response: str) -> judgekit.Sample:
        """The sample with this response to its last turn."""
        sample = self.item.sample
        references = (*sample.references[:-1], response)
        return sample.model_copy(update={"reference": references[0], "turn_references": references[1:]})


def read_preferred(
    path: Path, options: judgekit.data.TrainingDataOptions, split: judgekit.data.Split | None
) -> list[Preferred]:
    """The pairs of one split (None: of all) of a file in any format, with `chosen` and `rejected`: texts, or messages
    that end with the response. Items that are marked as not to be learnt are left out. Raises DataError for an item
    without two texts, or with an earlier turn that has no answer."""
    names = {name: str(options.mapping.get(name, name)) for name in PAIR}
    mapping = {field: name for field, name in options.mapping.items() if field not in PAIR}
    responses: dict[int, list[Any]] = {}
    read = judgekit.data.read_items(
        path, options.format, split=split, mapping=mapping, empty=True, reshape=_asked(names, responses)
    )
    pairs = []
    for item in read:
        texts = [_text(item, names[name], one) for name, one in zip(PAIR, responses[item.entry.number], strict=True)]
        before, last = item.sample.references[:-1], item.sample.references[-1]
        if (without := next((number for number, text in enumerate(before, 1) if not text), None)) is not None:
            raise item.error(f"turn {without} has no answer, which the pair's responses come after")
        if last and item.format not in ("alpaca", "dolly") and last not in texts:
            raise item.error("its messages end with an answer that is neither 'chosen' nor 'rejected'")
        if judgekit.data.is_learnt(item, options.ignore_marks):
            pairs.append(Preferred(item, *texts))
    if len(pairs) < len(read):
        judgekit.data.tell_once(
            f"{path.name}: {len(read) - len(pairs)} of {len(read)} pairs are marked as not to be learnt"
        )
    if not pairs:
        raise judgekit.DataError("its marks leave nothing to learn", path=path)
    return pairs


def _asked(
    names: dict[str, str], responses: dict[int, list[Any]]
) -> Callable[[judgekit.data.Entry], judgekit.data.Entry]:
    """A function that makes of an object the one that was asked, and puts its two responses among the `responses`."""

    def asked(entry: judgekit.data.Entry) -> judgekit.data.Entry:
        fields = {key: value for key, value in entry.fields.items() if key not in names.values()}
        try:
            pair = [judgekit.data.value_at(entry.fields, name) for name in names.values()]
        except ValueError as error:
            raise entry.error(str(error)) from None
        if all(isinstance(one, str) and one.lstrip("\n").startswith("Human:") for one in pair):
            pair = [_talk(one) for one in pair]
        if all(isinstance(one, list | dict) for one in pair):
            pair = _with_texts(entry, fields, pair)
        responses[entry.number] = pair
        return replace(entry, fields=fields)

    return asked


def _with_texts(entry: judgekit.data.Entry, fields: dict[str, Any], pair: list[Any]) -> list[Any]:
    """The texts of two responses that are messages; those before them become the conversation of `fields`. A response
    is one message (beside the conversation), or ends a list that may begin with the conversation."""
    talks: list[list[Any]] = [one if isinstance(one, list) else [one] for one in pair]
    if not all(talk and all(isinstance(message, dict) for message in talk) for talk in talks):
        raise entry.error("'chosen' and 'rejected' are texts, or messages")
    before = [talk[:-1] for talk in talks]
    if before[0] != before[1]:
        raise entry.error("'chosen' and 'rejected' are not two responses to the same messages")
    for name, talk in zip(PAIR, talks, strict=True):
        if not {"assistant", "gpt"} & {str(talk[-1].get(key)).lower() for key in ("role", "from")}:
            raise entry.error(f"{name!r} does not end with a message of the assistant")
    key = next((name for name in _LISTS if name in fields), "messages")
    asked = fields.pop("prompt", None) if isinstance(fields.get("prompt"), list) else fields.get(key)
    if asked is None and "prompt" in fields and not before[0]:
        asked = [{"role": "user", "content": fields.pop("prompt")}]
    if asked or before[0] or not {"instruction", "question", "query"} & fields.keys():
        fields[key] = [*(asked or []), *before[0]]
        if not fields[key]:
            raise entry.error("no question before 'chosen' and 'rejected': a 'prompt', or messages")
    return [talk[-1].get("content", talk[-1].get("value")) for talk in talks]


def _talk(text: str) -> list[dict[str, str]]:
    """The messages of a conversation that is one text."""
    _, *parts = _TALK.split(text)
    roles = {"Human": "user", "Assistant": "assistant"}
    return [{"role": roles[who], "content": said.strip()} for who, said in zip(parts[::2], parts[1::2], strict=True)]


def _text(item: judgekit.data.Item, field: str, text: Any) -> str:
    if isinstance(text, str) and text.strip():
        return text
    name = f"{field!r}"
    if text is None:
        raise item.error(f"no {name}: 'mapping: {{chosen: NAME, rejected: NAME}}' says which fields the two are")
    raise item.error(f"{name} is {'empty' if isinstance(text, str) else 'not a text'}")
