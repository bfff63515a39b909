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
