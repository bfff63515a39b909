"""A redacted run: no text, every number."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import judgekit
import judgekit.data
from judgekit.pipeline.redact import redacted
from report_pages import report_of
from rich_run import rich_run
from sample_run import sample_run

N = TypeVar("N", bound=judgekit.data.TrainingSample | judgekit.Sample | judgekit.Response | judgekit.Row)
SECRET = re.compile("canary", re.IGNORECASE)


def with_texts(view: judgekit.RunView, text: str) -> judgekit.RunView:
    """The run with `text` in the place of everything that a data set, a model, a judge or a server wrote."""

    def put(noun: N, fields: str, **more: Any) -> N:
        texts = {
            name: tuple(text for _ in value) if isinstance(value := getattr(noun, name), tuple) else text
            for name in fields.split()
        }
        return noun.model_copy(update=texts | more)

    texts = "instruction input system reference turns turn_references choices"
    samples = [put(one, texts, metadata={"note": text}) for one in view.samples]
    responses = [put(one, "text detail turns") for one in view.responses]
    rows = [put(row, "", verdicts=tuple(put(one, "raw rationale detail") for one in row.verdicts)) for row in view.rows]
    record = view.record
    trainings = [
        put(one, "", samples=tuple(put(sample, "prompt text reference") for sample in one.samples))
        for one in record.trainings
    ]
    changes = {
        "trainings": tuple(trainings), "steps": {"main": (text,)}, "errors": {f"generating sft: {text}": 2, text: 1},
        "notes": {f"models.sft: {text}": 3},
    }  # fmt: skip
    return replace(view, record=record.model_copy(update=changes), samples=samples, responses=responses, rows=rows)


def test_a_redacted_report_has_no_text_in_it_and_every_number() -> None:
    view = with_texts(rich_run(), "Canary <b>text</b>")
    plain, without = (report_of(one) for one in (view, redacted(view)))
    assert SECRET.search(plain.text)
    assert not SECRET.search(" ".join([without.text, *(value for _, _, value in without.attributes)]))
    assert "texts left out" in without.text
    for sample in view.samples:
        assert sample.id in without.text
    numbers = [set(re.findall(r"\d+\.\d", one.text)) for one in (plain, without)]
    assert numbers[0] == numbers[1]
    assert "generating sft: [left out]" in without.text


def test_what_was_empty_stays_empty() -> None:
    sample = judgekit.Sample(id="a", instruction="x", reference=None)
    view = judgekit.RunView(sample_run(4).record, [sample], [], [])
    (found,) = redacted(view).samples
    assert (found.instruction, found.input, found.reference) == ("[left out]", "", None)


def test_the_letters_of_multiple_choice_are_no_texts(tmp_path: Path) -> None:
    from judgekit_metrics.letters import sections

    verdict = judgekit.Verdict(status="scored", value=1.0, raw='{"chosen": "B"}', series={"chosen": 1.0, "shots": 5.0})
    view = sample_run(8)
    place = {"metric": "mmlu", "system": "sft", "sample_id": "q000"}
    rows = [judgekit.Row(**place, status="scored", value=1.0, verdicts=(verdict,))]
    found = [sections(one) for one in (replace(view, rows=rows), redacted(replace(view, rows=rows)))]
    tables = [[section.table for section in one if section.name.startswith("letters")] for one in found]
    assert tables[0] == tables[1]
    assert tables[0]
