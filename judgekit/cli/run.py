"""`judgekit run`: the main job."""

from __future__ import annotations

import os
from pathlib import Path

import click

from judgekit.cli.options import RunOptions, overrides, run_options
from judgekit.errors import BackendError, PreflightError, UsageError


@click.command("run")
@click.argument("config", type=click.Path(path_type=Path), default="judgekit.yaml")
@click.option(
    "--limit", type=click.IntRange(min=1), envvar="JUDGEKIT_LIMIT", help="Only the first N samples of each data set."
)
@click.option("--repeats", type=click.IntRange(min=1), envvar="JUDGEKIT_REPEATS", help="Generation repeats.")
@click.option(
    "--seed", type=click.IntRange(min=0), envvar="JUDGEKIT_SEED", help="Seed of sampling and of the bootstrap."
)
@overrides
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="File of people's labels, to be compared with the judge's verdicts.",
)
@run_options
def command(
    config: Path,
    limit: int | None,
    repeats: int | None,
    seed: int | None,
    overrides: tuple[str, ...],
    labels: Path | None,
    options: RunOptions,
) -> int:
    """Train, generate, judge, and write the report of CONFIG (judgekit.yaml).

    Killed or interrupted, the same command goes on where it stopped: every reply is on disk before it is counted.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "start `judgekit run` without torchrun; it is for training alone: torchrun … -m judgekit gpt2 …"
        )
    from judgekit.cli.costs import command_line
    from judgekit.cli.gate import run_gate
    from judgekit.cli.interrupts import interruptible
    from judgekit.cli.outlets import Outlets
    from judgekit.cli.progress import Progress
    from judgekit.cli.results import print_plan, print_results
    from judgekit.config.load import load
    from judgekit.pipeline.run import Run, Settings
    from judgekit.plugins import blocked_by_environment, build_manager
    from judgekit.regression.empty import exit_code

    beside = os.path.relpath(labels, config.parent) if labels else None  # as if it stood in the config
    flags = {
        "limit": limit,
        "repeats.generation": repeats,
        "seed": seed,
        "labels": beside,
        "executor": options.executor,
    }
    loaded = load(config, overrides, {key: value for key, value in flags.items() if value is not None})
    watcher = Progress(options.progress)
    manager = build_manager(
        block={*loaded.plugins.block, *blocked_by_environment()}, only=loaded.plugins.only, extra=[watcher]
    )
    settings = Settings.of(options)
    with interruptible() as stop, watcher:
        run = Run(loaded, config.parent, manager, settings, stop)
        if options.dry_run:
            plan = run.plan()
            watcher.close()
            print_plan(plan, run.notes)
            return 0
        try:
            outcome = run.execute()
        except PreflightError as error:
            if error.exit_code == BackendError.exit_code and settings.ledger.is_file():
                click.echo("note: a run that the ledger answers whole needs no server: --offline", err=True)
            raise
    print_results(outcome, command_line(click.get_current_context()), run.notes)
    gated = run_gate(outcome.record, options.home)
    if loaded.gate is not None or "markdown" in loaded.reports:
        Outlets({}).write(outcome.folder.view())
    return gated or exit_code(outcome.record)
