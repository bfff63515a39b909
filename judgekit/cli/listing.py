"""`judgekit list`: names that can stand in a config, and the runs that were made."""

from __future__ import annotations

from pathlib import Path

import click

from judgekit.cli.options import output
from judgekit.cli.tables import print_table
from judgekit.plugins import Catalogue, blocked_by_environment, build_manager
from judgekit.prompting.templates import Prompts
from judgekit.run_folder import RECORD, RunFolder

KINDS = ("runs", "datasets", "backends", "readings", "trainers", "metrics", "reporters", "prompts")


@click.command("list")
@click.argument("what", type=click.Choice(KINDS))
@output
def command(what: str, output: Path) -> None:
    """List runs, datasets (loaders), backends, readings, trainers, metrics, reporters or prompts."""
    if what == "runs":
        _list_runs(output)
    elif what == "prompts":
        _list_prompts()
    else:
        _list_offers(what)


def _list_runs(output: Path) -> None:
    folders = sorted(path.parent for path in output.glob(f"*/{RECORD}"))
    records = [RunFolder(folder).record() for folder in folders]
    if not records:
        click.echo(f"no finished run in {output}/", err=True)
        return
    rows = [
        (str(folder), record.status, str(record.n_samples), ", ".join(record.systems))
        for folder, record in zip(folders, records, strict=True)
    ]
    print_table("runs", ("folder", "status", "samples", "systems"), rows)


def _list_prompts() -> None:
    prompts = Prompts(Catalogue(build_manager(block=blocked_by_environment())).prompt_folders())
    fronts = [(name, prompts.get(name).front) for name in prompts.names()]
    print_table("prompts", ("name", "reading", "for"), [(name, front.reading, front.purpose) for name, front in fronts])


def _list_offers(kind: str) -> None:
    offers = Catalogue(build_manager(block=blocked_by_environment())).offers(kind)
    rows = [
        (name, offer.owner, (offer.value.__doc__ or "").strip().split("\n")[0])
        for name, offer in sorted(offers.items())
    ]
    print_table(kind, ("name", "plugin", "what it is"), rows)
