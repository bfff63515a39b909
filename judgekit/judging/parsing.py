"""A judge's text → Verdict: what every reading shares. Pure, and strict: nothing is ever guessed.

The answer is what comes after the last thoughts (`<think>…</think>`). A reply that is not in the form asked for is
`unparsed`; `refused`, `truncated` and `error` are passed through. A reply that is as it was asked for, but for the
call's nonce, is `unsigned`: a judge that cannot say it may have been shown half of its prompt. A claim that the
response under judgement makes too may be an echo of it: echoes.py tells.
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
    """The verdict of one reply, by a function that reads its text (without thoughts) or raises Unreadable. The raw text
    is kept whatever the status."""
    if failed := passed_on(reply):
        return failed
    try:
        said = read(without_thoughts(reply.text))
    except CutPrompt as reason:
        return Verdict(status="unsigned", raw=reply.text, detail=str(reason))
    except Unreadable as reason:
        return Verdict(status="unparsed", raw=reply.text, detail=str(reason))
    series = dict(said.series)
    return Verdict(status="scored", value=said.value, raw=reply.text, rationale=said.rationale, series=series)


def passed_on(reply: Reply) -> Verdict | None:
    """The verdict on a reply that is not complete: refused, truncated, error."""
    if reply.status == "complete":
        return None
    detail = reply.detail or reply.status
    if (
        reply.status == "truncated"
        and (reply.reasoning or reply.text).strip()
        and not without_thoughts(reply.text).strip()
    ):
        detail += AMONG_THOUGHTS
    return Verdict(status=reply.status, raw=reply.text, detail=detail)


_STEP = re.compile(r"\s*(?:[0-9]{1,2}[.):]|[-*•])\s+(?P<step>\S.*)")
MOST_STEPS = 20


def read_steps(reply: Reply) -> tuple[str, ...] | Verdict:
    """The evaluation steps that a judge wrote, one a numbered (or bulleted) line; a verdict without a value, where it
    wrote none."""
    failed = passed_on(reply)
    if failed is None:
        matches = (_STEP.fullmatch(line.strip("*_ \t")) for line in without_thoughts(reply.text).splitlines())
        steps = [step for match in matches if match and (step := match["step"].strip(FRAME))]
        if 1 < len(steps) <= MOST_STEPS:
            return tuple(steps)
        why = f"{len(steps)} numbered lines, where 2 to {MOST_STEPS} are asked for"
        failed = Verdict(status="unparsed", raw=reply.text, detail=why)
    detail = f"the judge wrote no evaluation steps ({failed.detail}): give steps: […] in the config"
    return failed.model_copy(update={"detail": detail})


THOUGHTS = "think|thinking|thought|reasoning"  # the tags around them
_THOUGHT = re.compile(rf"\s*<({THOUGHTS})>.*?</\1>", re.DOTALL | re.IGNORECASE)
_EDGE = re.compile(
    rf"^[ \t]*<(?P<first>/?)(?:{THOUGHTS})>|<(?P<last>/?)(?:{THOUGHTS})>[ \t]*\r?$", re.MULTILINE | re.IGNORECASE
)


def without_thoughts(text: str) -> str:
    """The text after its last thoughts. Thoughts that never end leave nothing.

    A tag in the middle of a line is a mention of one, as in a rationale, unless it is at the text's beginning. Some
    chat formats open the thoughts in the prompt, so that the reply holds only their end.
    """
    begin = 0
    while thought := _THOUGHT.match(text, begin):
        begin = thought.end()
    edges = list(_EDGE.finditer(text, begin))
    if not edges:
        return text[begin:]
    return text[edges[-1].end() :] if "/" in (edges[-1]["first"], edges[-1]["last"]) else ""


FRAME = " \t*_`\"'#>()[]"  # Markdown, quotes and brackets around a short answer
