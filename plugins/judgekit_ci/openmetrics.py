"""Every headline number as OpenMetrics text, for GitLab's metrics report and for Prometheus.

A value that does not exist is left out: neither format has a way to say "none", and 0 or NaN would be a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import judgekit
import judgekit.statistics
from judgekit_ci.cases import numbers
from judgekit_ci.texts import visible


@dataclass
class Family:
    """One metric of the format: a gauge with its samples, each a set of labels and a value."""

    name: str
    help: str
    samples: list[tuple[dict[str, str], float]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        yield f"# TYPE {self.name} gauge"
        yield f"# HELP {self.name} {self.help}"
        for labels, value in self.samples:
            said = ",".join(f'{name}="{_label(text)}"' for name, text in labels.items())
            yield f"{self.name}{{{said}}} {value!r}"


def openmetrics(run: judgekit.RunView, sections: object) -> Mapping[str, bytes]:
    """{"metrics.txt": …}: estimates with their intervals, differences, verdicts without a score, and the gate."""
    record = run.record
    families = [
        Family("judgekit_estimate", "Mean over the items, or (with a series) a number that its metric made itself."),
        Family("judgekit_estimate_low", "Lower end of its interval."),
        Family("judgekit_estimate_high", "Upper end of its interval."),
        Family("judgekit_items", "Items behind the mean."),
        Family("judgekit_unscored", "Verdicts without a score."),
        Family("judgekit_difference", "Paired difference to another system of the run."),
        Family("judgekit_difference_low", "Lower end of its interval."),
        Family("judgekit_difference_high", "Upper end of its interval."),
    ]
    for one in numbers(record):
        labels = _labels(one)
        unscored = sum(count for status, count in one.counts.items() if status != "scored")
        figures = (one.value, one.interval.low, one.interval.high, one.n_items, unscored)
        for family, figure in zip(families[:5], figures, strict=True):
            _add(family, labels, figure)
    for one in record.differences:
        if one.series == "value" and one.estimand == "new items" and one.group is None:
            labels = {**_labels(one), "against": one.against or ""}
            for family, figure in zip(families[5:], (one.value, one.interval.low, one.interval.high), strict=True):
                _add(family, labels, figure)
    families.append(Family("judgekit_complete", "1 where every planned call was answered."))
    families[-1].samples.append(({"run": record.name}, float(record.status == "complete")))
    families += _gate(record)
    lines = [line for family in families if family.samples for line in family.lines()]
    return {"metrics.txt": "\n".join([*lines, "# EOF", ""]).encode()}


def _gate(record: judgekit.RunRecord) -> list[Family]:
    """One sample for each rule: its outcome, and the figure that it is about."""
    passes = Family("judgekit_gate_pass", "1 where the rule passes, 0 where it fails or nothing is shown.")
    fails = Family("judgekit_gate_fail", "1 where the rule is shown to be broken.")
    change = Family("judgekit_gate_value", "The figure that the rule is about.")
    for claim in record.gate.claims if record.gate is not None else ():
        labels = {"metric": claim.metric, "system": claim.system, "opponent": claim.opponent or "", "rule": claim.kind}
        _add(passes, labels, float(claim.outcome == "PASS"))
        _add(fails, labels, float(claim.outcome == "FAIL"))
        _add(change, labels, claim.value)
    return [passes, fails, change]


def _labels(estimate: judgekit.statistics.Estimate) -> dict[str, str]:
    series = {} if estimate.series == "value" else {"series": estimate.series}
    return {"metric": estimate.metric, **series, "system": estimate.system, "opponent": estimate.opponent or ""}


def _add(family: Family, labels: dict[str, str], value: float | None) -> None:
    if value is not None and labels not in [known for known, _ in family.samples]:
        family.samples.append((labels, float(value)))


def _label(text: str) -> str:
    return visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
