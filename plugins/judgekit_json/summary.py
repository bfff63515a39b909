"""The reporter `json`: one flat file, `summary.json`, for scripts and dashboards.

    run_id, name, status, judgekit_version, n_samples, systems, warnings
    estimates    [{metric, system, series, group, against, opponent, estimand, label, unit, scale_low, scale_high,
                   higher_is_better, value, se, confidence, low, high, method, note, bootstrap_low, bootstrap_high,
                   bootstrap_method, bootstrap_note, bound_low, bound_high, n_items, n_clusters, repeats, and one count
                   a verdict status: scored, unparsed, unsigned, refused, truncated, error, skipped}]
    differences  the same keys; `value` is system − against, item by item
    breakdowns   [{field, groups: [{name, n_samples}], estimates, differences}]; the same keys, each with its `group`
    statistics   [{metric, system, opponent, name, label, value, note}]
    variance_budgets  [{metric, system, opponent, scale, item, generation, judge, n_items, …, advice}]
    pooled       [{run_id, seed, repeats}] of the runs that stand in this one as repeats
    judges       [{judge, task, backend, prompt, reading, passed}]
    checks       [{judge, task, name, label, value, low, high, expected, passed, note, n_items, and the same counts}]
    agreements   [{metric, first, second, kind, confidence, n_items, …, figures: [{name, label, value, interval, …}]}]
    rescored     the id of the run whose stored responses were judged again, or null
    errors       {message: times}
    gate         {outcome, baseline, baseline_sha256, waived, notes, claims: [{metric, system, kind, threshold,
                   outcome, value, interval, …}]}, or null
    gate_trouble why the gate could not be evaluated

A value, an interval or a bound that does not exist is null, and its note says why. Keys are sorted and every
record has all of them, so that equal records give equal bytes. Keys may be added; none changes its meaning
within one `schema` number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import judgekit
import judgekit.statistics

SCHEMA = 1
STATUSES: tuple[str, ...] = get_args(judgekit.Verdict.model_fields["status"].annotation)


def summary(run: judgekit.RunView, sections: Sequence[judgekit.Section]) -> Mapping[str, bytes]:
    """{"summary.json": …} from the record alone. Plugins' sections are for people and are left out."""
    record = run.record
    tree = {
        "schema": SCHEMA,
        "run_id": record.run_id,
        "name": record.name,
        "status": record.status,
        "judgekit_version": record.judgekit_version,
        "n_samples": record.n_samples,
        "systems": record.systems,
        "warnings": record.warnings,
        "errors": record.errors,
        "gate": record.gate.model_dump() if record.gate is not None else None,
        "gate_trouble": record.gate_trouble,
        "estimates": [_estimate(estimate) for estimate in record.estimates],
        "differences": [_estimate(estimate) for estimate in record.differences],
        "statistics": [statistic.model_dump() for statistic in record.statistics],
        "variance_budgets": [budget.model_dump() for budget in record.variance_budgets],
        "pooled": [pooled.model_dump() for pooled in record.pooled],
        "judges": [
            {"judge": card.judge, **card.model_dump(include={"task", "backend", "prompt", "reading", "passed"})}
            for card in record.cards
        ],
        "breakdowns": [
            {
                "field": one.field,
                "groups": [group.model_dump() for group in one.groups],
                "estimates": [_estimate(estimate) for estimate in one.estimates],
                "differences": [_estimate(estimate) for estimate in one.differences],
            }
            for one in record.breakdowns
        ],
        "agreements": [one.model_dump() for one in record.agreements],
        "rescored": record.rescored,
        "checks": [_check(card, check) for card in record.cards for check in card.checks],
    }
    # ASCII escapes keep lone surrogates in names from killing the report.
    text = json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return {"summary.json": f"{text}\n".encode("ascii")}


def _estimate(estimate: judgekit.statistics.Estimate) -> dict[str, Any]:
    scale, bootstrap = estimate.scale, estimate.bootstrap
    bound_low, bound_high = estimate.bounds or (None, None)
    plain = {"metric", "system", "series", "against", "opponent", "estimand", "value", "se", "confidence", "n_items"}
    return {
        **estimate.model_dump(include=plain | {"group", "n_clusters", "repeats"}),
        "label": scale.label,
        "unit": scale.unit,
        "scale_low": scale.low,
        "scale_high": scale.high,
        "higher_is_better": scale.higher_is_better,
        **estimate.interval.model_dump(),
        "bootstrap_low": bootstrap.low if bootstrap else None,
        "bootstrap_high": bootstrap.high if bootstrap else None,
        "bootstrap_method": bootstrap.method if bootstrap else "",
        "bootstrap_note": bootstrap.note if bootstrap else "",
        "bound_low": bound_low,
        "bound_high": bound_high,
        **_counts(estimate.counts),
    }


def _check(card: judgekit.statistics.JudgeCard, check: judgekit.statistics.Check) -> dict[str, Any]:
    return {"judge": card.judge, "task": card.task, **check.model_dump(exclude={"counts"}), **_counts(check.counts)}


def _counts(counts: Mapping[Any, int]) -> dict[str, int]:
    return {status: counts.get(status, 0) for status in STATUSES}
