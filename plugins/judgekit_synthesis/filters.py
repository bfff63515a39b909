"""Rules that a written item must pass. Each gives the reason why not in a few words, or "": reasons are counted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

import judgekit
import judgekit.data
from judgekit_synthesis.reading import Instance

# What a model of text alone cannot see, hear, open or draw (the list of Self-Instruct, Wang et al. 2023, and its kin).
_FORBIDDEN = """
image images graph graphs picture pictures photo photos file files map maps draw plot video videos audio music flowchart
diagram website link 이미지 그림 사진 그래프 파일 지도 동영상 음악
"""
FORBIDDEN = tuple(_FORBIDDEN.split())
# Words that carry no answer: a response of nothing else says nothing.
_STOP_WORDS = """
a an and are as at be but by for from had has have he her his i if in is it its me my of on or our she so that the their
them then there they this to was we were what which who will with would you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
_COPIED = re.compile(
    r"(given|rewritten|changed|created|harder)[ _#]+(prompt|instruction|task)\b"
    r"|(주어진|새로운|원래) (프롬프트|과제)",
    re.IGNORECASE,
)
_SORRY = re.compile(
    r"\b(sorry|i can(?:no|')t|i am unable|i'm unable|as an ai|language model)\b|죄송|할 수 없습니다", re.IGNORECASE
)
SHORT = 80  # words; a longer answer may say "sorry" on its way


def forbidden_pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Any of the words as a whole word; Korean ones carry their particles."""
    each = [re.escape(word) if not word.isascii() else rf"\b{re.escape(word)}\b" for word in words]
    return re.compile("|".join(each) or r"(?!)", re.IGNORECASE)


def task_fault(text: str, words: tuple[int, int], forbidden: re.Pattern[str], *, ascii_only: bool) -> str:
    """The fault of a task by itself, or "". `words`: the fewest and the most; `ascii_only`: all seeds begin so."""
    count = len(text.split())
    if count < words[0]:
        return "task too short"
    if count > words[1]:
        return "task too long"
    if match := forbidden.search(text):
        return f"task with the word {match[0].lower()!r}"
    if text.lower().startswith("write a program"):
        return "task asks for a program of any kind"
    if not text[0].isalnum():
        return "task begins with punctuation"
    if ascii_only and not text[0].isascii():
        return "task in another script than the seeds"
    return ""


def reply_fault(reply: judgekit.Reply) -> str:
    """The reason why a reply has no whole text, or ""."""
    return {"truncated": "reply cut off", "refused": "reply refused", "error": "reply missing"}.get(reply.status, "")


def instance_fault(instance: Instance, instruction: str) -> str:
    """The fault of an example of a task, or ""."""
    given, answer = folded(instance.input), folded(instance.output)
    if not answer:
        return "no output"
    if answer == given:
        return "output equals input"
    if answer == folded(instruction):
        return "output equals the task"
    if instance.input.endswith(":") or instance.output.endswith(":"):
        return "example ends in a colon"
    return ""


def without_conflicts(instances: Sequence[Instance]) -> tuple[list[Instance], int]:
    """The examples, once each, without those whose input has several outputs; and how many these were."""
    unique = list(dict.fromkeys(instances))
    inputs = [folded(instance.input) for instance in unique]
    good = [one for one, given in zip(unique, inputs, strict=True) if inputs.count(given) == 1]
    return good, len(unique) - len(good)


def answer_fault(answer: str) -> str:
    """The fault of a response that teaches nothing, or "" (the elimination rules of Evol-Instruct, Xu et al. 2023)."""
    words = judgekit.data.rouge_words(answer)
    if all(word in STOP_WORDS for word in words):
        return "response of punctuation and stop words"
    if len(words) < SHORT and _SORRY.search(answer):
        return "response says sorry"
    return ""


def adds_words(before: str, after: str) -> bool:
    """True if a changed task has two or more new words that are not stop words."""
    return len(set(judgekit.data.rouge_words(after)) - set(judgekit.data.rouge_words(before)) - STOP_WORDS) >= 2


def copied(instruction: str) -> bool:
    """True if words of the prompt were copied into the instruction."""
    return bool(_COPIED.search(instruction))


def folded(text: str) -> str:
    """The text for comparisons: Unicode-normalised, case folded, white space as one blank, without a last full stop."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(". ")


def begin_in_ascii(texts: Collection[str]) -> bool:
    return all(text.lstrip()[:1].isascii() for text in texts)
