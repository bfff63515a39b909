"""`judgekit data mix`: one file made of several, in given shares, with a record of them."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

import judgekit
import judgekit.data
from judgekit_instructions import mixing
from judgekit_instructions.mixing import Drawn, Pool
from judgekit_instructions.options import allow_empty, check_free, force, read, reading, write


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="FILE[=WEIGHT]…")
@click.option("--into", type=click.Path(path_type=Path), required=True, help="File to write (.json or .jsonl).")
@click.option("--examples-proportional", is_flag=True, help="Shares as the sizes of the files, instead of weights.")
@click.option("--task-proportional", is_flag=True, help="Equal shares for all tasks, wherever their items stand.")
@click.option("--task-field", default="category", show_default=True, help="The field that names an item's task.")
@click.option("--temperature", type=float, metavar="T", help="Shares as min(n, cap)^(1/T) of the files' sizes n.")
@click.option("--cap", type=click.IntRange(1), metavar="K", help="Sizes count as at most K: T5's and FLAN's maximum.")
@click.option("--most", "limits", multiple=True, metavar="[FILE=]N", help="Use at most N items of a file, or of each.")
@click.option("--cot-share", type=click.FloatRange(0, 1), help="The share of items with a chain of thought.")
@click.option("--cot-file", "cot_files", multiple=True, metavar="FILE", help="A source that is all chain of thought.")
@click.option("--cot-field", metavar="FIELD", help="A field that says of an item whether it is.")
@click.option("--total", type=click.IntRange(1), help="Items to write; without it, the most without repeating any.")
@click.option("--repeat", is_flag=True, help="Repeat the items of a source that is exhausted, instead of an error.")
@click.option("--seed", default=0, show_default=True)
@click.option("--to", "format", metavar="FORMAT", help="Format of the file; without it, that of the first source.")
@reading
@allow_empty
@force
def mix(sources: tuple[str, ...], into: Path, **given: Any) -> None:
    """Mix instruction FILEs: by weights, by size, by task, or by size with a temperature.

    Items are drawn without replacement. The same seed gives the same file, byte for byte. Beside it, FILE.mix.json says
    what came from where.
    """
    named = _sources(sources)
    record = into.with_name(f"{into.name}.mix.json")
    check_free([into, record], given["force"])
    mixture = mixed(named, SimpleNamespace(**given))
    write(into, mixture.items, given["format"] or mixture.format)
    judgekit.write_atomically(record, (json.dumps(mixture.record, indent=1) + "\n").encode())
    judgekit.print_table(*mixture.table)
    click.echo(f"wrote {into} ({judgekit.counted(len(mixture.items), 'item')}) and {record}")


@dataclass(frozen=True)
class Mixture:
    """The items in order, the format of the first source, a record of the origin of the items, and the same as a table
    (title, columns, rows)."""

    items: Sequence[judgekit.data.Item]
    format: str
    record: Mapping[str, Any]
    table: tuple[str, Sequence[str], Sequence[Sequence[str]]]


def mixed(named: Mapping[str, float | None], options: SimpleNamespace) -> Mixture:
    """Read the sources and mix them; `options` are those of the command. Raises UsageError and DataError."""
    how = _manner(named, options)
    items: list[judgekit.data.Item] = []
    source_of: list[str] = []
    for name in named:
        more = read(Path(name), vars(options))
        items += more
        source_of += [name] * len(more)
    pools = _pools(named, options, items, source_of)
    total = mixing.most_without_repeats(pools) if options.total is None else options.total
    if not total:
        raise judgekit.UsageError("no item can be drawn without repeating another: give --total and --repeat")
    counts = mixing.apportioned(pools, total)
    if not options.repeat:
        _check_enough(pools, counts, total)
    drawn = mixing.draw(pools, counts, options.seed)
    order = mixing.order(drawn, options.seed)
    record = {
        "how": how,
        "seed": options.seed,
        "total": total,
        "pools": [_line(one, total) for one in drawn],
        "sources": _sources_record(named, source_of, order),
    }
    chosen = _with_own_ids([items[place] for place in order])
    return Mixture(chosen, items[0].format, record, _table(how, drawn, total))


def _sources(arguments: Sequence[str]) -> dict[str, float | None]:
    """Files and their weights. A file whose own name has a "=" in it is named with its weight, or is there."""
    named: dict[str, float | None] = {}
    for argument in arguments:
        name, separator, text = argument.rpartition("=")
        weight: float | None = None
        if not separator or Path(argument).exists():
            name = argument
        else:
            try:
                weight = float(text)
            except ValueError:
                raise judgekit.UsageError(
                    f"{argument}: {text!r} is no weight: write FILE=WEIGHT, as {name}=3"
                ) from None
        if name in named:
            raise judgekit.UsageError(f"{name} is named twice")
        named[name] = weight
    return named


def _manner(named: Mapping[str, float | None], options: SimpleNamespace) -> str:
    """The way in which shares are chosen, in words. Raises UsageError for two ways at once, or none."""
    weighted = [name for name, weight in named.items() if weight is not None]
    by_size = options.temperature is not None or options.examples_proportional
    ways = {
        "weights (FILE=WEIGHT)": bool(weighted),
        "--temperature": options.temperature is not None,
        "--examples-proportional": options.examples_proportional,
        "--task-proportional": options.task_proportional,
    }
    chosen = [way for way, wanted in ways.items() if wanted]
    if len(chosen) > 1:
        raise judgekit.UsageError(f"{' and '.join(chosen)}: each says what the shares are; give one")
    if not chosen and len(named) > 1:
        raise judgekit.UsageError(f"what are the shares? Give {', or '.join(ways)}")
    if weighted and len(weighted) < len(named):
        raise judgekit.UsageError(f"{next(name for name in named if named[name] is None)} has no weight, and others do")
    if options.temperature is not None and not 0 < options.temperature < float("inf"):
        raise judgekit.UsageError(f"--temperature is a number above 0, not {options.temperature:g}")
    if options.cap is not None and not by_size:
        raise judgekit.UsageError(
            "--cap is for shares that follow from sizes: --examples-proportional or --temperature"
        )
    if (options.cot_share is None) != (not options.cot_files and options.cot_field is None):
        raise judgekit.UsageError("a share of chain of thought needs both: --cot-share, and --cot-file or --cot-field")
    if options.temperature is not None:
        return f"temperature {options.temperature:g}" + (f", sizes capped at {options.cap:,}" if options.cap else "")
    if options.examples_proportional:
        return "examples-proportional" + (f", sizes capped at {options.cap:,}" if options.cap else "")
    return "task-proportional" if options.task_proportional else "weights"


def _pools(
    named: Mapping[str, float | None],
    options: SimpleNamespace,
    items: Sequence[judgekit.data.Item],
    source_of: Sequence[str],
) -> list[Pool]:
    usable = _limited(named, options, source_of)
    thinks = _thinking(named, options, items, source_of)
    key_of = [_task(items[place], options.task_field) for place in usable] if options.task_proportional else None
    members: dict[str, list[int]] = {} if key_of else {name: [] for name in named}
    for number, place in enumerate(usable):
        members.setdefault(key_of[number] if key_of else source_of[place], []).append(place)
    sizes = {name: len(places) for name, places in members.items()}
    if options.task_proportional:
        shares = mixing.by_weight(dict.fromkeys(sizes, 1.0))
    elif options.temperature is not None or options.examples_proportional:
        shares = mixing.by_size(sizes, options.temperature or 1, options.cap)
    else:
        shares = mixing.by_weight({name: 1.0 if weight is None else weight for name, weight in named.items()})
    if options.cot_share is None:
        return [mixing.Pool(name, places, shares[name]) for name, places in members.items()]
    pools = []
    for name, places in members.items():
        for kind in (False, True):
            part = [place for place in places if thinks[place] == kind]
            if part:
                label = f"{name} (chain of thought)" if kind else name
                pools.append(mixing.Pool(label, part, shares[name] * len(part) / len(places), kind))
    return mixing.with_thoughts(pools, options.cot_share)


def _limited(named: Mapping[str, float | None], options: SimpleNamespace, source_of: Sequence[str]) -> list[int]:
    """The places of the items that may be used: at most so many of each source, chosen by the seed."""
    most: dict[str, int] = {}
    for text in options.limits:
        name, _, number = text.rpartition("=")
        if not number.isascii() or not number.isdigit() or not int(number):
            raise judgekit.UsageError(f"--most {text}: write a number from 1 on, or FILE=NUMBER")
        _check_source(name, named, "--most")
        most |= {one: int(number) for one in ([name] if name else named) if name or one not in most}
    places: dict[str, list[int]] = {name: [] for name in named}
    for place, name in enumerate(source_of):
        places[name].append(place)
    for name, limit in most.items():
        if limit < len(places[name]):
            places[name] = sorted(random.Random(f"most {options.seed} {name}").sample(places[name], limit))
    return [place for name in named for place in places[name]]


def _check_source(name: str, named: Mapping[str, float | None], option: str) -> None:
    if name and name not in named:
        raise judgekit.UsageError(f"{option}: no source is {name!r}{judgekit.one_of(name, named)}")


def _thinking(
    named: Mapping[str, float | None],
    options: SimpleNamespace,
    items: Sequence[judgekit.data.Item],
    source_of: Sequence[str],
) -> list[bool]:
    """True for each item with a chain of thought: its file has them, or its field says so (any value but false or
    "")."""
    for name in options.cot_files:
        _check_source(name, named, "--cot-file")
    field = options.cot_field
    if field is not None and not any(field in item.fields for item in items):
        known = dict.fromkeys(key for item in items for key in item.fields)
        raise judgekit.UsageError(f"--cot-field: no item has a field {field!r}{judgekit.one_of(field, known)}")
    return [
        source in options.cot_files or (field is not None and bool(item.fields.get(field)))
        for item, source in zip(items, source_of, strict=True)
    ]


def _task(item: judgekit.data.Item, field: str) -> str:
    value = item.sample.category if field == "category" else item.fields.get(field)
    if value in (None, "") or not isinstance(value, str | int | float):
        raise item.error(f"has no {field!r}, which is to name its task (--task-field)")
    return str(value)


def _check_enough(pools: Sequence[Pool], counts: Sequence[int], total: int) -> None:
    """Raises UsageError that names every pool that would be exhausted."""
    short = [
        f"{pool.name} has {judgekit.counted(len(pool.members), 'item')}, and {count:,} are wanted"
        for pool, count in zip(pools, counts, strict=True)
        if count > len(pool.members)
    ]
    if short:
        most = mixing.most_without_repeats(pools)
        raise judgekit.UsageError(
            f"{'; '.join(short)}. Repeat them (--repeat), or take at most "
            f"{judgekit.counted(most, 'item')} in all (--total {most})"
        )


def _with_own_ids(items: Sequence[judgekit.data.Item]) -> list[judgekit.data.Item]:
    """The items with unique ids: one whose given id an earlier item has is renamed, since files number from 1."""
    taken: set[str] = set()
    result = []
    for item in items:
        given = next((key for key in ("id", "question_id", "conversation_id") if item.rest.get(key) is not None), None)
        if given is not None:
            unique, count = str(item.rest[given]), 1
            while unique in taken:
                count += 1
                unique = f"{item.rest[given]}-{count}"
            taken.add(unique)
            if count > 1:
                item = replace(item, rest={**item.rest, given: unique})
        result.append(item)
    return result


def _line(one: Drawn, total: int) -> dict[str, Any]:
    return {
        "name": one.pool.name,
        "available": len(one.pool.members),
        "requested": round(one.pool.share, 9),
        "realised": round(one.count / total, 9),
        "items": one.count,
        "repeated": one.repeated,
    }


def _sources_record(
    named: Mapping[str, float | None], source_of: Sequence[str], order: Sequence[int]
) -> list[dict[str, Any]]:
    used = Counter(source_of[place] for place in order)
    return [
        {
            "file": name,
            "sha256": hashlib.sha256(Path(name).read_bytes()).hexdigest(),
            "available": source_of.count(name),
            "items": used[name],
            "different": len({place for place in order if source_of[place] == name}),
        }
        for name in named
    ]


def _table(how: str, drawn: Sequence[Drawn], total: int) -> tuple[str, Sequence[str], Sequence[Sequence[str]]]:
    rows = [
        (
            one.pool.name,
            f"{len(one.pool.members):,}",
            f"{one.pool.share:.2%}",
            f"{one.count / total:.2%}",
            f"{one.count:,}",
            f"{one.repeated:,}" if one.repeated else "",
        )
        for one in drawn
    ]
    return (
        f"{judgekit.counted(total, 'item')} by {how}",
        ("", "there are", "requested", "realised", "items", "of them repeated"),
        rows,
    )
