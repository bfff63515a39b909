"""A model's thoughts, told from its answer. Every reply passes here on its way to whoever asked. Pure.

Thoughts stand between two marks at the text's beginning, or at the edges of lines. Some chat formats open them in the
prompt, so that the reply holds only their end. A mark in the middle of a line, or in a fenced block of the answer, is a
mention of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator

from judgekit.records import Reply

NAMES = ("think", "thinking", "thought", "thoughts", "reasoning", "seed:think")  # of tags: <think> … </think>
MARKS = {
    **{f"<{name}>": f"</{name}>" for name in NAMES},
    "◁think▷": "◁/think▷",
    "[THINK]": "[/THINK]",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|channel>thought": "<channel|>",
    "<unused94>thought": "<unused95>",
}
_DETAILS = r'<details type="reasoning"[^>]{0,200}>'  # as chat interfaces export it; its end alone says nothing
MOST_MARKS = 200  # among which the end of thoughts is looked for
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")
_ENDLESS = "its thoughts never end"
NO_ANSWER = "the reply is empty"
_NOTHING = "nothing is left after its thoughts"

# harmony: <|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…<|return|>
_CHANNEL = re.compile(r"\s*(?:<\|start\|>assistant[^<\n]*)?<\|channel\|>")
_FINAL = re.compile(
    r"(?P<sure><\|start\|>assistant[^<\n]*|^[ \t]*)?"
    r"<\|channel\|>\s*final\b[^<\n]*(?:<\|constrain\|>[^<\n]*)?<\|message\|>",
    re.MULTILINE,
)
_FINAL_ENDS = re.compile(r"<\|(?:return|end|call)\|>")
_BARE_FINAL = re.compile(r"\s*analysis.*assistantfinal", re.DOTALL)  # where a server dropped the marks themselves
_FENCE = re.compile(r"^[ \t]*(?P<fence>```+|~~~+)[^\n`]*\n.*?^[ \t]*(?P=fence)[ \t]*\r?$", re.MULTILINE | re.DOTALL)
_BULLET = re.compile(r"[ \t]*(?:[-*•]|\d+[.)])[ \t]+")
_FENCE_LINE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_NAMED_FENCE = re.compile(r"\n[ \t]*(?:```+|~~~+)\w")


def _closing(mark: str) -> str:
    """`</x>` of `<x>`, `[/x]` of `[x]`."""
    return f"{mark[0]}/{mark[1:]}"


def _read(value: Any) -> Any:
    """The option: None for strip, and own marks with their closing ones."""
    if value in (None, "strip", "keep"):
        return None if value == "strip" else value
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"is strip, keep, or a list of opening tags such as ['<scratchpad>'], not {value!r}")
    pairs = []
    for one in value:
        pair = [one] if isinstance(one, str) else list(one) if isinstance(one, list | tuple) else []
        if not 1 <= len(pair) <= 2 or not all(isinstance(mark, str) and len(mark.strip()) > 1 for mark in pair):
            raise ValueError(f"a tag is '<scratchpad>', or its two ends ['BEGIN', 'END'], not {one!r}")
        if len(pair) == 1 and pair[0][0].isalnum():
            raise ValueError(f"{one!r} does not say how it is closed: write '<{one}>', or both ends [{one!r}, '…']")
        if len(set(pair)) < len(pair):
            raise ValueError(f"the two ends of a tag are different, not {one!r}")
        pairs.append((pair[0], pair[-1] if len(pair) == 2 else _closing(pair[0])))
    return tuple(pairs)


# `thoughts` of a model or judge: strip (None), keep, or own tags beside the known ones.
ThoughtsOption = Annotated[Literal["keep"] | tuple[tuple[str, str], ...] | None, BeforeValidator(_read)]


class Parted(NamedTuple):
    """The answer, where it begins in the text, and whether the thoughts before it ended (if there were any)."""

    answer: str
    begin: int
    ended: bool = True


class _Mark(NamedTuple):
    kind: int
    closes: bool
    start: int
    end: int


@dataclass(frozen=True)
class Thoughts:
    """What counts as thoughts: the known marks and `own` ones; nothing, with `keep`."""

    keep: bool = False
    own: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, option: Any) -> Thoughts:
        return _made(option)

    def cut(self, reply: Reply) -> Reply:
        """The reply with its answer alone as `text`, its tokens too, and the whole text as `raw`. A reply of which
        nothing is left says why."""
        if self.keep or not reply.text:
            return reply
        parted = self.part(reply.text)
        if parted.answer == reply.text:
            return reply
        why = "" if parted.answer.strip() else _NOTHING if parted.ended else _ENDLESS
        if why and reply.status == "truncated":
            why = f"{why}: raise max_new_tokens"
        detail = "; ".join(part for part in (reply.detail, why) if part)
        update: dict[str, Any] = {"text": parted.answer, "raw": reply.text, "detail": detail}
        if reply.tokens:
            starts = list(accumulate((len(token.text) for token in reply.tokens), initial=0))
            begin = self.part("".join(token.text for token in reply.tokens)).begin
            update["tokens"] = reply.tokens[sum(start < begin for start in starts) :]
        return reply.model_copy(update=update)

    def part(self, text: str) -> Parted:
        """The text parted. Thoughts that never end leave nothing. White space around an answer that had thoughts
        before it belongs to them."""
        if self.keep:
            return Parted(text, 0)
        if (harmony := _harmony(text)) is not None:
            return harmony
        marks, at, begin, ended = list(self._marks(text)), 0, 0, True
        while ended and at < len(marks) and (further := _after(text, begin, marks, at)) is not None:
            begin, ended = further
            while at < len(marks) and marks[at].start < begin:
                at += 1
        answer = text[begin:]
        if not begin or not ended:
            return Parted(answer, begin, ended)
        bare = answer.lstrip()
        return Parted(bare.rstrip(), begin + len(answer) - len(bare))

    def _marks(self, text: str) -> Iterator[_Mark]:
        for found in self._pattern.finditer(text):
            place = (found.lastindex or 1) - 1
            yield _Mark(place // 2, bool(place % 2), *found.span())

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Every mark, each a group: opening and closing by turns."""
        pairs = [(_mark(one), _mark(end)) for one, end in (*MARKS.items(), *self.own)]
        first = "".join({f"{mark[0].lower()}{mark[0].upper()}" for pair in self.own for mark in pair})
        marks = "|".join(f"({one})|({end})" for one, end in [(_DETAILS, "</details>"), *pairs])
        return re.compile(f"(?=[<◁{re.escape('[' + first)}])(?:{marks})")  # most places of a text are passed at once


