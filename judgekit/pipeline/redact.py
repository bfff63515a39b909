"""A finished run without its texts, for a report that may leave the house.

What stays: ids, categories, names, numbers, statuses, fingerprints and the config. What goes: everything that a data
set, a system, a judge or a server wrote, error messages and replies included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from judgekit.files import Anew
from judgekit.records import Noun, Response, Row, Sample, Verdict
from judgekit.results import RunRecord, RunView, TrainingSample

LEFT_OUT = "[left out]"
N = TypeVar("N", bound=Noun)


def redacted(view: RunView) -> RunView:
    """The run with LEFT_OUT in place of every text that is not empty; what was empty or missing stays so."""
    return replace(
        view,
        record=_record(view.record),
        samples=Anew(lambda: map(_sample, view.samples)),
        responses=Anew(lambda: map(_bare, view.responses)),
        rows=Anew(lambda: map(_row, view.rows)),
        redacted=True,
    )


# The texts of each noun, and of the nouns within it.
TEXTS: dict[type[Noun], tuple[str, ...]] = {
    Sample: ("instruction", "input", "system", "reference", "turns", "turn_references", "choices"),
    Response: ("text", "detail", "turns", "raw"),
    Verdict: ("raw", "rationale", "detail"),
    TrainingSample: ("prompt", "text", "reference"),
}


def _out(text: Any) -> Any:
    """LEFT_OUT for a text, each text of a tuple; what is empty or missing stays so."""
    return tuple(map(_out, text)) if isinstance(text, tuple) else LEFT_OUT if text else text


def _bare(noun: N) -> N:
    return noun.model_copy(update={name: _out(getattr(noun, name)) for name in TEXTS[type(noun)]})


def _sample(sample: Sample) -> Sample:
    return _bare(sample).model_copy(update={"metadata": {}})


def _row(row: Row) -> Row:
    return row.model_copy(update={"verdicts": tuple(map(_bare, row.verdicts))})


def _record(record: RunRecord) -> RunRecord:
    return record.model_copy(
        update={
            "trainings": tuple(
                one.model_copy(update={"samples": tuple(map(_bare, one.samples))}) for one in record.trainings
            ),
            "steps": {judge: _out(steps) for judge, steps in record.steps.items()},
            "errors": _messages(record.errors),
            "notes": _messages(record.notes),
        }
    )


def _messages(counts: Mapping[str, int]) -> dict[str, int]:
    """Of "generating sft: what the server said" the stage alone, counted together."""
    stages: Counter[str] = Counter()
    for message, count in counts.items():
        stage, colon, said = message.partition(": ")
        stages[f"{stage}: {_out(said)}" if colon else LEFT_OUT] += count
    return dict(sorted(stages.items()))
