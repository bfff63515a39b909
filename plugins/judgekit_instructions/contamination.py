"""`judgekit data contamination`: training items that are in a test set."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

import judgekit
import judgekit.data
from judgekit_instructions.options import as_json, check_free, force, read, reading, shown, threshold, where, write
from judgekit_instructions.overlap import Overlap, overlap

SPLITS = click.Choice(["train", "test", "validation"])
MOST_SHOWN = 20


@click.command()
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("test", required=False, type=click.Path(path_type=Path))
@click.option("--train-split", type=SPLITS, help="Look only at this split of TRAIN; train, where TEST is not named.")
@click.option("--test-split", type=SPLITS, help="Look only at this split of TEST; test, where TEST is not named.")
@click.option("--filter", "target", metavar="OUT", type=click.Path(path_type=Path), help="Write TRAIN without them.")
@threshold
@as_json
@reading
@force
def contamination(train: Path, test: Path | None, target: Path | None, **given: Any) -> None:
    """Find the items of TEST whose question stands in TRAIN, word for word or nearly.

    Without TEST, the test split of TRAIN is held against its train split. Questions are instructions with their inputs;
    case and spaces do not count, and outputs do not either.
    """
    if target is not None:
        check_free([target], given["force"])
    named = test is not None
    ours, theirs = _given_to_each([train, test or train], given)
    learnt = read(train, ours, empty=True, split=given["train_split"] or (None if named else "train"))
    tested = read(test or train, theirs, empty=True, split=given["test_split"] or (None if named else "test"))
    shared = overlap([item.sample for item in learnt], [item.sample for item in tested], given["threshold"])
    kept = [item for place, item in enumerate(learnt) if place not in shared.learnt]
    if target is not None:
        if not kept:
            raise judgekit.DataError(f"none of its {len(learnt):,} items is left", path=train)
        write(target, kept, learnt[0].format)
    if given["as_json"]:
        click.echo(json.dumps(_tree(learnt, tested, shared), indent=1))
        return
    counts = f"{len(shared.exact):,} exactly, {len(shared.near):,} nearly"
    title = f"{len(tested):,} test items, of which in the {len(learnt):,} training items: {counts}"
    rows = list(_rows(learnt, tested, shared))
    if rows:
        columns = ("test item", "training items", "alike", "the test item's question")
        judgekit.print_table(title, columns, rows[:MOST_SHOWN])
    else:
        click.echo(title)
    if len(rows) > MOST_SHOWN:
        click.echo(f"and {len(rows) - MOST_SHOWN:,} more: --json has all")
    if target is not None:
        click.echo(f"dropped {len(learnt) - len(kept):,} of {len(learnt):,} training items", err=True)
        click.echo(target)


def _given_to_each(files: Sequence[Path], given: dict[str, Any]) -> list[dict[str, Any]]:
    """The options for each file: a mapping is for those that have the field. Raises DataError where none has."""
    there = [next(judgekit.data.read_objects(file)).fields.keys() for file in files]
    names: dict[str, str] = given["names"]
    for field, name in names.items():
        if not any(name in keys for keys in there):
            known = list(dict.fromkeys(key for keys in there for key in keys))
            raise judgekit.DataError(f"no file has a field {name!r} to be its {field!r}{judgekit.one_of(name, known)}")
    return [{**given, "names": {field: name for field, name in names.items() if name in keys}} for keys in there]


def _rows(
    learnt: Sequence[judgekit.data.Item], tested: Sequence[judgekit.data.Item], shared: Overlap
) -> Iterator[tuple[str, ...]]:
    for number, places in shared.exact.items():
        listed = ", ".join(where(learnt[place]) for place in places)
        yield where(tested[number]), listed, "exactly", _question(tested[number])
    for number, pairs in shared.near.items():
        place, similarity = pairs[0]
        more = f" and {len(pairs) - 1} more" if len(pairs) > 1 else ""
        yield where(tested[number]), f"{where(learnt[place])}{more}", f"{similarity:.2f}", _question(tested[number])


def _question(item: judgekit.data.Item) -> str:
    return shown(f"{item.sample.instruction} {item.sample.input}", 70)


def _tree(
    learnt: Sequence[judgekit.data.Item], tested: Sequence[judgekit.data.Item], shared: Overlap
) -> dict[str, Any]:
    def named(item: judgekit.data.Item) -> dict[str, Any]:
        return {"id": item.sample.id, "line": item.line}

    return {
        "training_items": len(learnt),
        "test_items": len(tested),
        "exact": [
            {"test": named(tested[number]), "train": [named(learnt[place]) for place in places]}
            for number, places in shared.exact.items()
        ],
        "near": [
            {
                "test": named(tested[number]),
                "train": [{**named(learnt[place]), "similarity": round(alike, 4)} for place, alike in pairs],
            }
            for number, pairs in shared.near.items()
        ],
    }
