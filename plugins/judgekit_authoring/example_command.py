"""The command `judgekit example`."""

from __future__ import annotations

from pathlib import Path

import click

import judgekit


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
def example(run: Path) -> None:
    """Say how many rows a finished RUN has."""
    rows = sum(1 for _ in judgekit.read_run(run).rows)
    click.echo(judgekit.counted(rows, "row"))
