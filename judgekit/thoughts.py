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
_DETAILS = r'<details type="reasoning"[^>]*>'  # as chat interfaces export it; its end alone says nothing
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
        begin, ended = 0, True
        while ended and (further := self._after(text, begin)) is not None:
            begin, ended = further
        answer = text[begin:]
        if not begin or not ended:
            return Parted(answer, begin, ended)
        bare = answer.lstrip()
        return Parted(bare.rstrip(), begin + len(answer) - len(bare))

    def _after(self, text: str, begin: int) -> tuple[int, bool] | None:
        """(where the text goes on after thoughts, whether these ended); None: there are none from here on."""
        marks = list(self._marks(text, begin))
        if not marks:
            return None
        if not text[begin : marks[0].start].strip() and not marks[0].closes and (end := _closed(marks)):
            return end, True
        if not text[begin : marks[0].start].strip() and marks[0].kind == 0:
            return len(text), False
        edges = _edges(text, begin, [mark for mark in marks if mark.kind])
        if not edges:
            return None
        last = edges[-1]
        end = last.end if last.closes else _closed(marks[marks.index(last) :])
        return (end, True) if end else (len(text), False)

    def _marks(self, text: str, begin: int) -> Iterator[_Mark]:
        for found in self._pattern.finditer(text, begin):
            place = (found.lastindex or 1) - 1
            yield _Mark(place // 2, bool(place % 2), *found.span())

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Every mark, each a group: opening and closing by turns."""
        pairs = [(re.escape(one), re.escape(end)) for one, end in (*MARKS.items(), *self.own)]
        return re.compile(
            "|".join(f"({one})|({end})" for one, end in [(_DETAILS, "</details>"), *pairs]), re.IGNORECASE
        )


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


def _closed(marks: list[_Mark]) -> int:
    """Where the thoughts that the first mark opens end: at the mark that closes them, thoughts within them closed
    before, else at the first of its kind; 0: nowhere."""
    mine, depth = [mark for mark in marks if mark.kind == marks[0].kind], 0
    for mark in mine:
        depth += -1 if mark.closes else 1
        if not depth:
            return mark.end
    return next((mark.end for mark in mine if mark.closes), 0)


def _edges(text: str, begin: int, marks: list[_Mark]) -> list[_Mark]:
    """The marks that are no mention: they begin or end a line, outside of the answer's fenced blocks; or a lone closing
    one stands at the end of a sentence, or between two words, without a space."""
    fences = _fences(text, begin)
    opened: set[int] = set()
    edges = []
    for mark in marks:
        before = text[max(begin, text.rfind("\n", 0, mark.start) + 1) : mark.start]
        after = text[mark.end :].partition("\n")[0]
        lone = mark.closes and mark.kind not in opened and before.count("`") % 2 == 0
        glued = before.endswith(_SENTENCE_ENDS) or (before[-1:].isalnum() and after[:1].isalnum())
        edge = not before.strip(" \t") or not after.strip(" \t\r") or (lone and glued)
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
    channels = _CHANNEL.match(text) is not None
    finals = [final for final in _FINAL.finditer(text) if channels or final["sure"] is not None]
    if not finals:
        return Parted("", len(text), ended=False) if channels else None
    answer = _FINAL_ENDS.split(text[finals[-1].end() :], maxsplit=1)[0]
    return Parted(answer.strip(), finals[-1].end() + len(answer) - len(answer.lstrip()))
