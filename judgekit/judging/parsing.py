"""A judge's text → Verdict: what every reading shares. Pure, and strict: nothing is ever guessed.

A reply comes without the judge's thoughts (thoughts.py). A reply that is not in the form asked for is `unparsed`;
`refused`, `truncated` and `error` are passed through. A reply that is as it was asked for, but for the call's nonce, is
`unsigned`: a judge that cannot say it may have been shown half of its prompt. A claim that the response under judgement
makes too may be an echo of it: echoes.py tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from judgekit.records import Reply, Verdict

ScaleEnds = tuple[float, float]


class Unreadable(ValueError):
    """The reply holds no verdict in a form that was asked for; the message says why."""


CUT_PROMPT = "the call's nonce is not echoed: the prompt may have been cut before the judge read it"


AMONG_THOUGHTS = ", among the judge's thoughts"  # ends the detail of a reply that came to nothing else


class CutPrompt(Unreadable):
    """The reply has the form asked for, but not the call's nonce."""

    def __init__(self) -> None:
        super().__init__(CUT_PROMPT)


class Said(NamedTuple):
    """What a reply says: the value, the reason given, and further values by name."""

    value: float
    rationale: str = ""
    series: Mapping[str, float] = {}


def read_reply(reply: Reply, read: Callable[[str], Said]) -> Verdict:
    """The verdict of one reply, by a function that reads its text or raises Unreadable. The text as it came is kept
    whatever the status."""
    if failed := passed_on(reply):
        return failed
    try:
        said = read(reply.text)
    except CutPrompt as reason:
        return Verdict(status="unsigned", raw=reply.whole, detail=str(reason))
    except Unreadable as reason:
        return Verdict(status="unparsed", raw=reply.whole, detail=why_unread(reply, reason))
    series = dict(said.series)
    return Verdict(status="scored", value=said.value, raw=reply.whole, rationale=said.rationale, series=series)


def passed_on(reply: Reply) -> Verdict | None:
    """The verdict on a reply that is not complete: refused, truncated, error."""
    if reply.status == "complete":
        return None
    detail = reply.detail or reply.status
    if reply.status == "truncated" and (reply.reasoning or reply.whole).strip() and not reply.text.strip():
        detail += AMONG_THOUGHTS
    return Verdict(status=reply.status, raw=reply.whole, detail=detail)


def why_unread(reply: Reply, reason: Exception) -> str:
    """Why a reply holds no verdict: of one without a text, what became of it."""
    return f"{reason}: {reply.detail}" if reply.detail and not reply.text.strip() else str(reason)


_STEP = re.compile(r"\s*(?:[0-9]{1,2}[.):]|[-*•])\s+(?P<step>\S.*)")
MOST_STEPS = 20


def read_steps(reply: Reply) -> tuple[str, ...] | Verdict:
    """The evaluation steps that a judge wrote, one a numbered (or bulleted) line; a verdict without a value, where it
    wrote none."""
    failed = passed_on(reply)
    if failed is None:
        matches = (_STEP.fullmatch(line.strip("*_ \t")) for line in reply.text.splitlines())
        steps = [step for match in matches if match and (step := match["step"].strip(FRAME))]
        if 1 < len(steps) <= MOST_STEPS:
            return tuple(steps)
        why = f"{len(steps)} numbered lines, where 2 to {MOST_STEPS} are asked for"
        failed = Verdict(status="unparsed", raw=reply.whole, detail=why_unread(reply, Unreadable(why)))
    detail = f"the judge wrote no evaluation steps ({failed.detail}): give steps: […] in the config"
    return failed.model_copy(update={"detail": detail})


FRAME = " \t*_`\"'#>()[]"  # Markdown, quotes and brackets around a short answer
