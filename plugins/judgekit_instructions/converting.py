"""`judgekit data convert`: instruction data from one format into another, without loss unless loss is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

import judgekit
import judgekit.data

FORMATS = "alpaca, dolly, sharegpt or messages"


def mapping(context: click.Context, option: click.Parameter, pairs: Sequence[str]) -> dict[str, str]:
    """FIELD=NAME pairs, by the format's field."""
    renamed: dict[str, str] = {}
    for pair in pairs:
        field, separator, name = pair.partition("=")
        if not (separator and field and name):
            raise click.BadParameter(f"{pair!r}: write FIELD=NAME, such as instruction=question")
        if field in renamed:
            raise click.BadParameter(f"{field!r} is mapped twice")
        renamed[field] = name
    return renamed


MAP = click.option(
    "--map",
    "names",
    multiple=True,
    metavar="FIELD=NAME",
    callback=mapping,
    help="IN's name of a field of the format, such as instruction=question; may be given again.",
)


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--from", "read_as", metavar="FORMAT", help=f"{FORMATS}, or mt-bench; without it, as IN looks.")
@click.option("--to", "write_as", metavar="FORMAT", required=True, help=f"{FORMATS}.")
@MAP
@click.option("--lossy", is_flag=True, help="Write although something is lost, and say how much.")
@click.option("--allow-empty", is_flag=True, help="Take items with an empty output as they are.")
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
def convert(
    source: Path,
    target: Path,
    read_as: str | None,
    write_as: str,
    names: Mapping[str, str],
    lossy: bool,
    allow_empty: bool,
    force: bool,
) -> None:
    """Write the items of IN in another format to OUT: JSONL if its name ends in .jsonl, else a JSON array.

    What the other format has no place for is kept as a field of the item. If something would be lost even so, nothing
    is written, unless with --lossy.
    """
    items = judgekit.data.read_items(source, read_as, mapping=names, empty=allow_empty)
    if target.exists() and not force:
        raise judgekit.UsageError("is there already; --force replaces it", path=target)
    objects, losses = judgekit.data.objects_of(items, write_as)
    if losses and not lossy:
        line = min(loss.first.line for loss in losses)
        raise judgekit.DataError(f"{write_as} cannot hold {_listed(losses)}; --lossy drops it", path=source, line=line)
    judgekit.data.write_objects(target, objects)
    if losses:
        click.echo(f"dropped: {_listed(losses)}", err=True)
    click.echo(f"{len(items):,} item{'s' * (len(items) > 1)}, {items[0].format} → {write_as}", err=True)
    click.echo(target)


def _listed(losses: Sequence[judgekit.data.DroppedField]) -> str:
    """The fields that are lost, each with its number of items and first line."""
    return ", ".join(
        f"{loss.field} of {loss.count:,} item{'s' * (loss.count > 1)} (from line {loss.first.line} on)"
        for loss in losses
    )
