"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

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
