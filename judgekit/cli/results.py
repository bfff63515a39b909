"""What a run prints to stdout: the table of results with their intervals, the judge card, and the report's path."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from judgekit.cli.console import printable
from judgekit.secret import scrub

if TYPE_CHECKING:
    from judgekit.planning import Plan
    from judgekit.records import Check, Estimate, Interval, JudgeCard, RunRecord, Series
    from judgekit.run import Outcome


MOST_ERRORS = 10


def print_results(outcome: Outcome) -> None:
    """Everything a finished run has to say, in order of importance."""
    record = outcome.record
    if record.status == "incomplete":
        click.secho("INCOMPLETE: planned calls were not answered.", fg="red", bold=True)
        for reason, count in list(record.errors.items())[:MOST_ERRORS]:
            click.echo(f"  {count} × {printable(scrub(reason))}")
        if len(record.errors) > MOST_ERRORS:
            click.echo(f"  and {len(record.errors) - MOST_ERRORS} other reasons: see errors in record.json")
        click.echo("The same command asks again for what is missing.\n")
    print_record(record)
    click.echo(f"{outcome.asked} calls made, {outcome.from_ledger} answered by the ledger")
    for path in outcome.reports:
        click.echo(f"wrote {path}")
    click.echo(f"record {outcome.folder.path / 'record.json'}")


def print_record(record: RunRecord) -> None:
    """The tables of one record."""
    for warning in record.warnings:
        click.secho(f"warning: {printable(warning)}", fg="yellow")
    for card in record.cards:
        if card.passed is False:
            failed = "; ".join(check.label for check in card.checks if check.passed is False)
            click.secho(f"Judge {card.judge} FAILED its card ({failed}): its scores prove little.", fg="red", bold=True)
    heading = f"{record.name}: {record.n_samples} samples"
    confidence = f"{record.estimates[0].confidence:.0%} interval" if record.estimates else "interval"
    columns = ("metric", "system", "estimate", confidence, "method", "items × repeats", "not scored")
    rows = [_estimate_row(estimate) for estimate in record.estimates if estimate.estimand == "new items"]
    print_table(heading, columns, rows)
    if record.differences:
        columns = ("metric", "difference", "estimate", confidence, "method", "items", "")
        print_table(
            "paired differences on the same items", columns, [_difference_row(row) for row in record.differences]
        )
    for card in record.cards:
        _print_card(card)


def _estimate_row(estimate: Estimate) -> tuple[str, ...]:
    label = estimate.metric if estimate.series == "value" else f"  {estimate.scale.label}"
    missing = {status: count for status, count in estimate.counts.items() if status != "scored" and count}
    return (
        label,
        estimate.system,
        number(estimate.value, estimate.scale),
        interval(estimate.interval, estimate.scale),
        estimate.interval.method,
        f"{estimate.n_items} × {estimate.repeats}",
        ", ".join(f"{count} {status}" for status, count in missing.items()) or "0",
    )


def _difference_row(estimate: Estimate) -> tuple[str, ...]:
    return (
        estimate.metric,
        f"{estimate.system} − {estimate.against}",
        number(estimate.value, estimate.scale, signed=True),
        interval(estimate.interval, estimate.scale, signed=True),
        estimate.interval.method,
        str(estimate.n_items),
        _direction(estimate),
    )


def _direction(estimate: Estimate) -> str:
    low, high = estimate.interval.low, estimate.interval.high
    if low is None or high is None:
        return ""
    if low > 0 or high < 0:
        better = (low > 0) == estimate.scale.higher_is_better
        return "better" if better else "worse"
    return "cannot be told apart"


def _print_card(card: JudgeCard) -> None:
    verdict = {True: "passed", False: "FAILED", None: "not decided"}[card.passed]
    title = f"judge card of {card.judge} ({card.backend}, {card.prompt}, read by {card.reading}): {verdict}"
    print_table(title, ("check", "value", "expected", "", "note"), [_check_row(check) for check in card.checks])


def _check_row(check: Check) -> tuple[str, ...]:
    value = "–" if check.value is None else f"{check.value:.2f}" if abs(check.value) <= 1 else f"{check.value:.1f}"
    mark = {True: "ok", False: "FAILED", None: ""}[check.passed]
    return check.label, value, check.expected, mark, check.note


def number(value: float | None, scale: Series, *, signed: bool = False) -> str:
    """A value on its scale: percent for shares, one decimal on wide scales, three on narrow ones."""
    if value is None:
        return "–"
    sign = "+" if signed else ""
    if scale.unit == "%":
        return f"{value * 100:{sign}.1f} %"
    return f"{value:{sign}.1f}" if scale.high - scale.low > 10 else f"{value:{sign}.3f}"


def interval(found: Interval, scale: Series, *, signed: bool = False) -> str:
    """An interval, or why there is none."""
    if found.low is None or found.high is None:
        return found.note or "none"
    return f"[{number(found.low, scale, signed=signed)}, {number(found.high, scale, signed=signed)}]"


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """An aligned table on stdout; long cells wrap."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table: Any = Table(title=Text(printable(title), style="bold"), title_justify="left", box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "130"))
    Console(width=width, highlight=False).print(table)


def print_plan(plan: Plan) -> None:
    """What `--dry-run` has to say."""
    rows = [
        (line.stage, str(line.calls), "unknown" if line.in_ledger is None else str(line.in_ledger), line.note)
        for line in plan.lines
    ]
    print_table(f"{plan.name}: nothing was called", ("stage", "calls", "in the ledger", "note"), rows)
    for warning in plan.warnings:
        click.secho(f"warning: {warning}", fg="yellow")
