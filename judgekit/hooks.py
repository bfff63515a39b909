"""How a plugin's code is called: within a deadline, and with what it prints on standard error.

Standard output belongs to the command: it may be JSON.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from judgekit.errors import UsageError

SECONDS = 120.0  # that one call of a hook may take; JUDGEKIT_HOOK_SECONDS sets another limit


class NoEnd(BaseException):
    """A hook that did not come back. No Exception, so that the hook itself does not take it for one of its own."""


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """In the block, `print` writes on standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def deadline() -> Iterator[None]:
    """The block ends in time, or raises NoEnd in the midst of what it does; in the main thread, where there are timers.

    Another's timer (pytest-timeout's, for one) is set again at the end.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    seconds = _seconds()

    def late(number: int, frame: object) -> None:
        raise NoEnd(f"no end after {seconds:g} s (JUDGEKIT_HOOK_SECONDS sets the limit)")

    before, began = signal.signal(signal.SIGALRM, late), time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again each second, if it is caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 1e-3), interval)


def _seconds() -> float:
    given = os.environ.get("JUDGEKIT_HOOK_SECONDS", "")
    try:
        seconds = float(given or SECONDS)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise UsageError(f"JUDGEKIT_HOOK_SECONDS is a number of seconds, not {given!r}")
    return seconds
