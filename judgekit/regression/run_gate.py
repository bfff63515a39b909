"""A run's own `gate:` block: checked before any call, asked when to stop if it is sequential, evaluated at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from judgekit.config.blocks import GateConfig
from judgekit.errors import ConfigError, UsageError
from judgekit.files import write_atomically
from judgekit.records import NOT_JUDGED, Row, Sample, Scale, Verdict
from judgekit.regression.baseline import (
    Baseline,
    Scores,
    Sheet,
    baseline_of,
    dataset_hash,
    instrument,
    scores_of,
    system_key,
)
from judgekit.regression.gate import ANOTHER, evaluate, in_random_order, look_at
from judgekit.regression.paired_scores import paired
from judgekit.regression.rules import PAIRED, Reference, Target, mismatches, targets_of
from judgekit.results import RunRecord, RunView
from judgekit.run_folder import BASELINE, RunFolder
from judgekit.statistics.item_tables import item_tables
from judgekit.text import counted

LOOKS = 20  # at most so many times a sequential gate waits for what is under way, and looks
FEWEST = 16  # samples between two looks

Measured = tuple[Scale, Sequence[Sample], bool, Sequence[str], Sequence[tuple[str, str]]]
"""(scale, samples, True if they are the metric's own, systems, (system, opponent) pairs) of a metric."""


@dataclass(frozen=True)
class GatePlan:
    """The gate of a run to come. `reference` is None where it has no baseline, or where there is none yet; `path` is
    the baseline file that was read."""

    config: GateConfig
    own: Baseline
    targets: tuple[Target, ...] = ()
    reference: Reference | None = None
    path: Path | None = None
    absent: str = ""
    warnings: tuple[str, ...] = ()

    def check(self, record: RunRecord) -> None:
        """Before any call: raises UsageError where the gated metrics are not measured as in the baseline. `record`
        holds the config, the identities and the prompts of the run to come."""
        sheets = {
            metric: sheet.model_copy(update={"instrument": instrument(record, metric)})
            for metric, sheet in self.own.metrics.items()
        }
        own = self.own.model_copy(update={"metrics": sheets})
        if wrong := mismatches(self.targets, own, self.reference):
            raise UsageError("\n".join([*wrong, ANOTHER]))

    def looking(self, metric: str, seed: int) -> Looking | None:
        """The looks at a metric with sequential rules; None for others."""
        mine = tuple(target for target in self.targets if target.metric == metric and target.sequential)
        if not mine or self.reference is None:
            return None
        return Looking(metric, mine, self.reference.scores.metrics[metric], len(self.targets), seed)

    def judged(self, record: RunRecord, folder: RunFolder) -> RunRecord:
        """The record with its gate's verdict, or the reason why there is none."""
        view = RunView(record, folder.samples, (), folder.rows)
        try:
            if self.absent:  # what no baseline could mend comes first
                own = baseline_of(view)
                targets_of(self.config, record.spec.get("against"), own, Reference(own))
                return record.model_copy(update={"gate_trouble": self.absent})
            gate = evaluate(view, self.config, self.reference)
        except UsageError as error:
            return record.model_copy(update={"gate_trouble": str(error)})
        if self.path is not None:
            write_atomically(folder.path / BASELINE, self.path.read_bytes())
        return record.model_copy(update={"gate": gate})


def plan_gate(config: GateConfig, against: str | None, where: Path, measured: Mapping[str, Measured]) -> GatePlan:
    """Raises ConfigError for unknown names and thresholds off the scale, DataError for a damaged baseline."""
    sheets = {name: _sheet(*one) for name, one in measured.items()}
    own = Baseline(run_id="", name="", judgekit_version="", metrics=sheets)
    margins = [(metric, kind) for metric, rule in config.rules.items() for kind in rule.limits if kind in PAIRED]
    if margins and config.baseline is None:
        metric, kind = margins[0]
        raise ConfigError(f"gate.{metric}: a {kind} needs gate.baseline: `judgekit baseline set RUN FILE` writes one")
    path = where / Path(config.baseline).expanduser() if config.baseline is not None else None
    if path is None or not margins:
        return GatePlan(config, own, tuple(targets_of(config, against, own, None)))
    if not path.exists():
        # The first run of all has none. It is made, so that one can be set from it; but it is gated by nothing.
        unchecked = Reference(own)
        targets_of(config, against, own, unchecked)
        absent = f"{path}: no such baseline; `judgekit baseline set RUN {path}` makes this run's scores the baseline"
        return GatePlan(config, own, absent=absent, warnings=(absent,))
    reference = Reference.read(path)
    targets = tuple(targets_of(config, against, own, reference))
    for metric in dict.fromkeys(target.metric for target in targets if target.paired):
        theirs, (_, _, its_own, _, _) = reference.scores.metrics[metric], measured[metric]
        if its_own:  # which of its samples have rows is known at the end
            known = {"dataset": theirs.dataset, "n_samples": theirs.n_samples}
            own.metrics[metric] = own.metrics[metric].model_copy(update=known)
    return GatePlan(config, own, targets, reference, path)


def _sheet(
    scale: Scale, samples: Sequence[Sample], own: bool, systems: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> Sheet:
    """A metric before it is measured: every score is still missing."""
    keys = [system_key(system, opponent) for system, opponent in pairs] or list(systems)
    scores = Scores(items=dict.fromkeys(sample.id for sample in samples))
    return Sheet(
        scale=scale,
        instrument={},
        dataset=dataset_hash(samples),
        n_samples=len(samples),
        systems=dict.fromkeys(keys, scores),
    )


# --- sequential -------------------------------------------------------------------------------------------------------


@dataclass
class Looking:
    """One metric under a sequential gate: its samples are judged in a random order fixed by the seed, in blocks.

    Between blocks every call has come back, so that the judged samples depend on the scores alone and not on threads. A
    look decides only if it decides for all of the metric's gated systems."""

    metric: str
    targets: tuple[Target, ...]
    baseline: Sheet
    claims: int
    seed: int
    rows: list[Row] = field(default_factory=list)

    def run(self, samples: Sequence[Sample], measure: Callable[[Sequence[Sample]], Iterator[Row]]) -> Iterator[Row]:
        """The rows of every sample, in the order of an ordinary run; those not judged any more have no score."""
        by_id = {sample.id: sample for sample in samples}
        order = in_random_order(self.metric, by_id, self.seed)
        size = max(FEWEST, math.ceil(len(order) / LOOKS))
        judged = 0
        while judged < len(order) and not (judged and self.decided(order[:judged])):
            block = [by_id[sample_id] for sample_id in order[judged : judged + size]]
            self.rows += [row.model_copy(update={"metric": self.metric}) for row in measure(block)]
            judged += len(block)
        place = {sample.id: number for number, sample in enumerate(samples)}
        pairs = {pair: number for number, pair in enumerate(dict.fromkeys((r.system, r.opponent) for r in self.rows))}
        rows = [*self.rows, *self._spared(order[:judged], order[judged:])]
        yield from sorted(
            rows, key=lambda r: (pairs[r.system, r.opponent], place[r.sample_id], r.repeat, r.judge_repeat)
        )

    def decided(self, order: Sequence[str]) -> bool:
        """True if a look at these samples, in this order, has decided every rule."""
        scale = self.baseline.scale
        tables, _ = item_tables(self.rows, {self.metric})
        scores = {system_key(*place[1:]): scores_of(table, scale, {}) for place, table in tables.items()}
        for target in self.targets:
            if target.key not in scores:
                return False
            matched = paired(scores[target.key], self.baseline.systems[target.other], scale, order)
            if look_at(matched, target.threshold, scale, self.claims).decided is None:
                return False
        return True

    def _spared(self, judged: Sequence[str], left: Sequence[str]) -> Iterator[Row]:
        """A row without a score in the place of each that was not measured."""
        if not left:
            return
        verdict = Verdict(status="skipped", detail=f"{NOT_JUDGED} after {counted(len(judged), 'sample')}")
        like = [row for row in self.rows if row.sample_id == judged[0]]
        for sample_id in left:
            for row in like:
                yield Row(
                    metric="",
                    system=row.system,
                    opponent=row.opponent,
                    sample_id=sample_id,
                    repeat=row.repeat,
                    judge_repeat=row.judge_repeat,
                    status="skipped",
                    verdicts=(verdict,),
                )
