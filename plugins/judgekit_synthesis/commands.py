"""`judgekit data self-instruct | evolve | reflect` from the command line."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

import judgekit
from judgekit_synthesis import OPERATIONS

_FILE = click.Path(path_type=Path, dir_okay=False)
_INTO = click.option("--into", type=_FILE, required=True, help="File for the items, .json or .jsonl.")
_BACKEND = click.option("--backend", required=True, metavar="NAME", help="The backend that writes.")
_SET = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Of the backend: its options, temperature, price.input, limits.concurrency, …, as in a config's models:.",
)
_JUDGE = click.option("--judge", metavar="NAME", help="The backend that judges.")
_JUDGE_SET = click.option(
    "--judge-set", multiple=True, metavar="KEY=VALUE", help="Of the judge: the same, and mode, scale, criterion, …"
)
_SEED = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, envvar="JUDGEKIT_SEED", help="Of every drawing."
)
_SKIP = click.option("--skip-failed", is_flag=True, help="Go on without calls that fail, instead of ending there.")
_BATCH = click.option(
    "--batch", type=click.IntRange(1), default=8, show_default=True, help="Items that go through the stages together."
)
_FORM = click.option(
    "--form",
    type=click.Choice(["chat", "ko", "open"]),
    default="chat",
    show_default=True,
    help="Of the prompts. ko: in Korean; open: for a small or base model, which goes on with them.",
)


@click.command("self-instruct")
@click.option("--seeds", type=_FILE, required=True, help="Tasks to start from, in the Alpaca shape.")
@_BACKEND
@_SET
@_INTO
@click.option("--keep", type=click.IntRange(1), default=50, show_default=True, help="Items to make.")
@click.option("--tries", type=click.IntRange(1), help="Calls for tasks at most.  [default: 20 an item]")
@_SEED
@_FORM
@click.option("--wanted", type=click.IntRange(1), default=4, show_default=True, help="Tasks to ask for in a call.")
@click.option(
    "--show",
    nargs=2,
    type=click.IntRange(0),
    default=(6, 2),
    show_default=True,
    help="Seeds and kept tasks in a prompt.",
)
@click.option(
    "--words",
    nargs=2,
    type=click.IntRange(1),
    default=(4, 150),
    show_default=True,
    help="Fewest and most words of a task.",
)
@click.option(
    "--near",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.7,
    show_default=True,
    help="ROUGE-L to an earlier task from which a new one is left out.",
)
@click.option("--forbid", multiple=True, metavar="WORD", help="Leave out tasks with this word too.")
@_BATCH
@_SKIP
@judgekit.asks_backends
def self_instruct(
    client: judgekit.Client,
    seeds: Path,
    into: Path,
    keep: int,
    tries: int | None,
    show: tuple[int, int],
    forbid: tuple[str, ...],
    **given: Any,
) -> int:
    """Make new instruction data from a few seed tasks (Self-Instruct).

    Killed, or stopped by its budget, the same command goes on: no call that was answered is made again, and the
    file gets the bytes of an uninterrupted run.
    """
    from judgekit_synthesis import filters, work
    from judgekit_synthesis.making import digest
    from judgekit_synthesis.self_instruct import SelfInstruct, SelfInstructOptions

    items = work.read_items(seeds)
    recipe = {key: given[key] for key in ("form", "wanted", "words", "near", "batch")}
    options = SelfInstructOptions(shown=show, forbidden=(*filters.FORBIDDEN, *forbid), **recipe)
    options.check()
    maker = work.maker_for(client, given)
    making = SelfInstruct(maker, items, options)
    decides = {**asdict(options), "forbidden": digest(options.forbidden), "seeds": digest(items)}
    return work.carry_out("self-instruct", maker, into, decides, keep, lambda: making.run(keep, tries or 20 * keep))


@click.command("evolve")
@click.argument("items", metavar="IN", type=_FILE)
@_BACKEND
@_SET
@_INTO
@click.option("--rounds", type=click.IntRange(1), default=4, show_default=True, help="Changes of every task.")
@click.option("--keep", type=click.IntRange(1), help="Stop at so many items.")
@click.option(
    "--operation", "chosen", multiple=True, type=click.Choice(OPERATIONS), help="Only this one; may be given again."
)
@click.option(
    "--gain",
    type=click.Choice(["judged", "words"]),
    default="judged",
    show_default=True,
    help="How to tell that a change adds something: by asking, or (where a model is too weak) by its new words.",
)
@_JUDGE
@_JUDGE_SET
@_SEED
@_FORM
@_BATCH
@_SKIP
@judgekit.asks_backends
def evolve(
    client: judgekit.Client,
    items: Path,
    into: Path,
    rounds: int,
    keep: int | None,
    chosen: tuple[str, ...],
    judge: str | None,
    judge_set: tuple[str, ...],
    **given: Any,
) -> int:
    """Make harder and rarer tasks of those in IN, round after round (Evol-Instruct).

    --judge says whether a change has added anything; without it, the writer does. Killed, or stopped by its budget,
    the same command goes on.
    """
    from judgekit_synthesis import work
    from judgekit_synthesis.evolve import Evolve
    from judgekit_synthesis.making import digest

    tasks, form, batch, gain = work.read_items(items), given["form"], given["batch"], given["gain"]
    if judge_set and judge is None:
        raise judgekit.UsageError("--judge-set is for a --judge, and none is named")
    if judge is not None and gain == "words":
        raise judgekit.UsageError("--gain words asks no judge: leave one of the two out")
    maker = work.maker_for(client, given)
    part = {**judgekit.read_overrides(judge_set), "backend": judge}
    judging = client.model(part, "--judge-set") if judge is not None else None
    making = Evolve(maker, tasks, form, chosen or OPERATIONS, batch, judging, gain)
    decides = {
        "items": digest(tasks),
        "form": form,
        "operations": making.operations,
        "batch": batch,
        "gain": gain,
        "judge": work.told(judging) if judging else None,
    }
    return work.carry_out("evolve", maker, into, decides, keep, lambda: making.run(rounds, keep))


@click.command("reflect")
@click.argument("source", type=click.Path(path_type=Path))
@_INTO
@click.option(
    "--margin", type=click.FloatRange(0), default=0.0, show_default=True, help="The least difference, on the scale."
)
@click.option("--metric", metavar="NAME", help="Of a run: whose verdicts.  [default: the only one]")
@click.option("--system", "systems", multiple=True, metavar="NAME", help="Of a run: whose responses.  [default: all]")
@click.option("--backend", metavar="NAME", help="Of a file: the backend that criticises and improves.")
@_SET
@_JUDGE
@_JUDGE_SET
@_SEED
@_BATCH
@_SKIP
@judgekit.asks_backends
def reflect(
    client: judgekit.Client,
    source: Path,
    into: Path,
    margin: float,
    metric: str | None,
    systems: tuple[str, ...],
    **given: Any,
) -> int:
    """Make pairs of a chosen and a rejected response, for `judgekit gpt2 dpo`.

    Of SOURCE, the folder of a run (runs/<id>): for each sample the response that its judge scored best, and the
    worst; of a pairwise metric, the winner and the loser. Ties are left out.

    Of SOURCE, a file of instructions with outputs: --backend criticises each output and writes a better one, and
    --judge scores both. A pair is kept where the new one scores higher.
    """
    from judgekit_synthesis import pairs, reflection

    if not source.exists():
        raise judgekit.UsageError("no such folder of a run, nor file of instructions", path=source)
    if source.is_dir() or source.name == "record.json":
        if any(given[name] for name in ("settings", "judge_set")) or (given["backend"], given["judge"]) != (None, None):
            raise judgekit.UsageError("a run has its verdicts: --backend and --judge are for a file of instructions")
        return pairs.command(source, into, metric, systems, margin)
    if metric is not None or systems:
        raise judgekit.UsageError(f"--metric and --system are for the folder of a run, and {source} is none")
    if given["backend"] is None or given["judge"] is None:
        raise judgekit.UsageError("of a file of instructions, name a --backend that improves and a --judge that scores")
    return reflection.command(client, source, into, margin, given)


def add_to(group: click.Group) -> None:
    """Add the commands to `judgekit data`."""
    for command in (self_instruct, evolve, reflect):
        group.add_command(command)
