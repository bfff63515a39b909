"""`judgekit validate`: every problem of a config at once, without running anything."""

from __future__ import annotations

from pathlib import Path

import click

from judgekit.cli.options import home, overrides
from judgekit.text import counted


@click.command("validate")
@click.argument("config", type=click.Path(path_type=Path), default="judgekit.yaml")
@overrides
@home
def command(config: Path, overrides: tuple[str, ...], home: Path) -> None:
    """Check CONFIG (judgekit.yaml): keys, plugins, data, checkpoints, and whether backends answer.

    What could not be checked is said too, with the reason.
    """
    from judgekit.cli.console import printable
    from judgekit.config.load import load
    from judgekit.errors import PreflightError
    from judgekit.pipeline.prepare import prepare
    from judgekit.pipeline.run import Settings
    from judgekit.plugins import blocked_by_environment, build_manager

    loaded = load(config, overrides)
    manager = build_manager(block={*loaded.plugins.block, *blocked_by_environment()}, only=loaded.plugins.only)
    try:
        prepared = prepare(loaded, config.parent, manager, Settings(home=home).checkpoints)
    except PreflightError as error:
        for check in error.unchecked:
            click.echo(printable(f"not checked: {check}"))
        raise
    try:
        for check in prepared.unchecked:
            click.echo(printable(f"not checked: {check}"))
        for warning in prepared.warnings:
            click.secho(f"warning: {warning}", fg="yellow")
        samples = sum(len(data.samples) for data in prepared.datasets.values())
        click.echo(
            f"{config}: good ({counted(len(loaded.models), 'model')}, {counted(len(loaded.judges), 'judge')}, "
            f"{counted(len(loaded.metrics), 'metric')}, {counted(samples, 'sample')})"
        )
    finally:
        prepared.close()
