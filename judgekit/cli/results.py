"""The output of a run: the table of results with their intervals, the judge card, and the report's path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from judgekit.cli.agreement import print_agreement
from judgekit.cli.breakdowns import breakdown_tables
from judgekit.cli.console import printable
from judgekit.cli.costs import PLAN_COLUMNS, how_to_go_on, plan_row, plan_total, use_lines
from judgekit.cli.pairs import matrix, several_opponents, shown_estimates, statistic_lines, statistic_tables
from judgekit.cli.repeats import budget_lines, pooled_line, rerun_rows
from judgekit.cli.tables import interval, method, number, print_table
from judgekit.pipeline.report import in_short
from judgekit.regression.baseline import system_key
from judgekit.secrets import scrub
from judgekit.text import counted

if TYPE_CHECKING:
    from judgekit.pipeline.plan import Plan
    from judgekit.pipeline.run import Outcome
    from judgekit.results import Check, Estimate, JudgeCard, RunRecord


MOST_ERRORS = 10
NOT_SCORED = "not scored [bounds]"  # the mean with all of them at the ends of the scale


def print_results(outcome: Outcome, again: str = "", notes: Sequence[str] = ()) -> None:
    """Print the results of a finished run, in order of importance. `again`: the command that started it."""
    _print_notes(notes)
    record = outcome.record
    if record.status == "incomplete":
        click.secho("INCOMPLETE: planned calls were not answered.", fg="red", bold=True)
        for reason, count in list(record.errors.items())[:MOST_ERRORS]:
            click.echo(f"  {count} × {printable(scrub(reason))}")
        if len(record.errors) > MOST_ERRORS:
            click.echo(f"  and {len(record.errors) - MOST_ERRORS} other reasons: see errors in record.json")
        for line in how_to_go_on(outcome.use, again):
            click.echo(printable(line))
        click.echo()
    elif record.errors:
        failed = counted(sum(record.errors.values()), "failed call")
        click.echo(f"{failed} left, which the config accepts: see errors in record.json. The same command asks again.")
    print_record(record)
    for line in use_lines(outcome.use):
        click.echo(printable(line))
    click.echo(f"{counted(outcome.asked, 'call')} made, {outcome.from_ledger:,} answered by the ledger")
    for line in in_short(outcome.reports, outcome.folder):
        click.echo(f"wrote {line}")
    click.echo(f"record {outcome.folder.path / 'record.json'}")


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)


def print_record(record: RunRecord) -> None:
    """The tables of one record."""
    if pooled := pooled_line(record):
        click.secho(printable(pooled), bold=True)
    for warning in record.warnings:
        click.secho(f"warning: {printable(warning)}", fg="yellow")
    for note, count in record.notes.items():
        click.echo(f"note: {printable(scrub(note))} ({counted(count, 'reply', 'replies')})")
    for card in record.cards:
        if card.passed is False:
            failed = "; ".join(check.label for check in card.shown if check.passed is False)
            prove = "scores prove" if card.task == "score" else "comparisons prove"
            click.secho(f"Judge {card.judge} FAILED its card ({failed}): its {prove} little.", fg="red", bold=True)
    for judge, steps in record.steps.items():
        listed = "\n".join(f"  {place}. {step}" for place, step in enumerate(steps, start=1))
        click.echo(printable(scrub(f"Judge {judge} wrote these evaluation steps for itself:\n{listed}\n")))
    heading = f"{record.name}: {counted(record.n_samples, 'sample')}"
    confidence = f"{record.estimates[0].confidence:.0%} interval" if record.estimates else "interval"
    columns: tuple[str, ...]
    columns = ("metric", "system", "estimate", confidence, "method", "items × repeats", NOT_SCORED, "bootstrap")
    several = several_opponents(record.estimates)
    rows = [
        _estimate_row(estimate, estimate.metric in several)
        for estimate in shown_estimates(record.estimates)
        if estimate.estimand == "new items"
    ]
    print_table(f"{heading}; intervals for new items", columns, rows)
    if again := rerun_rows(record.estimates):
        columns = ("metric", "system", "estimate", confidence, "method", "items × repeats", "")
        print_table("the same means; intervals for a rerun on these items", columns, again)
    if lines := budget_lines(record):
        click.secho("what the variance is made of, and what to buy next", bold=True)
        click.echo("".join(f"  {printable(line)}\n" for line in lines))
    for line in statistic_lines(record):
        click.echo(printable(line))
    if record.differences:
        columns = ("metric", "difference", "estimate", confidence, "method", "items", "")
        print_table(
            "paired differences on the same items", columns, [_difference_row(row) for row in record.differences]
        )
    for table in breakdown_tables(record):
        print_table(*table)
    for metric in sorted(several):
        print_table(f"{metric}: every system against every other", *matrix(record, metric))
    for columns, rows in statistic_tables(record):
        print_table("counts and tests of each pair", columns, rows)
    for card in record.cards:
        _print_card(card)
    for agreement in record.agreements:
        print_agreement(agreement)


def _estimate_row(estimate: Estimate, with_opponent: bool) -> tuple[str, ...]:
    label = estimate.metric if estimate.series == "value" else f"  {estimate.scale.label}"
    return (
        label,
        system_key(estimate.system, estimate.opponent if with_opponent else None),
        number(estimate.value, estimate.scale),
        interval(estimate.interval, estimate.scale),
        method(estimate.interval),
        f"{estimate.n_items} × {estimate.repeats}",
        _missing(estimate),
        _bootstrap(estimate),
    )


def _bootstrap(estimate: Estimate) -> str:
    """The bootstrap interval beside another headline."""
    bootstrap = estimate.bootstrap
    if bootstrap is None or bootstrap == estimate.interval:
        return "" if bootstrap is None else "the same"
    drawn = interval(bootstrap, estimate.scale)
    return f"{drawn} {bootstrap.note.partition(':')[0]}" if bootstrap.note and bootstrap.low is not None else drawn


def _missing(estimate: Estimate) -> str:
    """Verdicts without a score by status, and the mean with all of them at the ends of the scale."""
    missing = {status: count for status, count in estimate.counts.items() if status != "scored" and count}
    counted = ", ".join(f"{count} {status}" for status, count in missing.items())
    if not missing or estimate.bounds is None:
        return counted or "0"
    low, high = (number(end, estimate.scale) for end in estimate.bounds)
    return f"{counted} [{low}, {high}]"


def _difference_row(estimate: Estimate) -> tuple[str, ...]:
    return (
        estimate.metric,
        f"{estimate.system} − {estimate.against}",
        number(estimate.value, estimate.scale, signed=True),
        interval(estimate.interval, estimate.scale, signed=True),
        method(estimate.interval),
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
    print_table(title, ("check", "value", "expected", "", "note"), [_check_row(check) for check in card.shown])


def _check_row(check: Check) -> tuple[str, ...]:
    value = "–" if check.value is None else f"{check.value:.2f}" if abs(check.value) <= 1 else f"{check.value:.1f}"
    mark = {True: "ok", False: "FAILED", None: ""}[check.passed]
    return check.label, value, check.expected, mark, check.note


def print_plan(plan: Plan, notes: Sequence[str] = ()) -> None:
    """Print the plan of `--dry-run`."""
    _print_notes(notes)
    print_table(f"{plan.name}: nothing was called", PLAN_COLUMNS, [plan_row(line) for line in plan.lines])
    for warning in plan.warnings:
        click.secho(f"warning: {printable(warning)}", fg="yellow")
    for line in plan_total(plan):
        click.echo(printable(line))
