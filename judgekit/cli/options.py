"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from judgekit.errors import UsageError

home = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".judgekit"),
    show_default=True,
    envvar="JUDGEKIT_HOME",
    help="Folder of the ledger and of trained checkpoints.",
)
output = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    envvar="JUDGEKIT_OUTPUT",
    help="Folder for runs.",
)
overrides = click.option(
    "--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE", help="Override a key of the config (YAML value)."
)
jobs = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 1024),
    default=8,
    show_default=True,
    envvar="JUDGEKIT_JOBS",
    help="Calls under way at once.",
)
progress = click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "none"]),
    default="auto",
    show_default=True,
    envvar="JUDGEKIT_PROGRESS",
    help="Progress on stderr; auto draws bars on a terminal.",
)
fresh = click.option("--fresh", is_flag=True, help="Ask everything anew instead of using earlier replies.")
retry_failed = click.option(
    "--retry-failed", is_flag=True, help="Ask again where the stored reply was truncated or refused."
)
dry_run = click.option("--dry-run", is_flag=True, help="Check everything and print what would be done; call nothing.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
offline = click.option(
    "--offline",
    is_flag=True,
    envvar="JUDGEKIT_OFFLINE",
    help="Ask no model and no judge: a call that the ledger does not hold ends the run.",
)
executor = click.option(
    "--executor",
    metavar="NAME",
    envvar="JUDGEKIT_EXECUTOR",
    help="Where calls are carried out: an executor of a plugin; `threads` of this process by default.",
)


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out, by options that several commands share: nothing here changes a result."""

    jobs: int
    executor: str | None
    fresh: bool
    retry_failed: bool
    offline: bool
    dry_run: bool
    output: Path
    home: Path
    progress: str


def run_options(function: Callable[..., int]) -> Callable[..., int]:
    """For a command that runs something: adds the options of RunOptions, and hands them to it as `options`."""

    @wraps(function)
    def command(**given: Any) -> int:
        options = RunOptions(**{field.name: given.pop(field.name) for field in fields(RunOptions)})
        if options.offline and (options.fresh or options.retry_failed):
            raise UsageError("--offline asks nothing, --fresh and --retry-failed ask anew: choose one")
        return function(options=options, **given)

    for option in (progress, home, output, dry_run, offline, retry_failed, fresh, executor, jobs):
        command = option(command)
    return command
