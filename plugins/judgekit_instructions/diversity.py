"""Diversity of instruction data: kinds of task, verb–noun roots, lengths, and the share of different words. Pure.

The heuristics are plain ones, without a parser: an English instruction's verb is its first word, and its noun the last
of the words that follow before a preposition, a sign or the like. The kind of a Korean one is told by the stem of a
verb."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import judgekit
import judgekit.data

_KINDS: dict[str, str] = {
    "question": "what who whom whose when where why how which is are was were do does did can could should would will",
    "writing": "write generate create compose make draft invent design develop construct produce come imagine build",
    "rewriting": "rewrite edit change convert paraphrase translate correct rephrase transform replace reword reverse "
    "turn fix modify adapt rearrange simplify shorten insert add remove combine complete fill punctuate revise arrange",
    "classification": "classify identify categorize categorise label determine detect decide check find pick choose "
    "select sort match group predict judge evaluate rate rank assign spot highlight",
    "summary": "summarize summarise extract condense outline",
    "explanation": "explain define describe compare discuss analyze analyse elaborate interpret state clarify contrast",
    "listing": "list name provide give suggest offer recommend propose brainstorm recall mention tell",
    "calculation": "calculate compute solve count add multiply divide simplify evaluate estimate",
}
_KIND_OF = {verb: kind for kind, verbs in reversed(_KINDS.items()) for verb in verbs.split()}
_KOREAN = {
    "번역|바꾸|바꿔|고치|고쳐|수정|변환|다듬": "rewriting",
    "요약|추출": "summary",
    "분류|고르|골라|판단|찾": "classification",
    "계산|구하|푸시|풀어": "calculation",
    "설명|정의|비교|묘사": "explanation",
    "나열|열거|알려|추천|제시|제안": "listing",
    "작성|쓰시|써|만들|생성|지으|지어": "writing",
    r"무엇|누구|언제|어디|왜|어떻게|몇|인가요|입니까|\?": "question",
}
_KOREAN_KINDS = [(re.compile(stems), kind) for stems, kind in _KOREAN.items()]
_STOPS = (  # words that end those belonging to a noun
    "of for to in on at with by from about into as that which who whose using and or but whether if when where how "
    "what why is are was were be between without within through than so because containing describing given based"
)
_SKIPS = "a an the this that these those your my his her its their our some any me us please"
_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]")
_WORD = re.compile(r"\w+")
_WINDOW = 1000  # words
_STOP, _SKIP = frozenset(_STOPS.split()), frozenset(_SKIPS.split())


def kind(instruction: str) -> str:
    """The kind of task; "other" where its words do not tell."""
    words = _WORD.findall(instruction.casefold())
    words = [word for word in words[:4] if word not in ("please", "can", "could", "you")] or words[:1]
    if not words:
        return "other"
    if words[0] in _KIND_OF:
        return _KIND_OF[words[0]]
    last = re.split(r"(?<=[.?!])\s", instruction.strip())[-1]
    return next((name for stems, name in _KOREAN_KINDS if stems.search(last)), "other")


def root(instruction: str) -> tuple[str, str] | None:
    """(verb, noun) of an English instruction that begins with a verb; None for a question, or where no noun follows."""
    tokens = [token.casefold() for token in _TOKEN.findall(instruction)]
    while tokens and tokens[0] in ("please", "kindly"):
        tokens = tokens[1:]
    if len(tokens) < 2 or not tokens[0].isascii() or not tokens[0].isalpha() or _KIND_OF.get(tokens[0]) == "question":
        return None
    noun = ""
    for token in tokens[1:]:
        if token in _SKIP and not noun:
            continue
        if token in _STOP or token in _SKIP or not token[0].isalnum():
            break
        noun = token
    return (tokens[0], noun) if noun else None


def figures(items: Sequence[judgekit.data.Item]) -> dict[str, Any]:
    """All measures as plain values: counts, shares in [0, 1], lengths in words."""
    instructions = [item.sample.instruction for item in items]
    outputs = [" ".join(filter(None, item.sample.references)) for item in items]
    roots = Counter(pair for pair in map(root, instructions) if pair)
    return {
        "kinds": dict(Counter(map(kind, instructions)).most_common()),
        "roots": {
            "with_root": sum(roots.values()),
            "different": len(roots),
            "top": [[*pair, count] for pair, count in roots.most_common(10)],
        },
        "words": {
            "instruction": spread(instructions),
            "input": spread([item.sample.input for item in items if item.sample.input.strip()]),
            "output": spread([output for output in outputs if output.strip()]),
        },
        "type_token": {"instruction": type_token(instructions), "output": type_token(outputs)},
    }


def spread(texts: Sequence[str]) -> dict[str, float] | None:
    """Quantiles of the texts' lengths in words; None without texts."""
    import numpy as np

    if not texts:
        return None
    lengths = np.array([len(_WORD.findall(text)) for text in texts])
    names = {"5 %": 5, "median": 50, "95 %": 95, "longest": 100}
    return {name: float(np.percentile(lengths, percent)) for name, percent in names.items()}


def type_token(texts: Sequence[str]) -> float | None:
    """Different words as a share of all, the mean over stretches of 1,000 words: of a whole text the share would fall
    with its length (Johnson 1944). None where there are fewer words."""
    words = [word for text in texts for word in _WORD.findall(text.casefold())]
    stretches = [words[start : start + _WINDOW] for start in range(0, len(words) - _WINDOW + 1, _WINDOW)]
    if not stretches:
        return None
    return sum(len(set(stretch)) for stretch in stretches) / (_WINDOW * len(stretches))
