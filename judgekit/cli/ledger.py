"""`judgekit ledger`: look at the store of every reply, or prune it."""

from __future__ import annotations

from pathlib import Path

import click

from judgekit.calls.ledger import Ledger
from judgekit.cli import options
from judgekit.cli.tables import print_table
from judgekit.errors import UsageError
from judgekit.text import counted


@click.group("ledger")
def command() -> None:
    """Look at, or prune, the store of every reply."""


def _path(folder: Path) -> Path:
    path = folder / "ledger.sqlite"
    if not path.is_file():
        raise UsageError("there is no ledger here", path=path)
    return path


@command.command("stats")
@options.home
def stats(home: Path) -> None:
    """Print the number of replies that the ledger holds, by backend and by status."""
    path = _path(home)
    with Ledger(path) as ledger:
        stored = ledger.stats()
    old = f" ({stored.unchecked:,} of an older version, without a checksum)" if stored.unchecked else ""
    click.echo(f"{path}: {counted(stored.entries, 'reply', 'replies')}{old}, {stored.bytes / 1e6:.1f} MB")
    rows = [("backend", name, str(count)) for name, count in sorted(stored.by_identity.items())]
    rows += [("status", name, str(count)) for name, count in sorted(stored.by_status.items())]
    print_table("replies", ("by", "what", "count"), rows)


@command.command("prune")
@options.home
@click.option("--older-than", type=click.IntRange(min=0), metavar="DAYS", help="Forget replies older than this.")
@click.option("--damaged", is_flag=True, help="Forget replies that are not what was stored.")
@click.confirmation_option(prompt="Forgotten replies must be paid for again. Go on?")
def prune(home: Path, older_than: int | None, damaged: bool) -> None:
    """Forget old replies, or damaged ones."""
    if damaged == (older_than is not None):
        raise UsageError("give either --older-than DAYS or --damaged")
    with Ledger(_path(home)) as ledger:
        forgotten = ledger.prune_damaged() if damaged else ledger.prune(older_than=older_than)
    click.echo(f"{counted(forgotten, 'reply', 'replies')} forgotten")
