"""Options and helpers that the commands share: reading and writing files, and comparing questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import judgekit
import judgekit.data
from judgekit_instructions.converting import FORMATS, MAP

force = click.option("--force", is_flag=True, help="Replace files that are there.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
allow_empty = click.option("--allow-empty", is_flag=True, help="Take items with an empty output as they are.")
threshold = click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.8,
    show_default=True,
    help="From which similarity on two questions are nearly the same: Jaccard, of 4-grams of characters.",
)


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for reading a file, which `read` takes."""
    read_as = click.option("--from", "read_as", metavar="FORMAT", help=f"{FORMATS}; without it, as the file looks.")
    return read_as(MAP(command))


def read(
    path: Path,
    given: Mapping[str, Any],
    *,
    empty: bool = False,
    split: judgekit.data.Split | None = None,
    bad: list[judgekit.DataError] | None = None,
) -> list[judgekit.data.Item]:
    """The items of a file, or of one split of it, read as the options say; those that cannot be are left out where
    there is a list for their errors. Raises DataError with file and line."""
    empty = empty or given.get("allow_empty", False)
    names, form = given["names"], given["read_as"]
    return judgekit.data.read_items(path, form, split=split, mapping=names, empty=empty, bad=bad)


def write(path: Path, items: Sequence[judgekit.data.Item], format: str) -> None:
    """Write items in a format. Raises DataError where that loses something, StorageError."""
    try:
        judgekit.data.write_items(path, items, format)
    except judgekit.DataError as error:
        raise judgekit.DataError(f"{error}; `judgekit data convert --lossy` drops it") from None


def check_free(paths: Sequence[Path], force: bool) -> None:
    """Raises UsageError naming a file that would be overwritten."""
    if there := [path for path in paths if path.exists() and not force]:
        raise judgekit.UsageError("is there already; --force replaces it", path=there[0])


def question_of(sample: judgekit.Sample) -> str:
    """All that an item asks as one text, however its file divides it: equal questions are equal texts."""
    from judgekit_instructions.near import normalised

    return normalised(" ".join((sample.instruction, sample.input, *sample.turns, *sample.choices)))


def where(item: judgekit.data.Item) -> str:
    """The place of an item: its line, and in a JSON array its number too."""
    return item.place if item.place.startswith("line") else f"{item.place}, line {item.line}"


def shown(text: str, most: int = 60) -> str:
    """The beginning of a text, on one line."""
    return judgekit.shortened(" ".join(text.split()), most)
