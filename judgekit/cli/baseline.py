"""`judgekit baseline`: the item scores that later runs are compared with, in a small file for git."""

from __future__ import annotations

from pathlib import Path

import click

from judgekit.cli.console import printable
from judgekit.cli.tables import number, print_table
from judgekit.regression.baseline import Baseline, Scores, Sheet, open_run, read_scores, write_baseline
from judgekit.regression.paired_scores import other_samples, unlike
from judgekit.regression.rules import failed_cards
from judgekit.secrets import shortened
from judgekit.text import counted

MOST_MOVED = 10


@click.group("baseline")
def command() -> None:
    """Write, show or compare baseline files: item scores by id, and what measured them; no texts."""


@command.command("set")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
def set_baseline(run: Path, file: Path) -> None:
    """Write the item scores of RUN (a folder runs/<id>) to FILE."""
    view = open_run(run).view()
    baseline = write_baseline(view, file)
    counts = ", ".join(_counted(name, sheet) for name, sheet in baseline.metrics.items() if not sheet.unpaired)
    click.echo(printable(f"wrote {file}: {counts}"))
    for name, sheet in baseline.metrics.items():
        if sheet.unpaired:
            click.secho(printable(f"left out: {name} {sheet.unpaired}"), fg="yellow")
    judges, named = [card.judge for card in view.record.cards], view.record.part("gate").get("waive")
    waived = [str(name) for name in named] if isinstance(named, list | tuple) else []
    for judge, checks in failed_cards(view.record, judges, waived).items():
        failed = f"judge {judge} failed its card ({', '.join(checks)})"
        click.secho(printable(f"warning: {failed}: a gate on its scores stays INCONCLUSIVE"), fg="yellow")


def _counted(name: str, sheet: Sheet) -> str:
    systems = [f"{system}: {counted(len(scores.scored), 'item')}" for system, scores in sheet.systems.items()]
    return f"{name} ({', '.join(systems)})"


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path))
def show(file: Path) -> None:
    """Print what a baseline FILE (or a run) holds: means, items, noise, and what measured them."""
    baseline = read_scores(file)
    rows = [
        _row(name, sheet, system, scores)
        for name, sheet in baseline.metrics.items()
        for system, scores in sheet.systems.items()
    ]
    columns = ("metric", "system", "mean", "items", "repeats", "not scored", "noise of one run, sd")
    print_table(f"baseline {baseline.run_id} (judgekit {baseline.judgekit_version})", columns, rows)
    for name, sheet in baseline.metrics.items():
        lines = [("dataset", f"{counted(sheet.n_samples, 'sample')}, {sheet.dataset[:12]}…"), *sheet.instrument.items()]
        print_table(f"{name} was measured by", ("", ""), [(key, shortened(value, 100)) for key, value in lines])


def _row(name: str, sheet: Sheet, system: str, scores: Scores) -> tuple[str, ...]:
    missing = {status: count for status, count in scores.counts.items() if status != "scored"}
    noise = sum(scores.noise.values()) ** 0.5
    return (
        name,
        system,
        number(scores.mean, sheet.scale),
        str(len(scores.scored)),
        str(scores.repeats),
        ", ".join(f"{count} {status}" for status, count in missing.items()) or "0",
        number(noise, sheet.scale) if scores.noise else "one repeat: unknown",
    )


@command.command("diff")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
def diff(first: Path, second: Path) -> None:
    """Print how two baseline files (or runs) differ: instruments, samples, means, and the items that moved most."""
    old, new = read_scores(first), read_scores(second)
    lines = [line for metric in sorted({*old.metrics, *new.metrics}) for line in _changes(metric, old, new)]
    for line in lines or ["no difference"]:
        click.echo(printable(line))


def _changes(metric: str, old: Baseline, new: Baseline) -> list[str]:
    if metric not in old.metrics or metric not in new.metrics:
        return [f"{'+' if metric in new.metrics else '-'} metric {metric}"]
    a, b, names = old.metrics[metric], new.metrics[metric], ("in the first", "in the second")
    lines = [f"! {metric}: {line}" for line in (*unlike(a, b, names), other_samples(a, b, names)) if line]
    lines += [f"! {metric} {sheet.unpaired}" for sheet in (a, b) if sheet.unpaired]
    for system in sorted({*a.systems, *b.systems}):
        if system in a.systems and system in b.systems:
            lines += _moved(f"{metric}, {system}", b, a.systems[system], b.systems[system])
        else:
            lines.append(f"{'+' if system in b.systems else '-'} {metric}: system {system}")
    return lines


def _moved(label: str, sheet: Sheet, old: Scores, new: Scores) -> list[str]:
    moved = {
        one: (old.items.get(one), new.items.get(one))
        for one in sorted({*old.items, *new.items})
        if old.items.get(one) != new.items.get(one)
    }
    if not moved:
        return []

    def size(pair: tuple[float | None, float | None]) -> float:
        return abs(pair[1] - pair[0]) if pair[0] is not None and pair[1] is not None else float("inf")

    scale = sheet.scale
    furthest = sorted(moved, key=lambda one: (-size(moved[one]), one))[:MOST_MOVED]
    lines = [
        f"  {label}: mean {number(old.mean, scale)} → {number(new.mean, scale)}, {counted(len(moved), 'item')} moved"
    ]
    lines += [f"    {one}: {number(moved[one][0], scale)} → {number(moved[one][1], scale)}" for one in furthest]
    more = len(moved) - len(furthest)
    return [*lines, *([f"    and {more} more"] if more else [])]
