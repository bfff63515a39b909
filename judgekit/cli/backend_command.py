"""Commands of plugins that ask backends by name: their options, and an open Client."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from judgekit.cli.options import executor, home, jobs, offline, progress
from judgekit.text import counted

if TYPE_CHECKING:
    from judgekit.pipeline.ask import Client

budget = click.option(
    "--budget",
    multiple=True,
    metavar="KEY=VALUE",
    help="The most that this start may spend: calls=500, tokens=200000 or usd=2; may be given again.",
)


def asks_backends(function: Callable[..., int]) -> Callable[..., int]:
    """For a command that asks backends by name: adds the options on how, and hands it an open Client as `client`.

    The command answers with its exit code. What it took is said at its end.
    """

    @functools.wraps(function)
    def command(*, budget: tuple[str, ...], progress: str, **given: Any) -> int:
        from judgekit.cli.interrupts import interruptible
        from judgekit.cli.progress import Progress
        from judgekit.config.blocks import THREADS
        from judgekit.config.load import read_overrides
        from judgekit.pipeline.ask import Client

        caps = read_overrides(budget, "--budget") if budget else None
        with interruptible() as stop, Progress(progress) as watcher:
            how = {name: given.pop(name) for name in ("home", "jobs", "offline")}
            how["executor"] = given.pop("executor") or THREADS
            with Client(**how, budget=caps, stop=stop, progress=watcher.judgekit_progress) as client:
                code = function(client=client, **given)
                watcher.close()
                for line in _took(client):
                    click.echo(line)
        return code

    for option in (progress, home, budget, offline, executor, jobs):
        command = option(command)
    return command


def _took(client: Client) -> Iterator[str]:
    """What this start took, and what that is of the budget; nothing, where it had nothing to ask."""
    if not client.asked + client.from_ledger and client.budget is None:
        return
    prompts, replies = client.tokens
    tokens = f"; {counted(prompts, 'token')} in and {replies:,} out" if prompts or replies else ""
    yield f"{counted(client.asked, 'call')} made, {client.from_ledger:,} answered by the ledger{tokens}"
    if client.budget is not None:
        yield f"budget: {', '.join(client.budget.described())} spent"
