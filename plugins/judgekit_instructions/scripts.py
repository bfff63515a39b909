"""The script of a text: the writing, not the language. Pure."""

from __future__ import annotations

import re

# Letters by script, by their blocks in Unicode. Japanese is written in kana and Han together.
_LETTERS = {
    "Latin": re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ]"),
    "Greek": re.compile(r"[Ͱ-Ͽἀ-῿]"),
    "Cyrillic": re.compile(r"[Ѐ-ԯ]"),
    "Hebrew": re.compile(r"[֐-׿]"),
    "Arabic": re.compile(r"[؀-ۿݐ-ݿ]"),
    "Devanagari": re.compile(r"[ऀ-ॿ]"),
    "Thai": re.compile(r"[฀-๿]"),
    "Hangul": re.compile(r"[ᄀ-ᇿ㄰-㆏가-힣]"),
    "Kana": re.compile(r"[぀-ヿ]"),
    "Han": re.compile(r"[㐀-䶿一-鿿]"),
}
_EAST = {"Kana", "Han"}


def main(text: str) -> str:
    """The script of most letters; "" for a text without letters of a script that is known here."""
    if text.isascii():
        return "Latin" if _LETTERS["Latin"].search(text) else ""
    counts = {name: len(letters.findall(text)) for name, letters in _LETTERS.items()}
    best = max(counts, key=counts.__getitem__)
    if best == "Han" and counts["Kana"]:
        best = "Kana"
    return best if counts[best] else ""


def same(question: str, answer: str) -> bool:
    """True if an answer's main script occurs in the question too, and if either has no letters."""
    script = main(answer)
    if not script or not main(question):
        return True
    return any(_LETTERS[name].search(question) for name in (_EAST if script in _EAST else {script}))
