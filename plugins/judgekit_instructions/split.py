"""`judgekit data split`: one file into train, test and validation."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import judgekit
import judgekit.data
from judgekit_instructions import splitting
from judgekit_instructions.options import allow_empty, check_free, force, question_of, read, reading, threshold, write

if TYPE_CHECKING:
    from judgekit_instructions.near import NearPair

PARTS = ("train", "test", "validation")


def _shares(context: click.Context, option: click.Parameter, text: str) -> dict[str, float]:
    """A/B/C in percent as shares of train, test and validation; a part with nothing is left out."""
    try:
        percents = [float(number) for number in text.split("/")]
    except ValueError:
        percents = []
    if not 2 <= len(percents) <= 3 or not all(0 <= percent <= 100 for percent in percents):
        raise click.BadParameter(f"{text!r}: write the percents of train/test/validation, as 85/10/5 or 80/20")
    if abs(sum(percents) - 100) > 1e-6:
        raise click.BadParameter(f"{text!r} sums to {sum(percents):g} %, not to 100 %")
    return {part: percent / 100 for part, percent in zip(PARTS, percents, strict=False) if percent}


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), required=True, help="Folder for the parts.")
@click.option(
    "--shares", default="85/10/5", show_default=True, callback=_shares, help="Percents of train/test/validation."
)
@click.option("--seed", type=int, help="Choose the items by chance; without it, by file order.")
@click.option("--grouped", is_flag=True, help="Keep questions together that are nearly the same.")
@click.option("--group-by", metavar="FIELD", help="Keep items together that agree in this field.")
@threshold
@reading
@allow_empty
@force
def split(source: Path, into: Path, **given: Any) -> None:
    """Split the items of IN into train, test and validation, each a file of the same format.

    By file order it is the split of "LLMs from Scratch"; items with a field `split` of their own go where it says. With
    --grouped or --group-by no two parts share a group.
    """
    items = read(source, given)
    shares = given["shares"]
    ending = source.suffix if source.suffix in (".json", ".jsonl", ".ndjson") else ".json"
    order = range(len(items)) if given["seed"] is None else splitting.shuffled(len(items), given["seed"])
    groups = None
    if given["grouped"] or given["group_by"] is not None:
        parts, groups = _grouped(items, order, given)
    elif given["seed"] is None and any(item.fields.get("split") for item in items):
        parts = _own(items)
    else:
        parts = splitting.in_order(order, shares)
    if empty := [part for part, places in parts.items() if not places]:
        raise judgekit.DataError(
            f"there is none for {' and '.join(empty)} in {judgekit.counted(len(items), 'item')}", path=source
        )
    targets = {part: into / f"{part}{ending}" for part in parts}
    check_free(list(targets.values()), given["force"])
    for part, places in parts.items():
        write(targets[part], [_with_split(items[place], part) for place in places], items[0].format)
    _print(items, parts, groups)
    click.echo(into)


def _grouped(
    items: Sequence[judgekit.data.Item], order: Sequence[int], given: dict[str, Any]
) -> tuple[dict[str, list[int]], list[int]]:
    """The parts, and the group of every item: the cluster of its question, the value of its field, or both joined.

    The rare pair that near_duplicates missed is looked for between the parts, where none is missed, and joined.
    """
    from judgekit_instructions.near import clusters, folded, near_duplicates

    questions = [folded(question_of(item.sample)) for item in items]
    pairs = [] if given["group_by"] is None else _agreeing(items, given["group_by"])
    if given["grouped"]:
        pairs += near_duplicates(questions, given["threshold"])
    while True:
        groups = clusters(len(items), pairs)
        parts = splitting.grouped(order, groups, given["shares"])
        missed = _across(list(parts.values()), questions, given["threshold"]) if given["grouped"] else []
        if not missed:
            return parts, groups
        pairs += missed


def _across(parts: Sequence[Sequence[int]], questions: Sequence[str], threshold: float) -> list[NearPair]:
    """The pairs of near questions that stand in two parts."""
    from judgekit_instructions.near import NearPair, near_between

    across = []
    for number, places in enumerate(parts):
        for others in parts[:number]:
            pairs = near_between([questions[p] for p in places], [questions[p] for p in others], threshold)
            across += [NearPair(places[pair.first], others[pair.second], pair.similarity) for pair in pairs]
    return across


def _agreeing(items: Sequence[judgekit.data.Item], field: str) -> list[NearPair]:
    """Each item with the first one that has the same value in a field."""
    from judgekit_instructions.near import NearPair

    first: dict[str, int] = {}
    pairs = []
    for place, item in enumerate(items):
        value = item.sample.category if field == "category" else item.fields.get(field)
        if value is None:
            known = dict.fromkeys(key for one in items for key in one.fields)
            raise item.error(f"no field {field!r} to group by{judgekit.one_of(field, known)}")
        pairs.append(NearPair(first.setdefault(str(value), place), place, 1.0))
    return pairs


def _own(items: Sequence[judgekit.data.Item]) -> dict[str, list[int]]:
    """The parts that the items themselves name."""
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for place, item in enumerate(items):
        try:
            parts[judgekit.data.split_of(item)].append(place)
        except judgekit.DataError as error:
            raise item.error(f"{error.message}; --seed or --grouped pass it over") from None
    return {part: places for part, places in parts.items() if places}


def _with_split(item: judgekit.data.Item, part: str) -> judgekit.data.Item:
    """The item with its `split` field corrected, if it has one."""
    return replace(item, rest={**item.rest, "split": part}) if "split" in item.rest else item


def _print(items: Sequence[judgekit.data.Item], parts: dict[str, list[int]], groups: Sequence[Hashable] | None) -> None:
    """Print the table, with the number of questions of other parts that are in train too."""
    questions = [question_of(item.sample) for item in items]
    learnt = {questions[place] for place in parts.get("train", ())}
    rows = []
    for part, places in parts.items():
        seen = sum(questions[place] in learnt for place in places) if part != "train" else 0
        counted = [f"{len({groups[place] for place in places}):,}"] if groups is not None else []
        rows.append(
            [part, f"{len(places):,}", f"{len(places) / len(items):.2%}", *counted, f"{seen:,}" if seen else ""]
        )
    columns = ["", "items", "share", *(["groups"] if groups is not None else []), "asked in train too"]
    judgekit.print_table(judgekit.counted(len(items), "item"), columns, rows)
    if groups is None and any(row[-1] for row in rows):
        click.echo("some questions stand in train and elsewhere: --grouped keeps them together", err=True)
