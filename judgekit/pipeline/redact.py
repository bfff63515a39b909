"""A finished run without its texts, for a report that may leave the house.

What stays: ids, categories, names, numbers, statuses, fingerprints and the config. What goes: everything that a data
set, a system, a judge or a server wrote, error messages and replies included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from judgekit.records import Response, Row, Sample, Verdict
from judgekit.results import RunRecord, RunView, Training

LEFT_OUT = "[left out]"
N = TypeVar("N")


@dataclass(frozen=True)
class _Without(Generic[N]):
    """The nouns of a file without their texts, read anew each time."""

    nouns: Iterable[N]
    redact: Callable[[N], N]

    def __iter__(self) -> Iterator[N]:
        return map(self.redact, self.nouns)


def redacted(view: RunView) -> RunView:
    """The run with LEFT_OUT in place of every text that is not empty; what was empty or missing stays so."""
    return replace(
        view,
        record=_record(view.record),
        samples=_Without(view.samples, _sample),
        responses=_Without(view.responses, _response),
        rows=_Without(view.rows, _row),
        redacted=True,
    )


def _out(text: str) -> str:
    return LEFT_OUT if text else ""


def _sample(sample: Sample) -> Sample:
    return sample.model_copy(
        update={
            "instruction": _out(sample.instruction),
            "input": _out(sample.input),
            "system": _out(sample.system),
            "reference": None if sample.reference is None else _out(sample.reference),
            "turns": tuple(map(_out, sample.turns)),
            "turn_references": tuple(None if one is None else _out(one) for one in sample.turn_references),
            "choices": tuple(map(_out, sample.choices)),
            "metadata": {},
        }
    )


def _response(response: Response) -> Response:
    texts = {"text": _out(response.text), "detail": _out(response.detail), "turns": tuple(map(_out, response.turns))}
    return response.model_copy(update=texts)


def _row(row: Row) -> Row:
    return row.model_copy(update={"verdicts": tuple(map(_verdict, row.verdicts))})


def _verdict(verdict: Verdict) -> Verdict:
    texts = {name: _out(getattr(verdict, name)) for name in ("raw", "rationale", "detail")}
    return verdict.model_copy(update=texts)


def _record(record: RunRecord) -> RunRecord:
    return record.model_copy(
        update={
            "trainings": tuple(map(_training, record.trainings)),
            "steps": {judge: tuple(map(_out, steps)) for judge, steps in record.steps.items()},
            "errors": _messages(record.errors),
            "notes": _messages(record.notes),
        }
    )


def _messages(counts: Mapping[str, int]) -> dict[str, int]:
    """Of "generating sft: what the server said" the stage alone, counted together."""
    found: Counter[str] = Counter()
    for message, count in counts.items():
        stage, colon, said = message.partition(": ")
        found[f"{stage}: {_out(said)}" if colon else LEFT_OUT] += count
    return dict(sorted(found.items()))


def _training(training: Training) -> Training:
    samples = [
        one.model_copy(
            update={
                "prompt": _out(one.prompt),
                "text": _out(one.text),
                "reference": None if one.reference is None else _out(one.reference),
            }
        )
        for one in training.samples
    ]
    return training.model_copy(update={"samples": tuple(samples)})
