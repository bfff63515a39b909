"""A realistic RunView in memory: every kind of row, failures of each status, a judge card, curves, hostile strings.

Nothing in it was measured; the figures are made up so that each case that a report must show is there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from judgekit.records import Response, Row, Sample, Scale, Verdict, VerdictStatus
from judgekit.results import (
    Check,
    CurvePoint,
    Estimate,
    Interval,
    JudgeCard,
    PluginInfo,
    RunRecord,
    RunView,
    Section,
    Table,
    Training,
    TrainingSample,
)
from judgekit.text import DISTRIBUTION

SCORE = Scale(label="judge score", low=0, high=100)
WIN_RATE = Scale(label="win rate", low=0, high=1, unit="%")
CONSISTENT = Scale(label="same verdict in both orders", low=0, high=1, unit="%")
ACCURACY = Scale(label="accuracy", low=0, high=1, unit="%")
ROUGE = Scale(label="ROUGE-L", low=0, high=1)

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "' onmouseover='alert(4)",
    "javascript:alert(5)",
    "{{7*7}}{% raw %}",
    "</style><style>@import 'http://example.com/x.css';</style>",
    "]]><![CDATA[<x>",
    "<iframe srcdoc='<script>parent.alert(6)</script>'>",
    "<meta http-equiv=refresh content='0;url=http://example.com'>",
    "&lt;b&gt;&#60;script&#62;alert(7)&#60;/script&#62;",
    "\x1b[31mred\x1b]0;title\x07",
    "user\u202enimda\u2066x\u2069\u200b\ufeff",
    "nul\x00 bell\x07 del\x7f c1\x9b",
    "lone \ud800 surrogate",
    "tag\U000e0041\U000e007f letters",
    "<a href='http://example.com' target=_blank>here</a>",
    "<details open ontoggle=alert(8)>",
    "<base href='http://example.com/'>",
    "<!-- comment --><textarea></title>",
)

TASKS = (
    ("Rewrite it in the passive voice.", "The cook prepares the soup.", "The soup is prepared by the cook.", "grammar"),
    ("Name an antonym of 'ancient'.", "", "Modern.", "antonyms"),
    ("Convert 2 kilometres to metres.", "", "2 kilometres is 2,000 metres.", "units"),
    ("Correct the spelling of 'recieve'.", "", "receive", "spelling"),
    ("What is the capital of Portugal?", "", "The capital of Portugal is Lisbon.", "facts"),
    (
        "Turn the statement into a question.",
        "She has finished her homework.",
        "Has she finished her homework?",
        "grammar",
    ),
)
FAILURES: dict[int, VerdictStatus] = {7: "unparsed", 13: "truncated", 19: "refused", 25: "error", 31: "skipped"}


def sample_run(n: int = 40, repeats: int = 3, **changes: Any) -> RunView:
    """A finished run of `n` instruction items and `n // 4` questions: sft (with repeats) against base."""
    samples = [_sample(index) for index in range(n)] + [_question(index) for index in range(n // 4)]
    responses = [
        _response(system, sample, repeat)
        for system in ("sft", "base")
        for sample in samples[:n]
        for repeat in range(repeats if system == "sft" else 1)
    ]
    rows = [
        *(_score_row(index, response) for index, response in enumerate(responses)),
        *(_pairwise_row(index, sample) for index, sample in enumerate(samples[:n])),
        *(_choice_row(system, index, sample) for system in ("sft", "base") for index, sample in enumerate(samples[n:])),
    ]
    return RunView(record(n, repeats, **changes), samples, responses, rows)


def hostile_run(text: str) -> RunView:
    """A run in which every string that a model, a user or a server can write is `text`."""
    view = sample_run(8, 1)
    samples = [
        Sample(
            id=f"{index} {text}", instruction=text, input=text, reference=text, category=text,
            choices=(text, text) if index % 2 else (), answer=1 if index % 2 else None, metadata={text: text},
        )
        for index in range(4)
    ]  # fmt: skip
    responses = [
        Response(system=text, sample_id=sample.id, text=text, status=status, detail=text)
        for sample, status in zip(samples, ("complete", "truncated", "refused", "error"), strict=True)
    ]
    verdict = Verdict(status="scored", value=50, raw=text, rationale=text, detail=text)
    missing = Verdict(status="error", raw=text, rationale=text, detail=text)
    rows = [
        Row(metric=text, system=text, sample_id=sample.id, status="scored", value=51.5, series={text: 1},
            verdicts=(verdict, missing))
        for sample in samples
    ]  # fmt: skip
    return RunView(_hostile_record(view.record, text), samples, responses, rows)


def section_of(text: str) -> Section:
    """What a plugin may add to a report, with `text` wherever it has a string."""
    chart = {
        "mark": "bar",
        "title": text,
        "data": {"values": [{"a": text}]},
        "encoding": {"x": {"field": "a", "type": "nominal", "axis": {"title": text}}},
    }
    return Section(text, text, text, chart, Table([text], [[text], [1.5], [None]]))


def _hostile_record(plain: RunRecord, text: str) -> RunRecord:
    series = Scale(label=text, low=0, high=100, unit=text)
    gone = Interval(method=text, low=None, high=None, note=text)
    estimate = estimate_of(text, text, 51.5, 4.0, series, n=4).model_copy(update={"bootstrap": gone})
    check = Check(name=text, label=text, value=1.5, expected=text, passed=False, note=text, n_items=3)
    return plain.model_copy(
        update={
            "name": text,
            "systems": (text,),
            "spec": {"name": text, "metrics": {text: {"type": "score", "judge": text}}, text: [text]},
            "inputs": {text: text},
            "plugins": (PluginInfo(name=text, distribution=text, version=text, offers=(text,)),),
            "identities": {text: {text: text}},
            "prompts": {text: text},
            "estimates": (estimate, estimate.model_copy(update={"series": text, "interval": gone})),
            "differences": (difference_of(text, text, text, 3.0, 1.0, series, n=4),),
            "cards": (JudgeCard(judge=text, backend=text, prompt=text, reading=text, checks=(check,), passed=False),),
            "trainings": (
                Training(name=text, trainer=text, checkpoint=text, identity=text, summary={text: text},
                         samples=(TrainingSample(step=1, prompt=text, text=text, reference=text),),
                         curve=tuple(CurvePoint(step=step, split=text, loss=2 + 1 / step) for step in range(1, 9))),
            ),
            "warnings": (text,),
            "errors": {text: 2},
            "files": {text: text},
        }
    )  # fmt: skip


def _sample(index: int) -> Sample:
    instruction, given, reference, category = TASKS[index % len(TASKS)]
    return Sample(id=f"{index:04d}", instruction=instruction, input=given, reference=reference, category=category)


def _question(index: int) -> Sample:
    return Sample(
        id=f"q{index:03d}", instruction="Which gas do plants take in?", category="science",
        choices=("oxygen", "carbon dioxide", "helium", "neon"), answer=1,
    )  # fmt: skip


def _response(system: str, sample: Sample, repeat: int) -> Response:
    number = int(sample.id)
    text = sample.reference if system == "sft" else "The the of a is, and a the. The a is of the"
    if number % 11 == 5 and system == "sft":
        text = f"{sample.instruction} {HOSTILE[number % len(HOSTILE)]}"
    if number == 13 and system == "base":
        return Response(system=system, sample_id=sample.id, repeat=repeat, text="The the the", status="truncated")
    return Response(system=system, sample_id=sample.id, repeat=repeat, text=text or "")


def _score_row(index: int, response: Response) -> Row:
    number = int(response.sample_id)
    place = {"metric": "quality", "system": response.system, "sample_id": response.sample_id, "repeat": response.repeat}
    if number in FAILURES and response.repeat == 0:
        verdict = Verdict(status=FAILURES[number], raw="I would say it is quite good!", detail="no number in the reply")
        return Row(**place, status=verdict.status, verdicts=(verdict,))
    spread = math.sin(index * 12.9898) * 0.5 + 0.5
    value = round(55 + 45 * spread if response.system == "sft" else 18 * spread * spread, 1)
    raw = f'{{"reason": "It answers the task.", "score": {value}}}'
    verdict = Verdict(status="scored", value=value, raw=raw, rationale="It answers the task.")
    return Row(**place, status="scored", value=value, verdicts=(verdict,))


def _pairwise_row(index: int, sample: Sample) -> Row:
    value = (1.0, 1.0, 0.5, 1.0, 0.75, 0.0, 1.0)[index % 7]
    first = Verdict(
        status="scored", value=1.0 if value > 0.25 else 0.0, raw="A", rationale="A follows the instruction."
    )
    second = Verdict(status="scored", value=2 * value - (first.value or 0.0), raw="B")
    return Row(
        metric="winrate", system="sft", sample_id=sample.id, status="scored", value=value,
        series={"consistent": float(first.value == second.value)}, verdicts=(first, second),
    )  # fmt: skip


def _choice_row(system: str, index: int, sample: Sample) -> Row:
    value = float(index % (2 if system == "sft" else 4) == 0)
    raw = '{"chosen": "B", "loglikelihood": {"A": -4.1, "B": -2.2, "C": -5.0, "D": -6.3}}'
    verdict = Verdict(status="scored", value=value, raw=raw)
    return Row(metric="mmlu", system=system, sample_id=sample.id, status="scored", value=value, verdicts=(verdict,))


def estimate_of(
    metric: str,
    system: str,
    value: float | None,
    half: float,
    scale: Scale,
    n: int,
    method: str = "bootstrap",
    **rest: Any,
) -> Estimate:
    """An estimate with a symmetrical interval of half-width `half`, clipped to the scale."""
    if value is None:
        missing = Interval(method=method, low=None, high=None, note="no scored item")
        return Estimate(
            metric=metric, system=system, scale=scale, value=None, confidence=0.95, interval=missing,
            bootstrap=missing.model_copy(update={"method": "bootstrap"}), n_items=0, **rest,
        )  # fmt: skip
    low, high = max(value - half, scale.low), min(value + half, scale.high)
    ends = max(value - 0.96 * half, scale.low), min(value + 1.07 * half, scale.high)
    boot = Interval(method="bootstrap", low=ends[0], high=ends[1])
    counts: dict[VerdictStatus, int] = {"scored": n}
    fields: dict[str, Any] = {
        "interval": Interval(method=method, low=low, high=high) if method != "bootstrap" else boot,
        "bootstrap": boot, "bounds": (value, value), "counts": counts, "se": half / 1.96,
    } | rest  # fmt: skip
    return Estimate(metric=metric, system=system, scale=scale, value=value, confidence=0.95, n_items=n, **fields)


def difference_of(metric: str, system: str, against: str, value: float, half: float, scale: Scale, n: int) -> Estimate:
    """A paired difference system − against, on the scale of differences."""
    width = scale.high - scale.low
    whole = scale.model_copy(update={"low": -width, "high": width})
    return estimate_of(metric, system, value, half, whole, n, "paired_t+plus_two", against=against)


def record(n: int, repeats: int, **changes: Any) -> RunRecord:
    """The run's record; `changes` replace its fields."""
    failed: dict[VerdictStatus, int] = {"scored": n * repeats - 5} | dict.fromkeys(FAILURES.values(), 1)
    lost = 5 / max(n * repeats, 1)
    bounds = 77.3 - 77.3 * lost, 77.3 + 22.7 * lost
    sft = estimate_of("quality", "sft", 77.3, 4.9, SCORE, n, repeats=repeats, counts=failed, bounds=bounds)
    rerun = Interval(method="rerun_t", low=75.1, high=79.5)
    estimates: list[Estimate] = [
        sft,
        sft.model_copy(update={"estimand": "rerun on these items", "se": 1.1, "interval": rerun, "bootstrap": None}),
        estimate_of("quality", "base", 6.4, 2.2, SCORE, n, "plus_two_t", counts={"scored": n - 1, "truncated": 1},
                    bounds=(6.2, 8.7)),
        estimate_of("winrate", "sft", 0.7893, 0.091, WIN_RATE, n, "wilson_neff"),
        estimate_of("winrate", "sft", 0.71, 0.11, CONSISTENT, n, "wilson", series="consistent"),
        estimate_of("mmlu", "sft", 0.5, 0.29, ACCURACY, max(n // 4, 1), "wilson"),
        estimate_of("mmlu", "base", 0.25, 0.24, ACCURACY, max(n // 4, 1), "wilson"),
        estimate_of("rouge", "sft", None, 0, ROUGE, 0),
    ]  # fmt: skip
    fields: dict[str, Any] = {
        "run_id": "3f9c2b7a51d0", "name": "quickstart", "judgekit_version": "0.1.0", "status": "complete",
        "spec": SPEC, "inputs": {"data/instructions.json": "sha256:9a1f0c", "data/questions.jsonl": "sha256:77b2e4"},
        "plugins": (
            PluginInfo(
                name="gpt2", distribution=DISTRIBUTION, version="0.1.0", offers=("backend gpt2", "trainer gpt2")
            ),
            PluginInfo(name="shout", distribution="judgekit-shout", version="1.2.0", offers=("backend shout",)),
        ),
        "identities": {"models": {"sft": {"weights": "sha256:51ab"}}, "judges": {"main": {"digest": "sha256:e2c8"}}},
        "prompts": {"score/reason_json.j2": "sha256:0cf3", "pairwise/plain.j2": "sha256:b610"},
        "n_samples": n + n // 4, "systems": ("sft", "base"), "estimates": tuple(estimates),
        "differences": (
            difference_of("quality", "sft", "base", 70.9, 5.3, SCORE, n),
            difference_of("mmlu", "sft", "base", 0.25, 0.34, ACCURACY, max(n // 4, 1)),
        ),
        "cards": (card(passed=True),), "trainings": (training("base", 1200, 7.6), training("sft", 400, 3.4)),
    } | changes  # fmt: skip
    return RunRecord(**fields)


def card(*, passed: bool | None) -> JudgeCard:
    """A judge card; a failed one reads empty answers too kindly, an unknown one was not measured."""
    empty = Check(
        name="empty", label="an empty answer", value=1.2 if passed else 31.0, low=0.0, high=2.6 if passed else 39.5,
        expected="at most 5", passed=passed, n_items=20, counts={"scored": 20},
    )  # fmt: skip
    checks: Sequence[Check] = (
        Check(name="gold", label="the reference itself", value=98.4, low=96.9, high=99.6, expected="at least 95",
              passed=True, n_items=20, counts={"scored": 19, "unparsed": 1}),
        empty,
        Check(name="shuffled", label="another item's answer", value=7.9, low=4.0, high=12.8, expected="well under gold",
              passed=True, n_items=20, counts={"scored": 20}),
        Check(name="flips", label="verdicts that change on a second asking", value=None, passed=None,
              note="one judge repeat: not measured"),
    )  # fmt: skip
    return JudgeCard(
        judge="main", backend="transformers", prompt="score/likelihood_ratio.j2", reading="likelihood_ratio",
        checks=tuple(checks), passed=passed,
    )  # fmt: skip


def written(step: int, steps: int) -> TrainingSample:
    """What a model in training wrote: markup in it stays text."""
    text = "The mouse was <b>chased</b> by the cat." if step == steps else "mouse mouse the"
    prompt = "Rewrite in the passive voice.\n\nThe cat chased the mouse."
    return TrainingSample(step=step, prompt=prompt, text=text, reference="The mouse was chased by the cat.")


def training(name: str, steps: int, start: float) -> Training:
    curve = [
        CurvePoint(step=step, split="train", loss=round(1.6 + (start - 1.6) * math.exp(-4 * step / steps), 4))
        for step in range(0, steps + 1, 10)
    ]
    curve += [
        CurvePoint(step=step, split="validation", loss=round(1.9 + (start - 1.7) * math.exp(-4 * step / steps), 4))
        for step in range(0, steps + 1, 100)
    ]
    return Training(
        name=name, trainer="gpt2-pretrain", checkpoint=f"checkpoints/{name}-51ab", identity="sha256:51ab09",
        curve=tuple(curve), samples=tuple(written(step, steps) for step in (steps // 2, steps)),
        summary={"steps": steps, "tokens": steps * 4096, "parameters": 3_700_000},
    )  # fmt: skip


SPEC: dict[str, Any] = {
    "name": "quickstart",
    "data": {"loader": "instructions", "path": "data/instructions.json", "split": "test"},
    "models": {
        "sft": {"backend": "gpt2", "checkpoint": "checkpoints/sft", "style": "alpaca", "temperature": 0.7},
        "base": {"backend": "gpt2", "checkpoint": "checkpoints/base"},
    },
    "judges": {"main": {"backend": "transformers", "prompt": "score/likelihood_ratio.j2"}},
    "metrics": {
        "quality": {"type": "score", "judge": "main"},
        "winrate": {"type": "pairwise", "judge": "main", "against": "base"},
        "mmlu": {"type": "multiple_choice", "data": {"loader": "jsonl", "path": "data/questions.jsonl"}},
        "rouge": {"type": "rouge_l"},
    },
    "repeats": {"generation": 3, "judge": 1},
    "statistics": {"confidence": 0.95, "interval": "auto"},
    "seed": 0,
}
