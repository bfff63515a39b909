"""Which systems of a run come of its trainings, which other systems they were trained from, and who chose what they
learnt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from judgekit.results import RunRecord

START = "from"  # a trainer's option: the checkpoint that it starts from


@dataclass(frozen=True)
class Provenance:
    """How a system came about: the run's trainings that led to it, the first one first, and the systems that answer by
    a checkpoint on that way, the nearest first."""

    system: str
    trainings: tuple[str, ...]
    ancestors: tuple[str, ...] = ()

    @property
    def compared(self) -> tuple[str, ...]:
        """The ancestors that say what training bought: by the last step, and from the start."""
        return tuple(dict.fromkeys((*self.ancestors[:1], *self.ancestors[-1:])))


def provenances(config: Mapping[str, Any]) -> dict[str, Provenance]:
    """By system, for those that a training of the config made; `config` is the config, or that of a record."""
    trainings: Mapping[str, Any] = config.get("train") or {}
    models: Mapping[str, Any] = config.get("models") or {}
    found = {}
    for system, options in models.items():
        made = next((product for value in _values(options) if (product := named_product(value))), None)
        if made is None or made[0] not in trainings:
            continue
        way, starts = _way(made[0], trainings)
        ancestors = [one for start in starts for one in models if one != system and start in _values(models[one])]
        found[system] = Provenance(system, tuple(reversed(way)), tuple(dict.fromkeys(ancestors)))
    return found


JUDGED_BY = "judged_by"  # the field of an item that holds the fingerprints of those who chose between its responses


def judge_fingerprint(identity: JsonValue) -> str:
    """A short hash of a judge's identity, for the items that it chose."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def judges_of(record: RunRecord, metric: str) -> list[str]:
    """Names of the judges behind a metric: the one that it asks and the members of a panel; none where it asks none."""
    judge = record.judge_of(metric)
    if judge is None:
        return []
    panel = record.part("judges", judge).get("panel")
    return [judge, *(str(member) for member in panel)] if isinstance(panel, list | tuple) else [judge]


def _way(name: str, trainings: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The trainings from the last one back to the first, and the checkpoints that they start from."""
    way: list[str] = []
    starts: list[str] = []
    while name in trainings and name not in way:
        way.append(name)
        start = trainings[name].get(START)
        if not isinstance(start, str):
            break
        starts.append(start)
        made = named_product(start)
        name = made[0] if made else ""
    return way, starts


def _values(options: Mapping[str, Any]) -> list[str]:
    return [value for value in options.values() if isinstance(value, str)]


def named_product(value: JsonValue) -> tuple[str, str] | None:
    """(the training, "/FOLDER" within its product or "") that an option's value names; None if it names none."""
    if not isinstance(value, str) or not value.startswith("train:"):
        return None
    name, slash, inner = value.removeprefix("train:").partition("/")
    return name, slash + inner
