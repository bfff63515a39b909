"""The targets of a gate's rules: systems of a run, scores of the baseline, and reasons not to compare them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from judgekit.config.blocks import GateConfig
from judgekit.data.lineage import judge_fingerprint
from judgekit.errors import ConfigError
from judgekit.files import sha256_of
from judgekit.records import LimitKind, Scale
from judgekit.regression.baseline import Baseline, Sheet, read_baseline
from judgekit.regression.paired_scores import other_samples, unlike
from judgekit.results import RunRecord
from judgekit.text import did_you_mean, one_of

NAMES = ("in the run", "in the baseline")
LIMITS = "give it a min or a max, which are held against its own interval"
PARTIAL = "chose the pairs that this system was trained on, so it is no judge of it; waive it by name, or take another"
PAIRED = ("margin", "catastrophe")  # rules on changes since the baseline, item by item


@dataclass(frozen=True)
class Reference:
    """A baseline, and the sha256 of its file."""

    scores: Baseline
    sha256: str = ""

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Raises DataError."""
        return cls(read_baseline(path), sha256_of(path))


@dataclass(frozen=True)
class Target:
    """One rule on one system. `key` is the system's in the run, `other` that in the baseline."""

    metric: str
    key: str
    kind: LimitKind
    threshold: float
    sequential: bool = False
    other: str = ""
    fall: float | None = None

    @property
    def paired(self) -> bool:
        return self.kind in PAIRED

    @property
    def named(self) -> str:
        return f"{self.metric}, {self.key}"


def targets_of(
    config: GateConfig, against: object, own: Baseline, reference: Reference | None, unmeasured: Collection[str] = ()
) -> list[Target]:
    """Every rule on every system that it is for, one at least of each rule; `against` is the run's.

    Rules on metrics that are `unmeasured` are left out. Raises ConfigError.
    """
    if not config.rules:
        raise ConfigError("the gate has no rule: give a metric and its margin, min, max, catastrophe or missing share")
    targets = []
    for metric, rule in config.rules.items():
        if metric in unmeasured:
            continue
        if metric not in own.metrics:
            raise ConfigError(f"gate: {unknown('metric', metric, own.metrics)}")
        sheet = own.metrics[metric]
        for kind, threshold in rule.limits.items():
            fall = rule.catastrophe.fall if kind == "catastrophe" and rule.catastrophe else None
            check_threshold(metric, kind, threshold, sheet.scale, fall)
            if kind in PAIRED and sheet.unpaired:
                raise ConfigError(
                    f"gate.{metric}: a {kind} pairs values by item, and {metric} {sheet.unpaired}: {LIMITS}"
                )
            for key in _systems(rule.system or config.system, metric, sheet, against):
                other = _in_baseline(metric, key, sheet, reference, kind) if kind in PAIRED else ""
                sequential = config.is_sequential(rule)
                targets.append(Target(metric, key, kind, threshold, sequential, other, fall))
    return targets


def check_threshold(metric: str, kind: str, threshold: float, scale: Scale, fall: float | None = None) -> None:
    """Raises ConfigError for a threshold that no score can meet or miss."""
    low, high = scale.low, scale.high
    if fall is not None and fall > high - low:
        raise ConfigError(f"gate.{metric}: no score can fall by {fall:g} on the scale {low:g} … {high:g}")
    if kind == "margin" and threshold >= high - low:
        share = "; shares are from 0 to 1: 0.03 is 3 %" if scale.unit == "%" else ""
        raise ConfigError(
            f"gate.{metric}: a margin of {threshold:g} is as wide as the scale, {low:g} … {high:g}{share}"
        )
    if kind in ("min", "max") and not low <= threshold <= high:
        share = "; shares are from 0 to 1: 0.6 is 60 %" if scale.unit == "%" else ""
        raise ConfigError(f"gate.{metric}: {kind}: {threshold:g} is off the scale, {low:g} … {high:g}{share}")


def _systems(wanted: Sequence[str] | None, metric: str, sheet: Sheet, against: object) -> list[str]:
    """The named systems, or all but the one that others are compared with."""
    of = {key: key.split(" vs ")[0] for key in sheet.systems}
    if not of:
        raise ConfigError(f"gate.{metric}: it is measured of no system, so the rule would be about nothing")
    if wanted is None:
        return [key for key, system in of.items() if system != against] or list(of)
    for system in wanted:
        if system not in {*of, *of.values()}:
            raise ConfigError(f"gate.{metric}: {unknown('system', system, dict.fromkeys(of.values()))}")
    return [key for key, system in of.items() if key in wanted or system in wanted]


