"""`judgekit report`: a run's reports, made again from its record alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from judgekit.cli.results import print_record
from judgekit.config.blocks import RunConfig
from judgekit.pipeline.pool import pool
from judgekit.pipeline.report import Wishes, in_short, write_reports
from judgekit.plugins import blocked_by_environment, build_manager
from judgekit.regression.baseline import open_run
from judgekit.run_folder import RunFolder

if TYPE_CHECKING:
    import pluggy


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "formats", multiple=True, metavar="NAME", help="Reporter (default: those of the run's config)."
)
@click.option("--redact", is_flag=True, help="Leave out every text of the data, the systems and the judges.")
@click.option(
    "--interactive", is_flag=True, help="Charts to explore: the HTML report carries the Vega bundle (0.9 MB)."
)
@click.option(
    "--baseline",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Show item by item what changed since this baseline (default: the run's own, if it was gated).",
)
def command(
    runs: tuple[Path, ...], formats: tuple[str, ...], redact: bool, interactive: bool, baseline: Path | None
) -> None:
    """Make a run's reports again (RUNS: its folder, runs/<id>). No model or judge is asked.

    Several runs that differ in nothing but --seed are pooled: they stand as repeats in a run of their own, beside the
    first of them.
    """
    manager = build_manager(block=blocked_by_environment())
    folder = RunFolder(runs[0]) if len(runs) == 1 else _pooled(runs, manager)
    names = formats or RunConfig.model_validate(folder.record().spec).reports
    written = write_reports(folder, names, manager, Wishes(redact, interactive, baseline))
    for line in in_short(written, folder):
        click.echo(line)


def _pooled(runs: Sequence[Path], manager: pluggy.PluginManager) -> RunFolder:
    """The runs as repeats of one, whose results are printed."""
    folders = [open_run(run) for run in runs]
    folder = pool(folders, folders[0].path.parent, manager)
    print_record(folder.record())
    return folder
