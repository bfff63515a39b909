"""A wait between two attempts, which ends soon after the run was stopped."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from judgekit.errors import (
    Interrupted,
)

_stopping: ContextVar[Callable[[], bool]] = ContextVar("judgekit_stopping", default=lambda: False)


@contextlib.contextmanager
def stoppable(stopping: Callable[[], bool]) -> Iterator[None]:
    """In this thread, a wait between two attempts ends with Interrupted soon after `stopping()` turns true."""
    token = _stopping.set(stopping)
    try:
        yield
    finally:
        _stopping.reset(token)


def wait(seconds: float) -> None:
    stopping = _stopping.get()
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if stopping():
            raise Interrupted("stopped while waiting to ask again")
        time.sleep(min(left, 0.1))