def _mark(text: str) -> str:
    """A pattern for a mark: <THINK> is <think>, but [Think] is a stage direction."""
    return re.escape(text) if text.startswith("[") else f"(?i:{re.escape(text)})"


@lru_cache(maxsize=64)
def _made(option: Any) -> Thoughts:
    return Thoughts(keep=True) if option == "keep" else Thoughts(own=option or ())


STRIP = Thoughts()


def why_empty(reply: Reply) -> list[str]:
    """Why a complete reply holds no answer; nothing for one that holds any."""
    silent = reply.status == "complete" and not reply.text.strip() and not reply.tokens
    return [reply.detail or NO_ANSWER] if silent else []


def without_thoughts(text: str) -> str:
    """The text after its last thoughts, by the known marks. Thoughts that never end leave nothing."""
    return STRIP.part(text).answer


def _after(text: str, begin: int, marks: list[_Mark], at: int) -> tuple[int, bool] | None:
    """(where the text goes on after thoughts, whether these ended), from the mark at `at`; None: there are none."""
    first, leads = marks[at], not text[begin : marks[at].start].strip()
    if leads and not first.closes and (end := _closed(marks, at)):
        return end, True
    if leads and first.kind == 0:
        return len(text), False
    places = {mark: place for place, mark in enumerate(marks)}
    for last in reversed(_edges(text, begin, [mark for mark in marks[at:] if mark.kind])):
        end = last.end if last.closes else _closed(marks, places[last])
        if not end:
            return len(text), False
        # An opening mark that is closed within a line, with words set apart around it, is a mention.
        before = text[text.rfind("\n", 0, last.start) + 1 : last.start]
        if last.closes or not (before.strip() or text[last.end : last.end + 1] == " "):
            return end, True
    return None


def _closed(marks: list[_Mark], at: int) -> int:
    """Where the thoughts that the mark at `at` opens end: at the mark that closes them, thoughts within them closed
    before, else at the first of its kind; 0: nowhere."""
    depth, first = 0, 0
    for mark in marks[at : at + MOST_MARKS]:
        if mark.kind == marks[at].kind:
            depth += -1 if mark.closes else 1
            first = first or (mark.end if mark.closes else 0)
            if not depth:
                return mark.end
    return first


def _edges(text: str, begin: int, marks: list[_Mark]) -> list[_Mark]:
    """The marks that are no mention: they begin or end a line, outside of the answer's fenced blocks; or a lone closing
    one stands at the end of a sentence, or between two words, without a space."""
    fences = _fences(text, begin)
    opened: set[int] = set()
    edges = []
    for mark in marks:
        before = text[max(begin, text.rfind("\n", 0, mark.start) + 1) : mark.start]
        line_end = text.find("\n", mark.end)
        after = text[mark.end : line_end if line_end >= 0 else len(text)]
        lone = mark.closes and mark.kind not in opened and before.count("`") % 2 == 0
        glued = before.endswith(_SENTENCE_ENDS) or (before[-1:].isalnum() and after[:1].isalnum())
        edge = not before.strip(" \t") or not (after.strip(" \t\r") or _BULLET.fullmatch(before)) or (lone and glued)
        if edge and not any(low <= mark.start < high for low, high in fences):
            edges.append(mark)
        if not mark.closes:
            opened.add(mark.kind)
    return edges


def _fences(text: str, begin: int) -> list[tuple[int, int]]:
    """The fenced blocks after some words; none where a fence is left open, perhaps within the thoughts."""
    if len(_FENCE_LINE.findall(text, begin)) % 2:
        return []
    found = [fence for fence in _FENCE.finditer(text, begin) if text[begin : fence.start()].strip()]
    return [fence.span() for fence in found if not _NAMED_FENCE.search(fence[0])]


def _harmony(text: str) -> Parted | None:
    """The final channel of a text in channels; None for another text."""
    if bare := _BARE_FINAL.match(text):
        answer = text[bare.end() :]
        return Parted(answer.strip(), bare.end() + len(answer) - len(answer.lstrip()))
    if "<|channel|>" not in text:
        return None
    channels = _CHANNEL.match(text) is not None
    finals = [final for final in _FINAL.finditer(text) if channels or final["sure"] is not None]
    if not finals:
        return Parted("", len(text), ended=False) if channels else None
    answer = _FINAL_ENDS.split(text[finals[-1].end() :], maxsplit=1)[0]
    return Parted(answer.strip(), finals[-1].end() + len(answer) - len(answer.lstrip()))
