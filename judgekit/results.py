"""Results: frozen values for the measurements of a run, and for the contents of its report. No I/O, no wall clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import JsonValue, model_validator

from judgekit.records import Empty, Finite, LimitKind, Noun, Response, Row, Sample, Scale, ScoreKey, VerdictStatus


class Interval(Noun):
    """A two-sided interval. `note` says why there is none, when `low` and `high` are None, or what it leaves out."""

    method: str
    low: Finite | None
    high: Finite | None
    note: str = ""


class Estimate(Noun):
    """One printed number, with all that is needed to read it.

    `estimand`: "new items" (the items are a sample of many) or "rerun on these items".
    `against`: the other system of a paired difference (system − against), else None.
    `opponent`: the other system of a comparison by a judge (a win rate of system against opponent), else None.
    `bounds`: the mean with every missing verdict at the scale's minimum, and at its maximum; None for what is no mean.
    `bootstrap`: the studentised item bootstrap, printed always, also where `interval` is another method.
    `group`: the group of its samples, in a Breakdown; None: all.
    """

    metric: str
    system: str
    series: str = "value"
    group: str | None = None
    against: str | None = None
    opponent: str | None = None
    estimand: Literal["new items", "rerun on these items"] = "new items"
    scale: Scale
    value: Finite | None
    se: Finite | None = None
    confidence: float
    interval: Interval
    bootstrap: Interval | None = None
    bounds: tuple[Finite, Finite] | None = None
    n_items: int
    n_clusters: int | None = None
    repeats: int = 1
    counts: dict[VerdictStatus, int] = {}

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean over items, which has bounds; else it is a number that its metric made itself."""
        return self.bounds is not None or not self.counts


class Group(Noun):
    """The samples with one value of a field: its name, and how many they are."""

    name: str
    n_samples: int


class Breakdown(Noun):
    """A run's estimates again for each group of its samples by one of their fields; `group` of each names it.

    A sample whose field is a list is in several groups.
    """

    field: str
    groups: tuple[Group, ...]
    estimates: tuple[Estimate, ...]
    differences: tuple[Estimate, ...] = ()


class Statistic(Noun):
    """A number of a metric that is not a mean over items and needs no interval: a count, or a test's p-value.

    `note` says what it counts, or why it is missing.
    """

    metric: str
    system: str
    opponent: str | None = None
    name: str
    label: str
    value: Finite | None
    note: str = ""


class VarianceBudget(Noun):
    """The parts of a system's squared standard error: `item` + `generation` + `judge`, for new items.

    Squared units of the scale. A part is None where no repeat can tell: without several judgements of an answer the
    judge's noise is in `generation`, without several generations both are in `item`. `generations` an item and
    `judgements` of each are means. `advice`: the best next step, in one line.
    """

    metric: str
    system: str
    opponent: str | None = None
    scale: Scale
    item: Finite
    generation: Finite | None
    judge: Finite | None
    n_items: int
    n_clusters: int | None = None
    generations: Finite
    judgements: Finite
    advice: str


class Check(Noun):
    """One line of a judge card: a test, its value, and `passed` if that is as expected."""

    name: str
    label: str
    value: Finite | None
    low: Finite | None = None
    high: Finite | None = None
    expected: str = ""
    passed: bool | None = None
    note: str = ""
    n_items: int = 0
    counts: dict[VerdictStatus, int] = {}


class JudgeCard(Noun):
    """Tests of a judge on answers whose worth is known. `passed` is None where they are not conclusive."""

    judge: str
    task: Literal["score", "pairwise"] = "score"
    backend: str
    prompt: str
    reading: str
    checks: tuple[Check, ...]
    passed: bool | None

    @property
    def shown(self) -> tuple[Check, ...]:
        """The checks that are worth a row: one alone of a judge that gave no score at all."""
        return tuple(check for check in self.checks if check.name == "silent") or self.checks


class AgreementMeasure(Noun):
    """One measure of agreement. `interval` resamples items; `wilson` is there for shares beside it."""

    name: str
    label: str
    value: Finite | None
    interval: Interval
    wilson: Interval | None = None
    n_items: int
    note: str = ""


class Corrected(Noun):
    """A system's mean label over all items, from a few labels and the judge on all items (PPI++), beside the judge's
    and the labels' own means. `weight` is how much the judge was believed, 0 to 1."""

    system: str
    value: Finite | None
    interval: Interval
    weight: Finite | None = None
    judge_only: Interval
    judge_mean: Finite | None
    labels_only: Interval
    labels_mean: Finite | None
    n_labels: int
    n_unlabelled: int
    note: str = ""


