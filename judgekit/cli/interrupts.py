"""Ctrl-C: once ends the run within seconds and keeps what was committed; twice ends it at once, whatever it does."""

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

# Linux's struct sigaction: bytes of the mask, which lies between the handler and the flags, and some of these.
_MASK, _RESTORER, _ON_STACK, _RESET = 128, 0x04000000, 0x08000000, 0x80000000
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
        signal.signal(number, handle)  # it was for one time
        for_one_time(number)
        click.echo("\nstopping: calls under way may end (a few seconds); Ctrl-C again stops at once", err=True)

    there = [getattr(signal, name) for name in ENDS if hasattr(signal, name)]
    handlers = {one: signal.signal(one, handle) for one in there if signal.getsignal(one) is not signal.SIG_IGN}
    for one in handlers:
        for_one_time(one)
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def for_one_time(number: int) -> None:
    """Let the signal's second arrival end the process, unless the handler has been set again by then.

    Handlers in Python run in the main thread, between two of its steps: C code that hangs there, or that keeps the
    interpreter's lock anywhere, leaves none. The kernel needs no such step. On Linux alone, whose struct this is.
    """
    if sys.platform != "linux":
        return
    import ctypes

    library, action = ctypes.CDLL(None), ctypes.create_string_buffer(512)
    flags = ctypes.c_uint.from_buffer(action, ctypes.sizeof(ctypes.c_void_p) + _MASK)
    if library.sigaction(number, None, action) == 0 and flags.value & ~_RESTORER == _ON_STACK:  # as Python sets them
        flags.value |= _RESET
        library.sigaction(number, action, None)


def leave() -> NoReturn:
    """End an interrupted process without the interpreter's own shutdown, which waits for or breaks threads in C code.

    All files are closed by now. A model in this process may still compute a reply that is no longer needed.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, StorageError):
            stream.flush()
    os._exit(Interrupted.exit_code)
