"""`judgekit report`: a run's reports, made again from its record alone."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "formats", multiple=True, metavar="NAME", help="Reporter (default: those of the run's config)."
)
def command(runs: tuple[Path, ...], formats: tuple[str, ...]) -> None:
    """Make the reports of RUNS (folders runs/<id>) again. No model or judge is asked."""
    from judgekit.folder import RunFolder
    from judgekit.plugins import blocked_by_environment, build_manager
    from judgekit.report import write_reports
    from judgekit.spec import RunSpec

    manager = build_manager(block=blocked_by_environment())
    for run in runs:
        folder = RunFolder(run)
        names = formats or RunSpec.model_validate(folder.view().record.spec).reports
        for path in write_reports(folder, names, manager):
            click.echo(path)
