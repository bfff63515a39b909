"""The rules of a test's marker, evaluated as a gate, and the table of their outcomes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import judgekit
import judgekit.statistics
from judgekit_pytest import MARK, RuleOutcome
from judgekit_pytest.session import Session

LIMITS = ("min", "max", "margin", "catastrophe", "missing")
PAIRED = ("margin", "catastrophe")  # limits on changes since a baseline
KEYS = ("config", "metric", *LIMITS, "baseline", "system", "waive", "set")
MOST_MOVED = 3


def hold(item: pytest.Item, mark: pytest.Mark, session: Session) -> str:
    """Run the marker's config and hold it to the marker's rule: the table of a broken rule, "" where it holds.

    Raises a RuleOutcome: inconclusive, or an error where it could not be measured or compared.
    """
    given = _given(mark)
    config = session.find(str(given.get("config", session.config_name)), item)
    if not _has_rule(given) and "judgekit" in getattr(item, "fixturenames", ()):
        return ""  # the marker names the fixture's config
    view = session.run(config, overrides_of(given.get("set", {})))
    try:
        gate = _gate(item, given, view, session, config.parent)
    except judgekit.JudgekitError as error:
        raise RuleOutcome(str(error), "error", error.exit_code) from None
    text = table(view.record, gate)
    if gate.outcome == "INCONCLUSIVE":
        raise RuleOutcome(text, "inconclusive", 3)
    return text if gate.outcome == "FAIL" else ""


def _given(mark: pytest.Mark) -> dict[str, Any]:
    if mark.args:
        raise RuleOutcome(f"@pytest.mark.{MARK} takes named arguments: config=…, metric=…, min=…", "error", 2)
    for key in mark.kwargs:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f" (there are: {', '.join(KEYS)})"
            raise RuleOutcome(f"@pytest.mark.{MARK}: unknown argument {key!r}{hint}", "error", 2)
    if not isinstance(mark.kwargs.get("set", {}), dict):
        raise RuleOutcome(f"@pytest.mark.{MARK}: set is a dict of dotted keys: set={{'limit': 20}}", "error", 2)
    return dict(mark.kwargs)


def _has_rule(given: dict[str, Any]) -> bool:
    return any(given.get(key) is not None for key in (*LIMITS, "metric", "baseline"))


def overrides_of(changes: dict[str, Any]) -> tuple[str, ...]:
    """{"limit": 20} as `--set limit=20`; JSON is YAML."""
    return tuple(f"{key}={json.dumps(value)}" for key, value in sorted(changes.items()))


def _gate(
    item: pytest.Item, given: dict[str, Any], view: judgekit.RunView, session: Session, where: Path
) -> judgekit.statistics.Gate:
    """The marker's rule, or the config's own gate. Its `waive` and `baseline` are those of the config's gate, if the
    marker has none: what a project says of its judge and its last release holds for its tests too."""
    record = view.record
    if not _has_rule(given):
        if record.gate is None:
            raise judgekit.ConfigError(
                record.gate_trouble
                or f"@pytest.mark.{MARK} names no rule, and the config has no gate: give metric and min, max or margin"
            )
        return record.gate
    limits = {key: given[key] for key in LIMITS if given.get(key) is not None}
    if not limits:
        raise judgekit.ConfigError(
            f"@pytest.mark.{MARK}: a rule needs min, max, missing, or a margin with its baseline"
        )
    if given.get("baseline") is not None and not limits.keys() & set(PAIRED):
        raise judgekit.ConfigError(f"@pytest.mark.{MARK}: a baseline needs a margin: how much worse may it be?")
    rules: dict[str, Any] = {given.get("metric") or _only_metric(record): limits}
    rules |= {key: _several(given[key]) for key in ("system", "waive") if given.get(key) is not None}
    own = record.spec.get("gate")
    own = own if isinstance(own, dict) else {}
    rules.setdefault("waive", own.get("waive") or [])
    if given.get("baseline") is not None:
        rules["baseline"] = str(session.find(str(given["baseline"]), item).resolve())
    elif limits.keys() & set(PAIRED) and own.get("baseline"):
        rules["baseline"] = own["baseline"]
    return judgekit.decide(view, rules, where)


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | set) else [value]


def _only_metric(record: judgekit.RunRecord) -> str:
    there = list(dict.fromkeys(estimate.metric for estimate in record.estimates))
    if len(there) != 1:
        raise judgekit.ConfigError(f"@pytest.mark.{MARK}: name the metric (there are: {', '.join(there) or 'none'})")
    return there[0]


# --- the table --------------------------------------------------------------------------------------------------------


def table(record: judgekit.RunRecord, gate: judgekit.statistics.Gate) -> str:
    """The gate as text: a row for each rule with its interval, and the reasons below."""
    head = ("", "metric", "system", "rule", "found", "bounds", "items")
    rows = [_row(claim) for claim in gate.claims]
    against = f" against {gate.baseline}" if gate.baseline else ""
    lines = [f"{gate.outcome}: gate of {record.run_id}{against}", "", *_aligned([head, *rows])]
    for claim in gate.claims:
        place = f"{claim.metric}, {_system(claim)}"
        if claim.kind == "margin":
            lines.append(
                f"{place}: {judgekit.counted(claim.better, 'item')} better, {claim.worse} worse, {claim.equal} equal"
            )
        lines += [f"{place}: {reason}" for reason in claim.reasons]
        moved = [f"{one.sample_id} {one.baseline:.4g} → {one.candidate:.4g}" for one in claim.movers[:MOST_MOVED]]
        if moved:
            lines.append(f"{place}: moved furthest: {'; '.join(moved)}")
    lines += [f"note: {note}" for note in gate.notes]
    return "\n".join(_printable(line) for line in lines)


def _system(claim: judgekit.statistics.GateClaim) -> str:
    return f"{claim.system} vs {claim.opponent}" if claim.opponent else claim.system


def _row(claim: judgekit.statistics.GateClaim) -> tuple[str, ...]:
    signed = claim.kind == "margin"
    low, high = claim.interval.low, claim.interval.high
    if low is None or high is None:
        bounds = claim.interval.note or "none"
    else:
        bounds = f"[{_number(low, claim.scale, signed)}, {_number(high, claim.scale, signed)}]"
    return (
        claim.outcome,
        claim.metric,
        _system(claim),
        f"{claim.limit} {_number(claim.threshold, claim.scale)}",
        _number(claim.value, claim.scale, signed),
        bounds,
        str(claim.n_items),
    )


def _number(value: float | None, scale: judgekit.Scale, signed: bool = False) -> str:
    if value is None:
        return "–"
    sign = "+" if signed else ""
    if scale.unit == "%" and scale.high <= 1:
        return f"{value * 100:{sign}.1f} %"
    return f"{value:{sign}.1f}" if scale.high - scale.low > 10 else f"{value:{sign}.3f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _printable(text: str) -> str:
    """The text without terminal controls, which a sample's id may hold."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
