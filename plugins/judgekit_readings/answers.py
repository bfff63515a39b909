"""Short answers: a number of the scale, or a preference, alone or in a labelled line. Pure, and strict.

An answer is the last labelled line (`Score: 85`, or its number on the next line), the mark at the reply's end
(`[[85]]`), the one `<score>` tag, or a reply of one line. The label may carry the call's nonce (`Score 3fa9c1d2: 85`);
where one does, lines without it are not read. An answer without the nonce that the response under judgement gives too
is not read: it may be an echo.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from judgekit.judging import FRAME, ScaleEnds, Unreadable, claims, is_echo, stands_in
from judgekit_readings.objects import short

PREFERENCE: Mapping[str, float] = {"A": 1.0, "B": 0.0, "tie": 0.5}
# Arena-Hard's grades: how much better is said in the reply, and which is better is the preference. (Li et al., 2024)
ARENA = {
    "a>>b": 1.0, "a>b": 1.0, "a=b": 0.5, "b=a": 0.5, "b>a": 0.0, "b>>a": 0.0,
    "a<<b": 0.0, "a<b": 0.0, "b<a": 1.0, "b<<a": 1.0,
}  # fmt: skip
ECHO = "the answer also stands in the response under judgement, and may be its echo"


@dataclass(frozen=True)
class Asked:
    """What the prompt asked for: the scale, the call's nonce, the texts under judgement as they were shown, the weight
    of each criterion, where it asked for several, and the task that the responses are to. `pattern`: how the verdict
    is written, where the prompt has a way of its own; `tie`: the letter that it gives a tie."""

    nonce: str
    scale: ScaleEnds = (0.0, 100.0)
    responses: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    task: tuple[str, ...] = ()
    pattern: str = ""
    tie: str = ""


Value = Callable[[str, Asked], float]
LABELS = {"score": ("score", "rating", "점수", "평점"), "winner": ("winner", "승자")}
_LABELLED = re.compile(
    r"(?:(?:final|overall|최종)[ \t]+)?(?P<label>score|rating|점수|평점|winner|승자)(?:[ \t]+(?P<tag>[0-9A-Za-z]+))?"
    r"(?P<ends>[ \t]*\([^()]{1,24}\))?[ \t*_]*(?:[:=：＝](?P<rest>.*)|$)",
    re.IGNORECASE,
)
_BULLET = re.compile(r"\s*(?:[-*•·‣◦–]|[0-9]{1,2}[.)])[ \t]+")
_MARKED = re.compile(r"\[\[([^\[\]]{1,40})\]\]")
_TAGGED = re.compile(r"<(score|rating|winner|verdict)>([^<>]{0,40})</\1>", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{([^{}]{0,40})\}")
_NUMBER = re.compile(
    r"(?P<number>-?(?:0|[1-9][0-9]{0,8}))(?:\.0{1,6})?"
    r"(?:[ \t*_]*(?:/|out[ \t]+of)[ \t*_]*(?P<top>-?[0-9]{1,9})(?:\.0{1,6})?|[ \t]*점|[ \t]*(?P<percent>%))?",
    re.IGNORECASE,
)
_ENDS = re.compile(
    r"(?:(?P<low>-?[0-9]{1,9})[ \t]*(?:-|–|to|\.\.)[ \t]*|(?:out[ \t]+of|/)[ \t]*)(?P<high>-?[0-9]{1,9})"
)


def answer(text: str, kind: str, asked: Asked, value: Value) -> float:
    """The value of the reply's answer. `kind` is one of the LABELS."""
    lines = _out_of_fence([line for line in text.splitlines() if line.strip()])
    if not lines:
        raise Unreadable("the reply is empty")
    plain: dict[str, str] = {}
    for place in range(len(lines) - 1, -1, -1):
        match = _label(lines[place], kind, asked)
        if match is None:
            continue
        said = partial(_rest, match, lines[place + 1 : place + 3], asked, value)
        if match["tag"] == asked.nonce:
            return value(said(), asked)  # no response can hold the nonce: this line is the judge's own
        if match["tag"] is None:
            plain.setdefault(match["label"].casefold(), said())
    if plain:
        found = {value(one, asked) for one in plain.values()}
        if len(found) > 1:
            raise Unreadable(f"the labels {' and '.join(plain)} do not say the same")
        return _own(found.pop(), next(iter(plain.values())), kind, asked)
    alone = _without_bullet(lines[0], asked) if len(lines) == 1 else ""
    if (marked := _marked(text, lines, kind)) is not None and not _reads(alone, asked, value):
        return _own(value(marked, asked), marked, kind, asked)
    if not alone:
        raise Unreadable(f"neither a bare answer nor a line '{kind.capitalize()}: …'")
    found_alone = value(alone, asked)
    quoted = "[[" in alone and any(_holds_mark(bare(alone), text) for text in asked.responses)
    if quoted or is_echo(alone, asked.responses) or is_echo(bare(alone), asked.responses):
        raise Unreadable(ECHO)
    return found_alone


def _out_of_fence(lines: list[str]) -> list[str]:
    """The lines without the code fence that all of them stand in."""
    fenced = len(lines) > 2 and re.fullmatch(r"```[a-z]*\s*", lines[0]) and lines[-1].strip() == "```"
    return lines[1:-1] if fenced else lines


def _reads(said: str, asked: Asked, value: Value) -> bool:
    try:
        value(said, asked)
    except Unreadable:
        return False
    return True


