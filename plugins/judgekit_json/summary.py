"""The reporter `json`: one flat file, `summary.json`, for scripts and dashboards.

    run_id, name, status, judgekit_version, n_samples, systems, warnings
    estimates    [{metric, system, series, against, estimand, label, unit, scale_low, scale_high, higher_is_better,
                   value, se, confidence, low, high, method, note, bootstrap_low, bootstrap_high, bootstrap_method,
                   bootstrap_note, bound_low, bound_high, n_items, n_clusters, repeats, and one count a verdict
                   status: scored, unparsed, refused, truncated, error, skipped}]
    differences  the same keys; `value` is system − against, item by item
    judges       [{judge, backend, prompt, reading, passed}]
    checks       [{judge, name, label, value, low, high, expected, passed, note, n_items, and the same counts}]
    errors       {message: times}

A value, an interval or a bound that does not exist is null, and its note says why. Keys are sorted and every
record has all of them, so that equal records give equal bytes. Keys may be added; none changes its meaning
within one `schema` number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import judgekit

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
        "estimates": [_estimate(estimate) for estimate in record.estimates],
        "differences": [_estimate(estimate) for estimate in record.differences],
        "judges": [
            {"judge": card.judge, **card.model_dump(include={"backend", "prompt", "reading", "passed"})}
            for card in record.cards
        ],
        "checks": [_check(card.judge, check) for card in record.cards for check in card.checks],
    }
    # ASCII escapes keep lone surrogates in names from killing the report.
    text = json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return {"summary.json": f"{text}\n".encode("ascii")}


def _estimate(estimate: judgekit.Estimate) -> dict[str, Any]:
    scale, bootstrap = estimate.scale, estimate.bootstrap
    bound_low, bound_high = estimate.bounds or (None, None)
    plain = {"metric", "system", "series", "against", "estimand", "value", "se", "confidence", "n_items"}
    return {
        **estimate.model_dump(include=plain | {"n_clusters", "repeats"}),
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


def _check(judge: str, check: judgekit.Check) -> dict[str, Any]:
    return {"judge": judge, **check.model_dump(exclude={"counts"}), **_counts(check.counts)}


def _counts(counts: Mapping[Any, int]) -> dict[str, int]:
    return {status: counts.get(status, 0) for status in STATUSES}
