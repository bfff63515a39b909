"""GitHub's workflow commands, `::error title=…::message`, to be printed where a step's output is read.

GitHub shows ten annotations of a step at most: the worst come first, and the last says how many are left out.
Passing rules are silent.
"""

from __future__ import annotations

from collections.abc import Mapping

import judgekit
from judgekit_ci.cases import WORDS, WORST, Case, cases
from judgekit_ci.texts import one_line, visible

MOST = 10
LONGEST = 2000  # characters of a message
_COMMANDS = {"fail": "error", "error": "error", "inconclusive": "warning"}


def commands(run: judgekit.RunView, sections: object) -> Mapping[str, bytes]:
    """{"annotations.txt": …}: at most ten lines; none where everything passed."""
    bad = [case for case in cases(run) if case.outcome != "pass"]
    bad.sort(key=lambda case: WORST.index(case.outcome))
    shown = bad if len(bad) <= MOST else bad[: MOST - 1]
    lines = [_command(case) for case in shown]
    if left := len(bad) - len(shown):
        rest = f"and {left} more: see the summary, or junit.xml"
        lines.append(f"::{_COMMANDS[bad[len(shown)].outcome]} title={_property(run.record.name)}::{rest}")
    return {"annotations.txt": "".join(f"{line}\n" for line in lines).encode()}


def _command(case: Case) -> str:
    title = _property(one_line(f"{WORDS[case.outcome]}: {case.name}", 200))
    message = visible("\n".join([case.message, *(line for line in case.lines if line != case.message)]))
    return f"::{_COMMANDS[case.outcome]} title={title}::{_data(judgekit.shortened(message, LONGEST))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text)).replace(":", "%3A").replace(",", "%2C")
