"""`judgekit gate`: PASS 0, FAIL 1, INCONCLUSIVE 3; another instrument, or nothing to evaluate, is an error, 2."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from judgekit.cli import complain
from judgekit.cli.console import printable
from judgekit.cli.options import as_json, home
from judgekit.cli.outlets import Outlets, outlets
from judgekit.cli.tables import interval, number, print_table
from judgekit.config.blocks import GateConfig
from judgekit.config.load import explain_problem
from judgekit.errors import ConfigError, UsageError
from judgekit.regression.baseline import open_run, system_key
from judgekit.regression.gate import evaluate
from judgekit.regression.history import GateCount, log_gate
from judgekit.regression.rules import Reference
from judgekit.run_folder import BASELINE

if TYPE_CHECKING:
    from judgekit.results import Gate, GateClaim, RunRecord

COLORS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}
EXIT = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}
ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth"}


@dataclass(frozen=True)
class RuleOptions:
    """The rules of the command line, in place of the config's."""

    metrics: tuple[str, ...]
    margin: float | None
    least: float | None
    most: float | None
    systems: tuple[str, ...]
    waive: tuple[str, ...]


@click.command("gate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--baseline", type=click.Path(path_type=Path), help="File of `judgekit baseline set`.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Metric that the limits are for; repeatable.")
@click.option("--margin", type=float, help="How much worse than the baseline the mean may be.")
@click.option("--min", "least", type=float, help="The mean is at least this.")
@click.option("--max", "most", type=float, help="The mean is at most this.")
@click.option("--system", "systems", multiple=True, metavar="NAME", help="Only this system; repeatable.")
@click.option("--waive", multiple=True, metavar="NAME", help="Accept the failed card of this judge, or a failed check.")
@as_json
@home
@outlets
def command(run: Path, baseline: Path | None, as_json: bool, home: Path, outlets: Outlets, **rules: Any) -> int:
    """Hold RUN (a folder runs/<id>) against a baseline, and against limits.

    The rules are those of the run's own `gate:` block, or --metric with --margin, --min or --max. PASS: no loss of
    the margin or more (one-sided 95 %). FAIL: a loss is shown. INCONCLUSIVE: neither.
    """
    outlets.clear()
    view = open_run(run).view()
    with outlets.told(view) as tell:
        config = _config(view.record, RuleOptions(**rules))
        path = baseline or _own_baseline(config, open_run(run).path)
        reference = Reference.read(path) if path is not None else None
        gate = evaluate(view, config, reference)
        tell(gate)
    counted = log_gate(home, view.record, gate)
    if as_json:
        tree = {
            "run": view.record.run_id,
            **gate.model_dump(mode="json"),
            "reruns": counted.__dict__ if counted else None,
        }
        click.echo(json.dumps(tree, indent=1))
    else:
        print_gate(gate, view.record, counted)
    return EXIT[gate.outcome]


def run_gate(record: RunRecord, home: Path) -> int:
    """Print the verdict of the run's own gate. Returns its exit code, 0 where the run has no gate."""
    if record.gate_trouble:
        complain(record.gate_trouble)
        return 2
    if record.gate is None:
        return 0
    print_gate(record.gate, record, log_gate(home, record, record.gate))
    return EXIT[record.gate.outcome]


def _own_baseline(config: GateConfig, run: Path) -> Path | None:
    """The baseline that the config names, seen from here; else the copy of it that the run was gated with."""
    if config.baseline is None:
        return None
    named, kept = Path(config.baseline).expanduser(), run / BASELINE
    return named if named.exists() or not kept.is_file() else kept


