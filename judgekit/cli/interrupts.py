"""Ctrl-C: once ends the run within seconds and keeps what was committed; twice ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second ends the process with exit code 130."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(130)  # every committed reply is already on disk; threads in a call cannot be joined
        stop.set()
        click.echo("\nstopping: calls under way may end (a few seconds); Ctrl-C again stops at once", err=True)

    handlers = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
