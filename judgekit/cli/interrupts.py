"""Ctrl-C: once ends the run within seconds and keeps what was committed; twice ends it at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click

from judgekit.errors import Interrupted, StorageError

ENDS = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that the first SIGINT, SIGTERM or SIGHUP sets; the second ends the process with exit code 130. One that
    is ignored (by nohup) stays so."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(Interrupted.exit_code)  # every committed reply is on disk; threads in a call cannot be joined
        stop.set()
        click.echo("\nstopping: calls under way may end (a few seconds); Ctrl-C again stops at once", err=True)

    there = [getattr(signal, name) for name in ENDS if hasattr(signal, name)]
    handlers = {one: signal.signal(one, handle) for one in there if signal.getsignal(one) is not signal.SIG_IGN}
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def leave() -> NoReturn:
    """End an interrupted process without the interpreter's own shutdown, which waits for or breaks threads in C code.

    All files are closed by now. A model in this process may still compute a reply that is no longer needed.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, StorageError):
            stream.flush()
    os._exit(Interrupted.exit_code)