def _config(record: RunRecord, asked: RuleOptions) -> GateConfig:
    """The rules from the command line, or those of the run's config. Raises ConfigError."""
    from pydantic import ValidationError

    limits = {"margin": asked.margin, "min": asked.least, "max": asked.most}
    given = {key: value for key, value in limits.items() if value is not None}
    tree: dict[str, Any] = {}
    own = record.spec.get("gate")
    if given:
        named = asked.metrics or _only_metric(record)
        tree = dict.fromkeys(named, given)
    elif isinstance(own, dict):
        tree = dict(own)
        if asked.metrics:
            rules = GateConfig.model_validate(own).rules
            for metric in asked.metrics:
                if metric not in rules:
                    raise ConfigError(
                        f"--metric {metric}: the config's gate has no rule for it; give --margin, --min or --max"
                    )
            tree = {key: value for key, value in own.items() if key not in rules or key in asked.metrics}
    else:
        raise ConfigError("the run has no gate: block: give --metric NAME with --margin, --min or --max")
    extra = {key: list(value) for key, value in (("system", asked.systems), ("waive", asked.waive)) if value}
    try:
        return GateConfig.model_validate({**tree, **extra})
    except ValidationError as error:
        raise ConfigError("; ".join(explain_problem(one, GateConfig, "gate") for one in error.errors())) from None


def _only_metric(record: RunRecord) -> tuple[str, ...]:
    there = tuple(dict.fromkeys(estimate.metric for estimate in record.estimates))
    if len(there) != 1:
        raise UsageError(f"name the metric with --metric (there are: {', '.join(there) or 'none'})")
    return there


# --- what is printed --------------------------------------------------------------------------------------------------


def print_gate(gate: Gate, record: RunRecord, counted: GateCount | None) -> None:
    """Print the verdict, then one row a rule, then the reasons and notes."""
    click.secho(f"{gate.outcome}: {SAID[gate.outcome]}", fg=COLORS[gate.outcome], bold=True)
    against = f" against the baseline {gate.baseline}" if gate.baseline else ""
    measured = ("found", "bounds", "better / worse / equal", "p (Holm)", "least loss found")
    columns = ("", "metric", "system", "rule", *measured)
    print_table(f"gate of {record.run_id}{against}", columns, [_row(claim) for claim in gate.claims])
    for claim in gate.claims:
        place = f"{claim.metric}, {claim.system}"
        for reason in claim.reasons:
            click.echo(printable(f"{place}: {reason}"))
        if claim.stop is not None:
            click.echo(printable(f"{place}: {claim.stop.note}"))
    for note in gate.notes:
        click.echo(f"note: {printable(note)}")
    if gate.waived:
        click.echo(f"note: waived by name: {printable(', '.join(gate.waived))}")
    if counted is not None and (line := counted_words(counted)):
        click.secho(line, fg="yellow" if counted.candidate > 1 else None)


SAID = {
    "PASS": "no rule is broken, as far as these items can tell",
    "FAIL": "a rule is shown to be broken",
    "INCONCLUSIVE": "neither is shown; the reasons are below",
}


def _row(claim: GateClaim) -> tuple[str, ...]:
    margin = claim.kind == "margin"
    counts = f"{claim.better} / {claim.worse} / {claim.equal}" if margin else ""
    return (
        claim.outcome,
        claim.metric,
        system_key(claim.system, claim.opponent),
        f"{claim.limit} {number(claim.threshold, claim.scale)}",
        number(claim.value, claim.scale, signed=margin),
        interval(claim.interval, claim.scale, signed=margin),
        counts,
        "" if claim.p_holm is None else "<0.001" if claim.p_holm < 0.001 else f"{claim.p_holm:.3f}",
        "" if claim.detectable is None else number(claim.detectable, claim.scale),
    )


def counted_words(counted: GateCount) -> str:
    """A warning about reruns against one baseline: each further try lets a broken candidate through more easily."""
    if counted.candidate > 1:
        nth = ORDINALS.get(counted.candidate, f"{counted.candidate}th")
        power = 100 * 0.8**counted.candidate
        return (
            f"{nth} run against this baseline with this candidate: re-running until green turns 80 % detection "
            f"into {power:.0f} %"
        )
    if counted.baseline > 1:
        return f"{counted.baseline} runs against this baseline so far, each with another candidate"
    return ""
