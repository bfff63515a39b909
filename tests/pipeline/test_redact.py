"""A redacted run: no text, every number."""

import re
from dataclasses import replace

import judgekit
import judgekit.data
from judgekit.pipeline.redact import redacted
from judgekit_html import page
from report_pages import Reader
from rich_run import rich_run
from sample_run import sample_run

SECRET = re.compile("canary", re.IGNORECASE)


def files(view, many=page.MANY):
    return dict(page.Report(view, [], many).files())


def with_texts(view, text):
    """The run with `text` in the place of everything that a data set, a model, a judge or a server wrote."""
    verdict = {"raw": text, "rationale": text, "detail": text}
    samples = [
        sample.model_copy(
            update={
                "instruction": text, "input": text, "system": text, "reference": text, "metadata": {"note": text},
                "turns": tuple(text for _ in sample.turns), "turn_references": tuple(text for _ in sample.turns),
                "choices": tuple(text for _ in sample.choices),
            }
        )
        for sample in view.samples
    ]  # fmt: skip
    responses = [
        one.model_copy(update={"text": text, "detail": text, "turns": tuple(text for _ in one.turns)})
        for one in view.responses
    ]
    rows = [
        row.model_copy(update={"verdicts": tuple(one.model_copy(update=verdict) for one in row.verdicts)})
        for row in view.rows
    ]
    record = view.record
    written = {"prompt": text, "text": text, "reference": text}
    trainings = [
        one.model_copy(update={"samples": tuple(sample.model_copy(update=written) for sample in one.samples)})
        for one in record.trainings
    ]
    changes = {
        "trainings": tuple(trainings), "steps": {"main": (text,)}, "errors": {f"generating sft: {text}": 2, text: 1},
        "notes": {f"models.sft: {text}": 3},
    }  # fmt: skip
    return replace(view, record=record.model_copy(update=changes), samples=samples, responses=responses, rows=rows)


def test_a_redacted_report_has_no_text_in_it_and_every_number():
    view = with_texts(rich_run(), "Canary <b>text</b>")
    plain, without = (Reader(files(one)["report.html"]) for one in (view, redacted(view)))
    assert SECRET.search(plain.text)
    assert not SECRET.search(" ".join([without.text, *(value for _, _, value in without.attributes)]))
    assert "texts left out" in without.text
    for sample in view.samples:
        assert sample.id in without.text
    numbers = [set(re.findall(r"\d+\.\d", one.text)) for one in (plain, without)]
    assert numbers[0] == numbers[1]
    assert "generating sft: [left out]" in without.text


def test_what_was_empty_stays_empty():
    sample = judgekit.Sample(id="a", instruction="x", reference=None)
    view = judgekit.RunView(sample_run(4).record, [sample], [], [])
    (found,) = redacted(view).samples
    assert (found.instruction, found.input, found.reference) == ("[left out]", "", None)


def test_the_letters_of_multiple_choice_are_no_texts(tmp_path):
    from judgekit_metrics.letters import sections

    verdict = judgekit.Verdict(status="scored", value=1.0, raw='{"chosen": "B"}', series={"chosen": 1.0, "shots": 5.0})
    view = sample_run(8)
    place = {"metric": "mmlu", "system": "sft", "sample_id": "q000"}
    rows = [judgekit.Row(**place, status="scored", value=1.0, verdicts=(verdict,))]
    found = [sections(one) for one in (replace(view, rows=rows), redacted(replace(view, rows=rows)))]
    tables = [[section.table for section in one if section.name.startswith("letters")] for one in found]
    assert tables[0] == tables[1]
    assert tables[0]