def _label(line: str, kind: str, asked: Asked) -> re.Match[str] | None:
    """The line's label of this kind. Behind it may stand the ends of the scale, and no other ones."""
    match = _LABELLED.fullmatch(_BULLET.sub("", line, count=1).strip(FRAME)) or _LABELLED.fullmatch(line.strip(FRAME))
    if match is None or match["label"].casefold() not in LABELS[kind]:
        return None
    if match["ends"]:
        ends = _ENDS.fullmatch(match["ends"].strip(FRAME))
        if (
            ends is None
            or float(ends["high"]) != asked.scale[1]
            or float(ends["low"] or asked.scale[0]) != asked.scale[0]
        ):
            return None
    return match


def _rest(match: re.Match[str], after: list[str], asked: Asked, value: Value) -> str:
    """What stands behind the label: in its line, or else in the next one, where no other answer follows."""
    if match["rest"] is not None and match["rest"].strip(FRAME):
        tagged = _TAGGED.fullmatch(f"{match['rest'].strip(FRAME)}>")
        return str(tagged[2] if tagged else match["rest"])
    if len(after) > 1 and all(_reads(line, asked, value) for line in after):
        raise Unreadable("two answers below the label")
    return after[0] if after else ""


def _marked(text: str, lines: list[str], kind: str) -> str | None:
    """What stands in `<score>…</score>`, or in `[[…]]` at the reply's end; None where there is neither."""
    names = ("winner", "verdict") if kind == "winner" else ("score", "rating")
    tagged: set[str] = {said.strip() for name, said in _TAGGED.findall(text) if name.lower() in names}
    marked: set[str] = {said.strip() for said in _MARKED.findall(text)}
    if len(tagged) > 1 or (tagged and marked and tagged != marked):
        raise Unreadable("more than one marked answer")
    if tagged:
        return tagged.pop()
    last = lines[-1].rstrip(" \t.*_`\"'")
    if not marked or not last.endswith("]]"):
        return None
    if len(marked) > 1:
        raise Unreadable("more than one marked answer")
    return marked.pop()


def _own(value: float, said: str, kind: str, asked: Asked) -> float:
    """The value, if the response does not claim it too."""
    number = kind == "score"
    names = [f"{value:g}"] if number else [bare(said), *(name for name, one in PREFERENCE.items() if one == value)]
    for name in names:
        if claims(name, LABELS[kind] + (("grade",) if number else ("verdict",)), asked.responses):
            raise Unreadable(ECHO)
        if any(stands_in(f"{label}: {name}", (*asked.responses, *asked.task)) for label in LABELS[kind]):
            raise Unreadable(ECHO)
        if any(_holds_mark(name, text) for text in asked.responses):
            raise Unreadable(ECHO)
    return value


def _holds_mark(name: str, text: str) -> bool:
    return any(is_echo(name, [said]) for said in re.findall(r"\[\s*\[([^\[\]]{1,40})\]\s*\]", text))


def bare(said: str) -> str:
    """The answer without what stands around it."""
    before = None
    while before != said:
        before, said = said, said.strip(FRAME + "$").removesuffix(".")
        said = said.removeprefix("\\(").removesuffix("\\)").removeprefix("\\[").removesuffix("\\]").removesuffix("\\")
        if (boxed := _BOXED.fullmatch(said)) is not None:
            said = boxed[1]
    return said


def _without_bullet(line: str, asked: Asked) -> str:
    """The line without a bullet; a dash is none where it may be a minus."""
    dash = re.match(r"\s*[-–][^0-9]*[0-9]", line) and asked.scale[0] < 0
    numbered = line.lstrip()[:1].isdigit()
    return line if dash or numbered else _BULLET.sub("", line, count=1)


def number(said: str, asked: Asked) -> float:
    """An integer of the scale; over the scale's end as in `8/10`, with a zero behind the point, and `85 %` of 100."""
    scale, text = asked.scale, bare(said)
    match = _NUMBER.fullmatch(text)
    if match is None or match["number"] == "-0":
        raise Unreadable(f"not an integer: {short(said.strip(FRAME))}")
    top = 100 if match["percent"] else match["top"]
    if top is not None and (int(top) != scale[1] or (match["percent"] and scale[0] != 0)):
        raise Unreadable(f"not on the scale {scale[0]:g} to {scale[1]:g}: {short(said.strip(FRAME))}")
    return in_range(int(match["number"]), scale)


def in_range(score: int, scale: ScaleEnds) -> float:
    if not scale[0] <= score <= scale[1]:
        raise Unreadable(f"out of range {scale[0]:g} to {scale[1]:g}: {short(score)}")
    return float(score)


def preference(said: str, asked: Asked) -> float:
    """A, B or tie, in whatever case, or one of Arena-Hard's grades; the letter of a tie, where the prompt gives it."""
    text = bare(said)
    choice = re.sub(r"^(?:response|assistant|answer|model|option) ", "", text.casefold())
    if asked.tie and choice == asked.tie.casefold():
        return PREFERENCE["tie"]
    worth = {name.casefold(): value for name, value in PREFERENCE.items()} | ARENA
    grade = re.sub(r"\s", "", choice.replace("≫", ">>").replace("≪", "<<"))
    if grade not in worth or not grade.isascii():
        raise Unreadable(f"none of A, B, tie: {short(said.strip(FRAME))}")
    return worth[grade]
