"""`judgekit compare`: two runs, or two systems of one, item by item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from judgekit.cli.console import printable
from judgekit.cli.options import as_json
from judgekit.cli.tables import interval, number, print_table
from judgekit.errors import UsageError
from judgekit.regression.baseline import open_run
from judgekit.regression.compare import Compared, CompareOptions, Comparison, Mover, Side, compare
from judgekit.secrets import shortened

LONGEST = 240  # characters of a text that are shown


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="A [B]", type=click.Path(path_type=Path))
@click.option("--system", "systems", multiple=True, metavar="NAME", help="One system of both runs, or one of each.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric; repeatable.")
@click.option(
    "--by", default="category", show_default=True, metavar="FIELD", help="Field of the samples to break down by."
)
@click.option(
    "--movers", type=click.IntRange(min=0), default=3, show_default=True, help="Items shown each way, with texts."
)
@click.option(
    "--confidence", type=click.FloatRange(0.5, 1, min_open=True, max_open=True), default=0.95, show_default=True
)
@as_json
def command(runs: tuple[Path, ...], systems: tuple[str, ...], as_json: bool, by: str, **options: Any) -> None:
    """Compare run A with run B (folders runs/<id>), paired by item id: B − A.

    One run and two --system compare those. Nothing is compared across instruments: another judge, prompt or scale is
    refused and named. Nothing is asked of any model.
    """
    if len(runs) > 2 or (len(runs) == 1 and len(systems) != 2) or len(systems) > 2:
        raise UsageError("compare two runs (A B), or two systems of one (A --system X --system Y)")
    if len(runs) == 1 and systems[0] == systems[1]:
        raise UsageError(f"{systems[0]} against itself: name two systems")
    views = [open_run(run).view() for run in runs]
    if len(runs) == 2 and len(systems) < 2 and views[0].record.run_id == views[1].record.run_id:
        raise UsageError("that is the same run twice")
    wanted = systems * 2 if len(systems) == 1 else systems or (None, None)
    first = Side.of("A", views[0], wanted[0])
    second = Side.of("B", views[-1], wanted[1])
    comparison = compare(first, second, CompareOptions(by=by or None, **options))
    if as_json:
        click.echo(json.dumps(comparison.model_dump(mode="json"), indent=1))
    else:
        print_comparison(comparison)


def print_comparison(comparison: Comparison) -> None:
    """The table of differences, by group below each, then the items that moved furthest."""
    for note in comparison.notes:
        click.secho(f"note: {printable(note)}", fg="yellow")
    confidence = f"{comparison.results[0].difference.confidence:.0%} interval" if comparison.results else "interval"
    columns = ("metric", "B − A", "A", "B", "difference", confidence, "items", "better", "worse", "equal", "least", "")
    title = (
        f"B: {comparison.second}\nA: {comparison.first}"
        if comparison.first != comparison.second
        else f"{comparison.first}: two systems"
    )
    print_table(title, columns, [_row(result) for result in comparison.results])
    clusters = {result.difference.n_clusters for result in comparison.results} - {None}
    if clusters:
        click.echo("intervals are over clusters of items")
    click.echo(
        "better, worse, equal: items. least: the smallest true difference that the interval shows with a power of 80 %"
    )
    if any(result.group is not None for result in comparison.results):
        click.echo("Each group has an interval of its own: of twenty, one leaves out 0 by chance alone.")
    for result in comparison.results:
        for mover in result.movers:
            _print_mover(result, mover)


def _row(result: Compared) -> tuple[str, ...]:
    scale = result.difference.scale
    systems = result.second if result.first == result.second else f"{result.second} − {result.first}"
    return (
        result.metric if result.group is None else f"  {result.group}",
        systems if result.group is None else "",
        number(result.first_mean, scale),
        number(result.second_mean, scale),
        number(result.difference.value, scale, signed=True),
        interval(result.difference.interval, scale, signed=True),
        str(result.difference.n_items),
        str(result.better),
        str(result.worse),
        str(result.equal),
        number(result.detectable, scale) if result.detectable is not None else "–",
        _direction(result),
    )


def _direction(result: Compared) -> str:
    low, high = result.difference.interval.low, result.difference.interval.high
    if low is None or high is None:
        return ""
    if low <= 0 <= high:
        return "unclear"
    return "better" if (low > 0) == result.difference.scale.higher_is_better else "worse"


def _print_mover(result: Compared, mover: Mover) -> None:
    scale = result.difference.scale
    better = (mover.change > 0) == scale.higher_is_better
    scores = f"{number(mover.first, scale)} → {number(mover.second, scale)}"
    head = f"{result.metric}, {result.second}, item {mover.sample_id}: {scores} ({'better' if better else 'worse'})"
    click.secho(f"\n{shown(head)}", bold=True)
    for label, text in (
        ("asked", mover.instruction),
        ("reference", mover.reference),
        ("A", mover.first_response),
        ("B", mover.second_response),
    ):
        if text is not None:
            click.echo(f"  {label:9} {shown(text)}")


def shown(text: str) -> str:
    """A text of the data or a model on one line, short, without terminal controls."""
    return printable(shortened(" ".join(text.split()), LONGEST))
