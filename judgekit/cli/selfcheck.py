"""`judgekit selfcheck`: simulated coverage of the intervals, and false alarms of the gate."""

from __future__ import annotations

import json
from pathlib import Path

import click

from judgekit.cli.console import printable
from judgekit.cli.options import as_json
from judgekit.cli.tables import print_table
from judgekit.regression.baseline import open_run
from judgekit.regression.rules import Reference
from judgekit.regression.selfcheck import Checked, SelfcheckOptions, Share, selfcheck


@click.command("selfcheck")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric; repeatable.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="Baseline file of another run of the same, unchanged system: its differences are the noise.",
)
@click.option(
    "--simulations", type=click.IntRange(min=20), help="Simulated studies, and gates (default: seconds' worth)."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@as_json
def command(
    run: Path, metrics: tuple[str, ...], baseline: Path | None, simulations: int | None, seed: int, as_json: bool
) -> None:
    """Simulate on the scores of RUN what its intervals cover and how often a gate says FAIL without a change.

    The run's items are taken for the whole population, and studies of as many items are drawn from them.
    """
    reference = Reference.read(baseline) if baseline is not None else None
    checks = selfcheck(open_run(run).view(), SelfcheckOptions(metrics, simulations, seed, reference))
    if as_json:
        click.echo(json.dumps([one.tree() for one in checks], indent=1))
    else:
        print_checks(checks)


def print_checks(checks: list[Checked]) -> None:
    shares = ("promised", "covers", "gate says FAIL", '"mean dropped" says FAIL')
    columns = ("metric", "system", "items × repeats", "method", *shares)
    print_table(
        "two runs of an unchanged system, and intervals whose truth is known", columns, [_row(one) for one in checks]
    )
    click.echo("± is the Monte Carlo error, two standard errors; a gate promises at most 5 %")
    notes: dict[str, list[str]] = {}
    for one in checks:
        for note in dict.fromkeys(share.note for share in (one.coverage, one.false_alarms) if share.note):
            notes.setdefault(note, []).append(f"{one.metric} of {one.system}")
    for note, places in notes.items():
        click.echo(printable(f"note: {note} ({', '.join(places)})"))


def _row(one: Checked) -> tuple[str, ...]:
    return (
        one.metric,
        one.system,
        f"{one.n_items} × {one.repeats}",
        one.method,
        f"{one.confidence:.0%}",
        _share(one.coverage),
        _share(one.false_alarms),
        _share(one.naive),
    )


def _share(share: Share) -> str:
    if share.value is None or share.error is None:
        return "–"
    return f"{100 * share.value:.1f} ± {200 * share.error:.1f} %"
