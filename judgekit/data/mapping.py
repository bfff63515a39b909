"""What of a row is what: by a mapping, or by the names that files usually have.

A mapping has, by the name of a field, what it is in the file: the name of a field there, a path
(`messages[-1].content`), a Jinja template (`{{ title }}: {{ text }}`), or a constant (`{value: …}`).
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
from pydantic import BaseModel, ConfigDict, JsonValue

from judgekit.data.json_files import Entry
from judgekit.errors import UsageError
from judgekit.prompting.sandbox import REFUSALS, Sandbox, bounded


class Constant(BaseModel):
    """The same value for every row."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    value: JsonValue


FieldMapping = Mapping[str, str | Constant]
MESSAGE_LISTS = ("conversations", "conversation", "messages")
# The names that files usually have, of what Alpaca calls instruction, input and output.
USUAL = {
    "instruction": ("prompt", "question", "query", "problem", "input"),
    "input": ("context", "passage"),
    "output": (
        *("output", "reference", "target", "ideal", "completion", "answer", "response", "solution", "chosen"),
        *("expected", "expected_output", "reference_answer", "ground_truth"),
    ),
    "system": ("system_prompt",),
    "id": ("question_id", "sample_id", "prompt_id", "item_id", "task_id", "uid"),
}
_MUST = ("instruction", "output")  # of which there may be one at most


def value_at(fields: Mapping[str, Any], name: str) -> Any:
    """The field, or what a path such as `results[-1].winner` leads to; None where it is missing, or null on the way.
    Raises ValueError for a path that leads nowhere."""
    if name in fields or not (steps := steps_of(name)):
        return fields.get(name)
    found: Any = fields
    for step in steps:
        if found is None:
            return None
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"{name!r} leads nowhere: there is no {step!r}") from None
    return found


def steps_of(name: str) -> list[str | int]:
    """The steps of a path; none of a plain name."""
    parts = re.findall(r"([^.\[\]]+)|\[(-?\d+)\]", name) if re.search(r"[.\[]", name) else []
    return [int(index) if index else key for key, index in parts]


def usual_names(entry: Entry) -> dict[str, str]:
    """The mapping that a row's own names stand for, where they are usual ones; none where no question is among them,
    or was mapped before. Raises DataError where two of them could be the question, or the answer."""
    there = {name for name, value in entry.fields.items() if isinstance(value, str | int | float)}
    taken: dict[str, str] = {}
    for field, names in USUAL.items():
        if field != "instruction" and not {"instruction"} & {*taken, *entry.names}:
            return {}
        if field in entry.names:
            continue
        found = [name for name in names if name in there and name not in {*taken.values(), *entry.names.values()}]
        if field == "instruction" and len(found) > 1:
            found = [name for name in found if name != "input"]  # it stands beside a question
        if field in entry.fields and (field != "output" or entry.names):
            continue
        if field in _MUST and len(found) > 1:
            both = ", ".join(map(repr, found))
            raise entry.error(f"which of {both} is the {field}? A mapping says it, such as {field}={found[0]}")
        if found:
            taken[field] = found[0]
    lone = taken.get("instruction") == "input" and not {"output", "system"} & {*taken, *entry.fields}
    return {} if lone else taken


def tell(path: Path, taken: tuple[tuple[str, str], ...]) -> None:
    """Say once on standard error what was taken for what."""
    if said := ", ".join(f"{name!r} is the {field}" for field, name in taken if field != name):
        tell_once(f"{path.name}: {said}")


@functools.lru_cache(maxsize=256)
def tell_once(what: str) -> None:
    """Say it on standard error, however often a file is read."""
    print(what, file=sys.stderr)


def mapped(entry: Entry, mapping: FieldMapping, unmapped: dict[str, Any]) -> Entry:
    """The row with the names of the format for its fields; those that it has leave `unmapped`. Raises DataError where
    two fields would have one name, or a path leads nowhere."""
    if not mapping:
        return entry
    plain = {field: name for field, name in mapping.items() if isinstance(name, str) and _is_name(entry, name)}
    fields = _renamed(entry, entry.fields, plain, unmapped)
    if not {"from", "value", "role", "content"}.isdisjoint(plain):
        for key in MESSAGE_LISTS:
            if isinstance(fields.get(key), list):
                fields[key] = [
                    _renamed(entry, one, plain, unmapped) if isinstance(one, dict) else one for one in fields[key]
                ]
    for field, how in mapping.items():
        if field not in plain:
            value = how.value if isinstance(how, Constant) else _made(entry, field, how)
            unmapped.pop(field, None)
            if value is not None:
                fields[field] = value
    names = {field: field if isinstance(how, Constant) else str(how) for field, how in mapping.items()}
    return replace(entry, fields=fields, names=names)


def _is_name(entry: Entry, name: str) -> bool:
    return name in entry.fields or not ("{{" in name or "{%" in name or steps_of(name))


def _renamed(
    entry: Entry, given: Mapping[str, Any], mapping: Mapping[str, str], unmapped: dict[str, Any]
) -> dict[str, Any]:
    names = {name: field for field, name in mapping.items()}
    renamed: dict[str, Any] = {}
    for key, value in given.items():
        field = names.get(key, key)
        if field in renamed or (field != key and field in given and field not in names):
            raise entry.error(f"has a field {field!r} beside {mapping[field]!r}, which is mapped to it")
        renamed[field] = value
        if field != key or mapping.get(field) == key:
            unmapped.pop(field, None)
    return renamed


def _made(entry: Entry, field: str, how: str | Constant) -> Any:
    """What a path leads to, or a template makes of the row."""
    name = str(how)
    try:
        if "{{" not in name and "{%" not in name:
            return value_at(entry.fields, name)
        with bounded():
            return _template(name).render(entry.fields)
    except (*REFUSALS, ValueError) as error:
        raise entry.error(f"{field}: {error}") from None


@functools.cache
def _template(source: str) -> jinja2.Template:
    """Raises UsageError where it is none."""
    try:
        return Sandbox(undefined=jinja2.StrictUndefined).from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise UsageError(f"the template {source!r} is none: {error.message}") from None
