"""Numbers and foreign texts, made safe for a report. No text of a model, user or server is trusted."""

from __future__ import annotations

import re
import unicodedata

import judgekit
import judgekit.statistics

_JOINERS = "\u200c\u200d"  # Persian, the Indic scripts and emoji need them
_PLAIN = re.compile(r"[^\W_]|[ ,;?%–−…]")


def visible(text: str) -> str:
    """The text with control, bidirectional and other hidden characters, lone surrogates and noncharacters as escapes.

    Line breaks and tabs stay. What is left is legal in XML, UTF-8 and on a terminal.
    """
    text = text.replace("\r\n", "\n")
    if text.isprintable():
        return text
    return "".join(_escape(char) if _hidden(char) else char for char in text)


def _hidden(char: str) -> bool:
    if char in "\n\t" or char in _JOINERS:
        return False
    # Cc: ESC and friends; Cf: bidi marks; Cs: lone surrogates; Zl, Zp: line separators; Cn: noncharacters.
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") or ord(char) & 0xFFFE == 0xFFFE


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def one_line(text: str, limit: int = 300) -> str:
    """The text on one line of at most `limit` characters, nothing hidden in it."""
    return judgekit.shortened(" ".join(visible(text).split()), limit)


def inert(text: str, limit: int = 300) -> str:
    """Foreign text as inert Markdown: one line of code, with every sign of syntax as an entity.

    In `<code>` GitHub and GitLab make no links of addresses, @names and #numbers.
    """
    line = one_line(text, limit)
    if not line:
        return ""
    return "<code>" + "".join(char if _is_plain(char) else f"&#{ord(char)};" for char in line) + "</code>"


def _is_plain(char: str) -> bool:
    return not char.isascii() or _PLAIN.fullmatch(char) is not None


# --- numbers ----------------------------------------------------------------------------------------------------------


def number(value: float | None, scale: judgekit.Scale, *, signed: bool = False) -> str:
    """A number as text: 43.1, −2.0, +37.9 %; a dash where there is none. Shares of one are in per cent."""
    if value is None:
        return "–"
    percent = scale.unit == "%" and scale.high <= 1
    factor = 100.0 if percent else 1.0
    width = (scale.high - scale.low) * factor
    text = f"{value * factor:.{1 if width >= 50 else 2 if width > 2 else 3}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    sign = "+" if signed and float(text) > 0 else ""
    unit = " %" if percent else f" {scale.unit}" if scale.unit else ""
    return f"{sign}{text}{unit}".replace("-", "−")


def between(
    interval: judgekit.statistics.Interval, scale: judgekit.Scale, confidence: float, *, signed: bool = False
) -> str:
    """An interval in words, or the reason why there is none."""
    if interval.low is None or interval.high is None:
        return f"no interval: {interval.note or 'no reason recorded'}"
    low, high = (number(end, scale, signed=signed) for end in (interval.low, interval.high))
    return f"between {low} and {high} ({confidence * 100:g} % interval, {interval.method})"
