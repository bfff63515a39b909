"""`judgekit rescore`: another judge for responses that are there already."""

from __future__ import annotations

from pathlib import Path

import click

from judgekit.cli.options import RunOptions, run_options


@click.command("rescore")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--judge", required=True, metavar="NAME", help="The judge's name in the config.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="Take the judges: block of this file instead of the run's own."
)
@run_options
def command(run: Path, judge: str, config: Path | None, options: RunOptions) -> int:
    """Judge the stored responses of RUN (a folder runs/<id>) again, with another judge.

    Nothing is generated: models and data of the run may be gone. The result is a run of its own, with its record and
    report, and how far the two judges agree. Paths of a judge start from the folder of --config, or from here.
    """
    from judgekit.cli.interrupts import interruptible
    from judgekit.cli.progress import Progress
    from judgekit.cli.results import print_plan, print_results
    from judgekit.config.load import load_judges
    from judgekit.pipeline.rescore import rescored
    from judgekit.pipeline.run import Run, Settings
    from judgekit.plugins import Catalogue, blocked_by_environment, build_manager
    from judgekit.regression.empty import exit_code
    from judgekit.run_folder import RunFolder

    judges = load_judges(config) if config is not None else None
    watcher = Progress(options.progress)
    manager = build_manager(block=blocked_by_environment(), extra=[watcher])
    loaded, stored = rescored(RunFolder(run), judge, judges, Catalogue(manager))
    if options.executor is not None:
        loaded = loaded.model_copy(update={"executor": options.executor})
    settings = Settings.of(options)
    where = config.parent if config is not None else Path()
    with interruptible() as stop, watcher:
        again = Run(loaded, where, manager, settings, stop, stored)
        if options.dry_run:
            plan = again.plan()
            watcher.close()
            print_plan(plan)
            return 0
        outcome = again.execute()
    print_results(outcome)
    return exit_code(outcome.record)