class Calibration(Noun):
    """Responses to which the judge gave `low` to `high`: its own mean there, and the labels' with its interval."""

    low: Finite
    high: Finite
    n_pairs: int
    n_items: int
    judge: Finite
    label: Finite
    interval: Interval


class Agreement(Noun):
    """The agreement of two ratings of the same responses: `first` (a judge) and `second` (labels, or another judge).

    `kind` says what is compared: scores, preferences (win, tie, loss), or yes/no. `ceiling`: the same figures between
    the labellers, where there are several. `calibration`: the labels where the judge gave about the same.
    """

    metric: str
    first: str
    second: str
    kind: Literal["score", "preference", "binary"]
    scale: Scale
    confidence: float
    n_items: int
    n_pairs: int
    labellers: int = 1
    figures: tuple[AgreementMeasure, ...]
    ceiling: tuple[AgreementMeasure, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    corrected: tuple[Corrected, ...] = ()
    notes: tuple[str, ...] = ()


class CurvePoint(Noun):
    """A loss in nats after so many steps, and what else was measured there, by name."""

    step: int
    split: str
    loss: Finite
    measures: dict[str, Finite] = {}


class TrainingSample(Noun):
    """A text that a model in training wrote after so many steps."""

    step: int
    prompt: str
    text: str
    reference: str | None = None


class Training(Noun):
    """One trainer's product: its path, its identity, its loss curve (in nats), and the samples that it wrote."""

    name: str
    trainer: str
    checkpoint: str
    identity: str
    curve: tuple[CurvePoint, ...] = ()
    samples: tuple[TrainingSample, ...] = ()
    summary: dict[str, JsonValue] = {}


class PluginInfo(Noun):
    name: str
    distribution: str
    version: str
    offers: tuple[str, ...] = ()


class Problem(Noun):
    """A fault that is found before the first call. An `error` stops the run; a `warning` is printed and recorded."""

    severity: Literal["error", "warning"]
    where: str
    message: str
    exit_code: int = 2


GateOutcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class Stop(Noun):
    """The end of a sequential rule: after `judged` of `planned` items, `decided` by a look or by the last test."""

    judged: int
    planned: int
    decided: GateOutcome | None
    note: str


class ItemChange(Noun):
    """An item and its mean score in the baseline and now."""

    sample_id: str
    baseline: Finite
    candidate: Finite


class GateClaim(Noun):
    """One rule of a gate on one system, with its outcome.

    `margin`: `value` is the mean paired difference to the baseline (candidate − baseline, in the metric's own
    direction) and `interval` its two one-sided bounds. `min` and `max`: `value` and `interval` are the estimate's own.
    `missing` and `catastrophe`: a share from 0 to 1, of verdicts without a score, of items that lost `fall` or more.
    `p` is one-sided, of the claim that this rule fails; `p_holm` after Holm's correction over all rules of the gate.
    `detectable`: the least worsening that this rule detects with a power of 80 %.
    """

    metric: str
    system: str
    opponent: str | None = None
    kind: LimitKind
    threshold: Finite
    fall: Finite | None = None
    outcome: GateOutcome
    scale: Scale
    value: Finite | None
    interval: Interval
    p: Finite | None = None
    p_holm: Finite | None = None
    detectable: Finite | None = None
    candidate: Finite | None = None
    baseline: Finite | None = None
    n_items: int = 0
    n_clusters: int | None = None
    better: int = 0
    worse: int = 0
    equal: int = 0
    reasons: tuple[str, ...] = ()
    stop: Stop | None = None
    movers: tuple[ItemChange, ...] = ()  # of a margin: the items that moved furthest, for the worse first

    @property
    def limit(self) -> str:
        """The words before the threshold: "at least"."""
        return {
            "margin": "loss under",
            "min": "at least",
            "max": "at most",
            "catastrophe": f"falls of {self.fall or 0:g} or more in at most",
            "missing": "not scored in at most",
        }[self.kind]


class Gate(Noun):
    """The verdict of a gate on a run: its outcome, that of every rule, and the waived checks of judge cards.

    `baseline` is the id of the run behind the baseline file, `baseline_sha256` that of the file; empty without one.
    """

    outcome: GateOutcome
    baseline: str = ""
    baseline_sha256: str = ""
    claims: tuple[GateClaim, ...]
    waived: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _passes_by_its_rules(self) -> Gate:
        if self.outcome == "PASS" and {claim.outcome for claim in self.claims} != {"PASS"}:
            raise ValueError("a gate passes only if it evaluated a rule and every rule passes")
        return self


class PooledRun(Noun):
    """A run whose rows stand in another record as repeats. `repeats`: the numbers of its generations there."""

    run_id: str
    seed: int
    repeats: tuple[int, ...]


JUDGE_PROMPTS = ("score/", "pairwise/", "steps/")  # folders of the prompts that judges are asked by


class RunRecord(Noun):
    """A run's result: manifest and estimates. Equal work gives equal bytes; reports are made from it alone."""

    schema_version: int = 1
    run_id: str
    name: str
    judgekit_version: str
    status: Literal["complete", "incomplete"]
    spec: dict[str, JsonValue]
    inputs: dict[str, str]
    plugins: tuple[PluginInfo, ...]
    identities: dict[str, JsonValue]
    prompts: dict[str, str] = {}
    n_samples: int
    systems: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    differences: tuple[Estimate, ...] = ()
    statistics: tuple[Statistic, ...] = ()
    breakdowns: tuple[Breakdown, ...] = ()
    variance_budgets: tuple[VarianceBudget, ...] = ()
    pooled: tuple[PooledRun, ...] = ()  # the runs that this one pools as repeats; none: it is a run of its own
    cards: tuple[JudgeCard, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    gate: Gate | None = None
    gate_trouble: str = ""  # why the config's gate could not be evaluated
    metric_prompts: dict[str, tuple[str, ...]] = {}  # the templates of each metric and of its judge, by metric
    metric_judges: dict[str, str] | None = None  # the judge of each metric that asks one; None: an older record
    pair_judges: dict[str, tuple[str, ...]] = {}  # by system: fingerprints of the judges that chose what it learnt
    rescored: str | None = None  # the id of the run whose stored responses were judged again
    trainings: tuple[Training, ...] = ()
    steps: dict[str, tuple[str, ...]] = {}  # the evaluation steps that a judge wrote for itself, by judge
    warnings: tuple[str, ...] = ()
    notes: dict[str, int] = {}
    errors: dict[str, int] = {}
    empty: tuple[Empty, ...] = ()  # of systems that gave such
    files: dict[str, str] = {}

    def judge_of(self, metric: str) -> str | None:
        """The judge that a metric asked; None where it asks none."""
        if self.metric_judges is not None:
            return self.metric_judges.get(metric)
        # An older record tells it by the config, and where that names none, by the prompts that were rendered.
        named, judges = self.part("metrics", metric).get("judge"), self.part("judges")
        if named is not None or len(judges) != 1:
            return str(named) if named is not None else None
        (only,) = judges
        prompt = self.part("judges", only).get("prompt")
        own = {str(one) for one in (prompt.values() if isinstance(prompt, Mapping) else [prompt])}
        rendered = self.metric_prompts.get(metric, tuple(self.prompts))
        return only if any(name in own or name.startswith(JUDGE_PROMPTS) for name in rendered) else None

    def part(self, *keys: str) -> Mapping[str, JsonValue]:
        """The part of its config under these keys, as in part("metrics", "quality"); empty where there is none."""
        value: JsonValue | Mapping[str, JsonValue] = self.spec
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value if isinstance(value, Mapping) else {}


@dataclass(frozen=True)
class RunView:
    """A finished run as reporters see it: the record, and its rows to iterate over (again and again)."""

    record: RunRecord
    samples: Iterable[Sample]
    responses: Iterable[Response]
    rows: Iterable[Row]
    baseline: Mapping[ScoreKey, Mapping[str, float]] | None = None  # the baseline's item scores, by sample id
    speeds: Mapping[str, float] | None = None  # tokens a second of each training, as it was timed where it was made
    redacted: bool = False  # texts were left out (redact.py)
    interactive: bool = False  # the reader wants charts to explore


@dataclass(frozen=True)
class Table:
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]


SectionPlace = Literal[
    "baseline", "differences", "groups", "distributions", "pairwise", "judges", "choices", "training", "more"
]


@dataclass(frozen=True)
class Section:
    """A piece of a report: a title, one sentence, and a chart (a Vega-Lite dict) with its data table.

    `place`: its part of the report.
    """

    name: str
    title: str
    sentence: str
    chart: Mapping[str, Any] | None = None
    table: Table | None = None
    place: SectionPlace = "more"
