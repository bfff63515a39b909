"""Labels beside verdicts: the values that a run measured, the responses of each label, and its value as a number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from judgekit.agreement.labels import Label, LabelFile, Value
from judgekit.errors import DataError, PreflightError, UsageError
from judgekit.records import Row, Scale
from judgekit.results import RunRecord
from judgekit.text import did_you_mean, one_of

Kind = Literal["score", "preference", "binary"]
YES = frozenset({"yes", "true", "pass", "passed", "correct", "right", "good"})
NO = frozenset({"no", "false", "fail", "failed", "incorrect", "wrong", "bad"})
TIE = frozenset({"tie", "draw", "both", "neither", "equal"})
MOST_PROBLEMS = 20
WIDE = 10  # points; on a scale as wide as this, labels that are all 0 or 1 are yes/no and not scores


class Thing(NamedTuple):
    """The subject of a verdict. `opponent` is empty except in comparisons; `repeat` None stands for all repeats."""

    sample_id: str
    system: str
    opponent: str = ""
    repeat: int | None = None

    @property
    def pair(self) -> str:
        return f"{self.system} against {self.opponent}" if self.opponent else self.system


@dataclass
class Measured:
    """One metric of a run: a value for each thing, judge repeats averaged, and the status of those without a score."""

    run: str
    metric: str
    judge: str
    scale: Scale
    values: dict[Thing, float] = field(default_factory=dict)
    missing: dict[Thing, str] = field(default_factory=dict)

    @property
    def span(self) -> str:
        return f"{self.scale.low:g} … {self.scale.high:g}"

    @property
    def compares(self) -> bool:
        """True if its values are preferences between two systems."""
        return any(thing.opponent for thing in (*self.values, *self.missing))

    @property
    def yes_or_no(self) -> bool:
        return set(self.values.values()) <= {0.0, 1.0} and (self.scale.low, self.scale.high) == (0.0, 1.0)

    @property
    def systems(self) -> list[str]:
        return sorted({thing.system for thing in (*self.values, *self.missing)})

    def by_id(self) -> dict[str, list[Thing]]:
        things: dict[str, list[Thing]] = defaultdict(list)
        for thing in sorted({*self.values, *self.missing}):
            things[thing.sample_id].append(thing)
        return dict(things)


def choose_metric(record: RunRecord, wanted: str | None) -> str:
    """The metric that was named, or the only one that a judge could be behind. Raises UsageError."""
    there = list(dict.fromkeys(estimate.metric for estimate in record.estimates))
    if wanted is not None:
        if wanted not in there:
            raise UsageError(f"{record.run_id} has no metric {wanted!r}{one_of(wanted, there)}")
        return wanted
    judged = [name for name in there if record.judge_of(name) is not None]
    chosen = judged if judged else there
    if len(chosen) != 1:
        names = ", ".join(chosen)
        several = f"several metrics ({names}): name one with --metric"
        raise UsageError(f"{record.run_id} has {several if chosen else 'no metric'}")
    return chosen[0]


def measured(record: RunRecord, rows: Iterable[Row], metric: str) -> Measured:
    """The metric's values in a run. Raises UsageError where it has no rows."""
    scale = next(e.scale for e in record.estimates if e.metric == metric and e.series == "value")
    part = record.part("metrics", metric)
    result = Measured(record.run_id, metric, record.judge_of(metric) or str(part.get("type") or metric), scale)
    against = part.get("against")
    sums: dict[Thing, list[float]] = defaultdict(list)
    for row in rows:
        if row.metric != metric:
            continue
        opponent = row.opponent or (against if isinstance(against, str) else "")
        thing = Thing(row.sample_id, row.system, opponent, row.repeat)
        if row.value is None:
            result.missing[thing] = row.status
        else:
            sums[thing].append(row.value)
    result.values = {thing: sum(values) / len(values) for thing, values in sums.items()}
    for thing in result.values:
        result.missing.pop(thing, None)
    if not (result.values or result.missing):
        raise UsageError(f"{record.run_id} has no rows of the metric {metric!r}")
    return result


@dataclass(frozen=True)
class Matched:
    """A label, the responses that it is about (several, if it names no repeat), and its value as a number."""

    label: Label
    things: tuple[Thing, ...]
    value: float


