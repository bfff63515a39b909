"""A judge's text → Verdict: what every reading shares. Pure, and strict: nothing is ever guessed.

The answer is what comes after the last thoughts (`<think>…</think>`). A claim that the response under judgement makes
too, in whatever case, marks or width of letters, may be an echo of it: `is_echo` and `stands_in` tell. A reply that is
not in the form asked for is `unparsed`; `refused`, `truncated` and `error` are passed through. A reply that is as it
was asked for, but for the call's nonce, is `truncated`: a judge that cannot say it may have been shown half of its
prompt.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from judgekit.records import Reply, Verdict

ScaleEnds = tuple[float, float]


class Unreadable(ValueError):
    """The reply holds no verdict in a form that was asked for; the message says why."""


CUT_PROMPT = "the call's nonce is not echoed: the prompt may have been cut before the judge read it"


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
        return Verdict(status="truncated", raw=reply.text, detail=str(reason))
    except Unreadable as reason:
        why = f"{reason}: {reply.detail}" if reply.detail and not reply.text else str(reason)
        return Verdict(status="unparsed", raw=reply.text, detail=why)
    series = dict(said.series)
    return Verdict(status="scored", value=said.value, raw=reply.text, rationale=said.rationale, series=series)


def passed_on(reply: Reply) -> Verdict | None:
    """The verdict on a reply that is not complete: refused, truncated, error."""
    if reply.status == "complete":
        return None
    return Verdict(status=reply.status, raw=reply.text, detail=reply.detail or reply.status)


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


def is_echo(line: str, responses: Iterable[str], cut: bool = False) -> bool:
    """Whether the line also is a line of one of the responses, or of what is left of an echo of them when its thoughts
    are cut off; `cut`: whether it is the beginning of one."""
    fold = len(_heard(line)) > 1  # "A" is no echo of the response "a"
    said, begun = _heard(line, fold), line.strip(FRAME) if cut else ""
    texts = {text for response in responses for text in (response, without_thoughts(response))}
    lines = [other for text in texts for other in text.splitlines()]
    return any(
        (said and _heard(other, fold) == said) or (begun and other.strip(FRAME).startswith(begun)) for other in lines
    )


def stands_in(claim: str, responses: Iterable[str]) -> bool:
    """Whether one of the responses holds the claim, in a line or across lines: an echo may break them otherwise."""
    said = f" {_heard(claim)} "
    return any(said in f" {_heard(response)} " for response in dict.fromkeys(responses))


_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]")
_WORD = re.compile(r"[^\W_]+|:")


def _heard(text: str, fold: bool = True) -> str:
    """The words and colons of a text, without what an echo may lose or change: case (`fold`), marks, widths of
    letters, characters that are not seen."""
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).replace("=", ":")
    return " ".join(_WORD.findall(plain.casefold() if fold else plain))
