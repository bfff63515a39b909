"""Progress of a run on stderr: rich bars on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from judgekit.hookspecs import hookimpl
from judgekit.text import counted

if TYPE_CHECKING:
    from judgekit.config.blocks import RunConfig

PLAIN_SECONDS = 10.0  # between two plain lines of one stage


class Progress:
    """A watcher plugin. `mode` is auto (bars where stderr is a terminal), plain or none."""

    def __init__(self, mode: str) -> None:
        self.mode = ("bars" if sys.stderr.isatty() else "plain") if mode == "auto" else mode
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def __enter__(self) -> Progress:
        if self.mode == "bars":
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bars = Progress(*columns, console=Console(stderr=True))
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    @hookimpl
    def judgekit_run_started(self, run_id: str, config: RunConfig) -> None:
        self._line(f"run {run_id}: {counted(len(config.models), 'model')}, {counted(len(config.metrics), 'metric')}")

    @hookimpl
    def judgekit_progress(self, stage: str, done: int, total: int, note: str) -> None:
        if self._bars is not None:
            self._bar(stage, done, total, note)
        elif self.mode == "plain":
            self._plain(stage, done, total, note)

    def _bar(self, stage: str, done: int, total: int, note: str) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total or None, note="")
        self._bars.update(self._tasks[stage], completed=done, total=total or None, note=note)

    def _plain(self, stage: str, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        self._started.setdefault(stage, now)
        finished = done == total > 0
        if not finished and now - self._said.get(stage, 0.0) < PLAIN_SECONDS:
            return
        if self._said.get(stage) == float("inf"):
            return
        self._said[stage] = float("inf") if finished else now
        count = f"{done}/{total}" if total else str(done) if done else "started"
        self._line(f"{stage}: {count}{f' · {note}' if note else ''} ({now - self._started[stage]:.0f} s)")

    def _line(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(text, highlight=False, markup=False)
        elif self.mode == "plain":
            click.echo(text, err=True)


@contextmanager
def download_progress() -> Iterator[Callable[[str, int, int], None]]:
    """The progress of `judgekit.data.download` on stderr: one line, renewed on a terminal, else every tenth."""
    shown: dict[str, int] = {}  # tenths, by file
    terminal = sys.stderr.isatty()

    def show(name: str, done: int, total: int) -> None:
        text = f"{name}  {done / 1e6:,.1f} MB" + (f" of {total / 1e6:,.1f}" if total else "")
        tenth = 10 * done // total if total else 0
        if terminal:
            click.echo(f"\r\033[K{text}", nl=False, err=True)
        elif tenth > shown.get(name, 0):
            click.echo(text, err=True)
        shown[name] = tenth

    try:
        yield show
    finally:
        if terminal:
            click.echo("\r\033[K", nl=False, err=True)
