"""Own patterns: a regular expression with one group says how a prompt's verdict is written.

Python's engine may take for ever over a pattern such as `(a+)+b`, and cannot be stopped from outside. So patterns are
matched in a process of their own, which ends itself when a reply takes it too long.
"""

from __future__ import annotations

import atexit
import json
import re
import subprocess
import sys
import threading
import warnings

from judgekit.judging import Unreadable

SECONDS = 2.0
LONGEST = 500  # characters of a pattern

# Where there is a timer of the process's own seconds, a busy machine costs no verdict.
_MATCHER = """
import faulthandler, json, os, re, signal, sys
nowhere = open(os.devnull, "w")
def limit(seconds):
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    elif seconds:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
    else:
        faulthandler.cancel_dump_traceback_later()
for line in sys.stdin:
    pattern, text, seconds = json.loads(line)
    limit(seconds)
    found = [[one[0], one[1]] for one in re.finditer(pattern, text)]
    limit(0)
    print(json.dumps(found), flush=True)
"""


def problem_of(pattern: str) -> str:
    """What is wrong with a pattern, in words; "" where nothing is."""
    if len(pattern) > LONGEST:
        return f"pattern: has {len(pattern)} characters, and {LONGEST} are the most"
    try:
        with warnings.catch_warnings(action="error"):  # such as `[[A]]`, where \[\[A\]\] is meant
            groups = re.compile(pattern).groups
    except (re.error, FutureWarning, OverflowError, RecursionError) as error:
        return f"pattern: {pattern!r} is no regular expression: {error}"
    if groups != 1:
        said = f"pattern: {pattern!r} has {groups} groups, and needs one, around the verdict"
        return f"{said}; (?:…) groups without counting" if groups else f"{said}: such as \\[\\[(.+?)\\]\\]"
    if re.compile(pattern).match("") is not None:
        return f"pattern: {pattern!r} fits no text at all: it needs something that must be there"
    return ""


class _Matcher:
    """The process that matches, started when it is first needed and again when it has ended itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def find(self, pattern: str, text: str) -> list[tuple[str, str]] | None:
        """(the whole, the group) of each match; None where it takes too long."""
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self.close()  # someone else has ended it
            if self._process is None:
                command = [sys.executable, "-I", "-S", "-c", _MATCHER]
                pipe, null = subprocess.PIPE, subprocess.DEVNULL
                self._process = subprocess.Popen(
                    command, stdin=pipe, stdout=pipe, stderr=null, encoding="ascii", start_new_session=True
                )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps([pattern, text, SECONDS]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            if not line:
                self.close()
                return None
            return [(whole, group or "") for whole, group in json.loads(line)]

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()  # closes its pipes, and waits for its end
            self._process = None


_matcher = _Matcher()
atexit.register(_matcher.close)


def found_by(pattern: str, text: str) -> tuple[str, str]:
    """(the whole, the group) of the pattern's match. Raises Unreadable where there is none, where matches differ, and
    where matching takes too long."""
    found = _matcher.find(pattern, text)
    if found is None:
        raise Unreadable(f"the pattern took longer than {SECONDS:g} s over this reply: write it without nested repeats")
    if not found:
        raise Unreadable("the pattern is not in the reply")
    if len({group.strip() for _, group in found}) > 1:
        raise Unreadable("the pattern fits more than one verdict")
    return found[-1]
