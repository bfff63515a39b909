"""For commands that ask backends by name and are no run, such as those of plugins: their options, and an open Asker."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from judgekit.cli.options import home, jobs, offline, progress
from judgekit.text import counted

if TYPE_CHECKING:
    from judgekit.pipeline.ask import Asker

budget = click.option(
    "--budget",
    multiple=True,
    metavar="KEY=VALUE",
    help="The most that this start may spend: calls=500, tokens=200000 or usd=2; may be given again.",
)


def asks_backends(function: Callable[..., int]) -> Callable[..., int]:
    """For a command that asks backends by name: adds the options on how, and hands it an open Asker as `asker`.

    The command answers with its exit code. What it took is said at its end.
    """

    @functools.wraps(function)
    def command(*, jobs: int, home: Path, offline: bool, budget: tuple[str, ...], progress: str, **given: Any) -> int:
        from judgekit.cli.interrupts import interruptible
        from judgekit.cli.progress import Progress
        from judgekit.config.load import read_overrides
        from judgekit.pipeline.ask import Asker

        caps = read_overrides(budget, "--budget") if budget else None
        with interruptible() as stop, Progress(progress) as watcher:
            told = watcher.judgekit_progress
            with Asker(home=home, jobs=jobs, offline=offline, budget=caps, stop=stop, progress=told) as asker:
                code = function(asker=asker, **given)
                watcher.close()
                for line in _took(asker):
                    click.echo(line)
        return code

    for option in (progress, home, budget, offline, jobs):
        command = option(command)
    return command


def _took(asker: Asker) -> Iterator[str]:
    """What this start took, and what that is of the budget; nothing, where it had nothing to ask."""
    if not asker.asked + asker.from_ledger and asker.budget is None:
        return
    prompts, replies = asker.tokens
    tokens = f"; {counted(prompts, 'token')} in and {replies:,} out" if prompts or replies else ""
    yield f"{counted(asker.asked, 'call')} made, {asker.from_ledger:,} answered by the ledger{tokens}"
    if asker.budget is not None:
        yield f"budget: {', '.join(asker.budget.described())} spent"
