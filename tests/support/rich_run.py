"""The sample run with everything else that a report may have to show: a gate and its baseline, notes, subjects,
agreement with labels, steps that a judge wrote, a conversation, what was measured in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from judgekit.records import Response, Row, Sample, Scale, ScoreKey, Verdict
from judgekit.results import (
    Agreement,
    AgreementMeasure,
    Breakdown,
    Calibration,
    Corrected,
    CurvePoint,
    Gate,
    GateClaim,
    Group,
    Interval,
    ItemChange,
    RunView,
    Statistic,
    Training,
)
from judgekit.statistics.scores_by_item import item_scores
from sample_run import ACCURACY, SCORE, WIN_RATE, estimate_of, sample_run, training

TALK = Sample(
    id="talk", instruction="Name a large mammal.", reference="An elephant.", system="You are a zoo keeper.",
    turns=("And a small one?",), turn_references=("A shrew.",), category="facts",
)  # fmt: skip
STEP = "Read the answer twice."


def rich_run(n: int = 40) -> RunView:
    view = sample_run(n)
    series = {"turns": 45.0, "turn_1": 60.0, "turn_2": 30.0}
    talk = Row(metric="quality", system="sft", sample_id=TALK.id, status="scored", value=45.0, series=series, verdicts=(
        Verdict(status="scored", value=60.0, raw="60", series={"captured": 0.93}),
        Verdict(status="scored", value=30.0, raw="30"),
    ))  # fmt: skip
    answer = Response(system="sft", sample_id=TALK.id, text="An elephant.", turns=("A shrew, I would say.",))
    record = view.record.model_copy(
        update={
            "gate": gate("FAIL"),
            "notes": {"judges.main: asked without the parameter seed, which the server refuses": 69},
            "statistics": tuple(statistics()),
            "breakdowns": (subjects(),),
            "agreements": (agreement(),),
            "steps": {"main": (STEP, "Give a number.")},
            "trainings": (*view.record.trainings, measured()),
        }
    )
    rich = RunView(record, [*view.samples, TALK], [*view.responses, answer], [*view.rows, talk])
    return replace(rich, baseline=before(rich))


def before(view: RunView) -> Mapping[ScoreKey, Mapping[str, float]]:
    """A baseline in which every third item was a little better, and every seventh worse."""
    found = {}
    for place, scores in item_scores(view).items():
        moved = {}
        for number, (sample_id, value) in enumerate(scores.items()):
            top = 100.0 if place.metric == "quality" else 1.0
            shift = 0.12 if number % 3 == 0 else -0.2 if number % 7 == 0 else 0.0
            moved[sample_id] = min(max(value + shift * top, 0.0), top)
        found[place] = moved
    return found


def gate(outcome: str) -> Gate:
    wide = Scale(label=SCORE.label, low=0, high=100)
    fell = GateClaim(
        metric="quality", system="sft", kind="margin", threshold=3, outcome="FAIL", scale=wide, value=-4.2,
        interval=Interval(method="paired_t+plus_two", low=-6.9, high=-1.5), p=0.004, p_holm=0.012, detectable=2.7,
        candidate=77.3, baseline=81.5, n_items=40, better=6, worse=14, equal=20,
        movers=(ItemChange(sample_id="0003", baseline=96.0, candidate=71.0),),
    )  # fmt: skip
    unsure = GateClaim(
        metric="winrate", system="sft", opponent="base", kind="min", threshold=0.75, outcome="INCONCLUSIVE",
        scale=WIN_RATE, value=0.789, interval=Interval(method="wilson_neff", low=0.698, high=0.88), candidate=0.789,
        n_items=40, reasons=("the limit 0.75 lies inside the interval",),
    )  # fmt: skip
    fine = GateClaim(
        metric="mmlu", system="sft", kind="max", threshold=0.9, outcome="PASS", scale=ACCURACY, value=0.5,
        interval=Interval(method="wilson", low=0.21, high=0.79), candidate=0.5, n_items=10,
    )  # fmt: skip
    notes = ("2 samples are in the baseline alone",)
    return Gate(outcome=outcome, baseline="quickstart-1a2b3c", baseline_sha256="ab" * 32,  # type: ignore[arg-type]
                claims=(fell, unsure, fine), waived=("main: empty",), notes=notes)  # fmt: skip


def statistics() -> list[Statistic]:
    note = "cannot be told from letter bias: the interval reaches the best degenerate baseline"
    return [
        Statistic(metric="mmlu", system="", name="chance", label="chance", value=0.25, note="one option of four"),
        Statistic(metric="mmlu", system="sft", name="letter_bias", label="over letter bias", value=-0.04, note=note),
    ]


def subjects() -> Breakdown:
    names = {"biology": 0.6, "law": 0.4, "physics": 0.25}
    estimates = [
        estimate_of("mmlu", system, value - (0.1 if system == "base" else 0.0), 0.2, ACCURACY, 10, "wilson", group=name)
        for name, value in names.items()
        for system in ("sft", "base")
    ]
    groups = tuple(Group(name=name, n_samples=10) for name in names)
    return Breakdown(field="category", groups=groups, estimates=tuple(estimates))


def agreement() -> Agreement:
    interval = Interval(method="percentile", low=0.61, high=0.84)
    figure = AgreementMeasure(name="pearson", label="Pearson's r", value=0.74, interval=interval, n_items=30)
    points = Interval(method="ppi_t", low=70.1, high=79.9)
    corrected = Corrected(
        system="sft", value=75.0, interval=points, weight=0.8, judge_only=points, judge_mean=77.3, labels_only=points,
        labels_mean=74.2, n_labels=30, n_unlabelled=10,
    )  # fmt: skip
    calibrated = tuple(
        Calibration(low=low, high=low + 20, n_pairs=n, n_items=n, judge=low + 12.0, label=low + shift,
                    interval=Interval(method="plus_two_t", low=low + shift - 9, high=low + shift + 8))
        for low, n, shift in ((20, 6, 15.0), (60, 10, 4.0), (80, 14, -6.0))
    )  # fmt: skip
    return Agreement(
        metric="quality", first="main", second="labels", kind="score", scale=SCORE, confidence=0.95, n_items=30,
        n_pairs=30, figures=(figure,), calibration=calibrated, corrected=(corrected,), notes=("fewer than 50 labels",),
    )  # fmt: skip


def measured() -> Training:
    """A training that says its learning rate and its speed."""
    plain = training("dpo", 60, 0.9)
    points = tuple(
        CurvePoint(step=p.step, split=p.split, loss=p.loss, measures={"learning_rate": 1e-5 * (1 - p.step / 80)})
        if p.split == "train"
        else p
        for p in plain.curve
    )
    return plain.model_copy(update={"curve": points})
