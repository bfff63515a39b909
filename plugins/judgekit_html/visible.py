"""Text that a model, a user or a server wrote, with nothing hidden in it."""

from __future__ import annotations

import re

# C0 and C1 controls (not tab and newline), soft hyphens, zero-width and bidirectional controls, line separators,
# interlinear marks, lone surrogates, noncharacters, and the invisible tag letters. The two joiners (U+200C, U+200D)
# stay: Persian, the Indic scripts and emoji need them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """The text with hidden characters as escapes: \\x1b for escape, \\u202e for a right-to-left override."""
    if text.isprintable():  # quick, and true of most text: no control or format character is printable
        return text
    return _HIDDEN.sub(_show, text.replace("\r\n", "\n"))


def _show(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