@dataclass(frozen=True)
class Meaning:
    """The meaning of labels for a metric. `threshold`: the score from which a judge says yes; `label_scale`: the scale
    that labels were given on; `bits`: 0 and 1 mean no and yes."""

    kind: Kind
    scale: Scale
    threshold: float | None = None
    label_scale: tuple[float, float] | None = None
    bits: bool = False

    @classmethod
    def of(
        cls, measured: Measured, file: LabelFile, threshold: float | None, label_scale: tuple[float, float] | None
    ) -> Meaning:
        """Raises UsageError; yes/no labels of graded responses need a threshold, and are not taken for scores."""
        scale = measured.scale
        if measured.compares:
            if threshold is not None or label_scale is not None:
                raise UsageError(
                    f"{measured.metric} compares two systems: a threshold or a scale of labels says nothing"
                )
            return cls("preference", scale)
        if threshold is not None and not scale.low <= threshold <= scale.high:
            raise UsageError(f"the threshold {threshold:g} is off the scale of {measured.metric}, {measured.span}")
        words = all(_yes(label.value) is not None for label in file.labels)
        bits = all(label.value in (0.0, 1.0) or _yes(label.value) is not None for label in file.labels)
        bits = bits and label_scale is None
        meant = words or (bits and (measured.yes_or_no or scale.high - scale.low >= WIDE))
        if meant and threshold is None and not measured.yes_or_no:
            raise DataError(
                f"its labels are yes or no, and {measured.metric} is scored from {measured.span}: "
                "say with --threshold from which score on the judge says yes",
                path=file.path,
            )
        kind: Kind = "binary" if meant or threshold is not None else "score"
        return cls(kind, scale, threshold, label_scale, bits)

    def judged(self, value: float) -> float:
        """A judge's value: 0 or 1 where a threshold makes it yes or no."""
        return float(value >= self.threshold) if self.threshold is not None else value

    def number(self, value: Value, thing: Thing) -> float:
        """A label on the metric's scale, as 0 or 1, or as a preference for the thing's system. Raises ValueError."""
        if self.kind == "preference":
            return _preference(value, thing)
        yes = _yes(value)
        if self.kind == "binary" and yes is not None:
            return float(yes)
        if isinstance(value, str | bool):
            raise ValueError(f"the label {value!r} is no number" + ("" if self.kind == "score" else ", nor yes or no"))
        if self.kind == "binary" and self.bits:
            return float(value)
        low, high = self.label_scale or (self.scale.low, self.scale.high)
        if not low <= value <= high:
            raise ValueError(f"the label {value:g} is off the scale, {low:g} … {high:g}")
        if self.label_scale is not None:
            value = self.scale.low + (value - low) / (high - low) * (self.scale.high - self.scale.low)
        return self.judged(value)


def match(measured: Measured, file: LabelFile, meaning: Meaning, system: str | None = None) -> list[Matched]:
    """Every label with the responses it is about. Raises DataError where no id is known, UsageError for the system, and
    PreflightError with the place of every label without a response, with several, or without a meaning."""
    if system is not None and system not in measured.systems:
        raise UsageError(f"{measured.metric} measured no system {system!r}{did_you_mean(system, measured.systems)}")
    by_id = measured.by_id()
    if not any(label.sample_id in by_id for label in file.labels):
        theirs, ours = some(label.sample_id for label in file.labels), some(by_id)
        raise DataError(f"none of its ids is in {measured.run} (labels: {theirs}; run: {ours})", path=file.path)
    problems: list[tuple[str, str]] = []
    matched: list[Matched] = []
    seen: dict[tuple[Thing, str], Label] = {}
    for label in file.labels:
        try:
            things = _things(label, by_id, measured, system)
            number = meaning.number(label.value, things[0])
            twice = next((thing for thing in things if (thing, label.labeller) in seen), None)
            if twice is not None:
                raise ValueError(f"{label.sample_id!r} is labelled twice; name the people in a column 'labeller'")
            seen |= {(thing, label.labeller): label for thing in things}
            matched.append(Matched(label, things, number))
        except ValueError as error:
            problems.append((_place(file, label), str(error)))
    if problems:
        more = [("", f"and {len(problems) - MOST_PROBLEMS} more")] if len(problems) > MOST_PROBLEMS else []
        raise PreflightError(problems[:MOST_PROBLEMS] + more, 2)
    return matched


def _things(
    label: Label, by_id: Mapping[str, Sequence[Thing]], measured: Measured, only: str | None
) -> tuple[Thing, ...]:
    """The responses that a label is about: one, or all repeats if it names none. Raises ValueError."""
    if label.sample_id not in by_id:
        hint = did_you_mean(label.sample_id, by_id) if len(by_id) <= 2000 else ""
        raise ValueError(f"{measured.run} has no sample {label.sample_id!r}{hint}")
    things = by_id[label.sample_id]
    system = label.system or only
    chosen = [thing for thing in things if system is None or thing.system == system]
    if not chosen and label.system is not None:
        raise ValueError(f"no system {label.system!r}{one_of(label.system, measured.systems)}")
    pairs = list(dict.fromkeys(thing.pair for thing in chosen))
    if isinstance(label.value, str) and len(pairs) > 1:  # the winner may tell which comparison is meant
        chosen = [thing for thing in chosen if label.value in (thing.system, thing.opponent)] or chosen
        pairs = list(dict.fromkeys(thing.pair for thing in chosen))
    if len(pairs) > 1:
        raise ValueError(f"whose response? The run has {', '.join(pairs)}: add a column 'system', or --system NAME")
    if label.repeat is not None:
        chosen = [thing for thing in chosen if thing.repeat == label.repeat]
    if not chosen:
        what = f"repeat {label.repeat}" if label.repeat is not None else f"response of {system}"
        raise ValueError(f"{measured.run} has no {what} to {label.sample_id!r}")
    return tuple(chosen)


def _preference(value: str | float | bool, thing: Thing) -> float:
    if isinstance(value, str):
        if value in (thing.system, thing.opponent):
            return float(value == thing.system)
        if value.lower() in TIE:
            return 0.5
        raise ValueError(f"the winner is {thing.system!r}, {thing.opponent!r} or 'tie', not {value!r}")
    if isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f"a preference for {thing.system} is a winner's name or a number from 0 to 1, not {value}")
    return value


def _yes(value: str | float | bool) -> bool | None:
    """The value of a yes/no word; None for anything else."""
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    return True if word in YES else False if word in NO else None


def some(ids: Iterable[str]) -> str:
    few = list(dict.fromkeys(ids))[:4]
    return ", ".join(few[:3]) + (", …" if len(few) > 3 else "")


def _place(file: LabelFile, label: Label) -> str:
    return f"{file.path}:{label.line}" if label.line else f"{file.path}: {label.sample_id!r}"