def _in_baseline(metric: str, key: str, sheet: Sheet, reference: Reference | None, kind: LimitKind) -> str:
    if reference is None:
        raise ConfigError(f"gate.{metric}: a {kind} needs a baseline: `judgekit baseline set RUN FILE` writes one")
    if metric not in reference.scores.metrics:
        raise ConfigError(f"gate: the baseline has {unknown('metric', metric, reference.scores.metrics)}")
    theirs = reference.scores.metrics[metric].systems
    if key in theirs:
        return key
    if len(sheet.systems) == len(theirs) == 1:
        (other,) = theirs
        opponents = [one.partition(" vs ")[2] for one in (key, other)]
        if opponents[0] != opponents[1]:
            raise ConfigError(
                f"gate.{metric}: {key.partition(' vs ')[0]} is compared with {opponents[0]!r} in the run, and the "
                f"baseline's system with {opponents[1]!r}: against another opponent a win rate is another number"
            )
        return other
    raise ConfigError(f"gate.{metric}: the baseline has {unknown('system', key, theirs)}")


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    return f"no {kind} named {name!r}{one_of(name, known)}"


def mismatches(targets: Sequence[Target], own: Baseline, reference: Reference | None) -> list[str]:
    """The differences between the gated metrics and those of the baseline, in words."""
    problems: dict[str, None] = {}
    for metric in dict.fromkeys(target.metric for target in targets if target.paired):
        assert reference is not None
        ours, theirs = own.metrics[metric], reference.scores.metrics[metric]
        lines = [*unlike(ours, theirs, NAMES), other_samples(ours, theirs, NAMES)]
        problems |= {f"{metric}: {line}": None for line in lines if line}
    return list(problems)


def notes(
    targets: Sequence[Target], own: Baseline, reference: Reference | None, accepted: Collection[str] = ()
) -> list[str]:
    remarks = []
    for metric, key in dict.fromkeys((target.metric, target.key) for target in targets):
        counts = own.metrics[metric].systems[key].counts
        if kinds := [f"{count} {status}" for status, count in counts.items() if status in accepted and count]:
            remarks.append(f"{metric}, {key}: left out, as the config accepts them: {', '.join(kinds)}")
    for target in targets:
        if not target.paired or reference is None:
            continue
        ours = own.metrics[target.metric].systems[target.key]
        theirs = reference.scores.metrics[target.metric].systems[target.other]
        if target.other != target.key:
            remarks.append(f"{target.metric}: {target.key} is compared with {target.other} of the baseline")
        if ours.answered_by and ours.answered_by == theirs.answered_by and "unknown" not in ours.answered_by:
            remarks.append(f"{target.named}: this is the baseline's own system: only noise can move it")
    return list(dict.fromkeys(remarks))


def partial_judges(record: RunRecord, system: str, judges: Collection[str], waived: Collection[str] = ()) -> list[str]:
    """Those of the judges that chose between the responses which the system was trained on: they know its taste, for it
    is their own."""
    chose = record.pair_judges.get(system, ())
    own = [one for one in judges if judge_fingerprint(record.identities.get(f"judges.{one}")) in chose]
    return [one for one in own if one not in waived]


def failed_cards(record: RunRecord, judges: Collection[str], waived: Collection[str]) -> dict[str, list[str]]:
    """The failed checks of these judges that are not waived, by judge: by its name, the check's, or judge.check."""
    failed: dict[str, list[str]] = {}
    for card in record.cards:
        if card.passed is not False or card.judge not in judges or card.judge in waived:
            continue
        names = [check.name for check in card.checks if check.passed is False]
        left = [name for name in names if not {name, f"{card.judge}.{name}"} & set(waived)]
        if left or not names:
            failed.setdefault(card.judge, []).extend(left or ["no check named"])
    return failed


def waived_names(config: GateConfig, record: RunRecord) -> set[str]:
    """The names to waive. Raises ConfigError for an unknown one."""
    judges = record.spec.get("judges")
    known = [str(name) for name in judges] if isinstance(judges, dict) else []
    for card in record.cards:
        known += [card.judge, *(check.name for check in card.checks)]
        known += [f"{card.judge}.{check.name}" for check in card.checks]
    for name in config.waive:
        if name not in known:
            failed = {check.name: None for card in record.cards for check in card.checks if check.passed is False}
            names = ", ".join(dict.fromkeys([*(card.judge for card in record.cards), *failed])) or "none"
            raise ConfigError(
                f"gate.waive: no judge or check named {name!r}{did_you_mean(name, known)} (there are: {names})"
            )
    return set(config.waive)
