"""What the commands print with: results to stdout, everything else to stderr, no control characters from outside."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """The text with terminal controls and bidirectional marks shown as escapes; line breaks and tabs stay."""
    return "".join(
        character if character in "\n\t" or not _hidden(character) else character.encode("unicode_escape").decode()
        for character in text
    )


def _hidden(character: str) -> bool:
    # Cc: ESC and friends; Cf: bidi marks; Cs: lone surrogates, which no terminal can encode; Zl, Zp: breaks of a line.
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
