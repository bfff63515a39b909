"""Numbers as text, the same way everywhere: decimals by the scale's width, a real minus, units."""

from __future__ import annotations

import judgekit

SPACE = "\N{NARROW NO-BREAK SPACE}"
NONE = "–"


def factor(scale: judgekit.Scale) -> float:
    """The factor from a value to its printed number: 100 for shares in percent, else 1."""
    return 100.0 if scale.unit == "%" and scale.high <= 1 else 1.0


def decimals(scale: judgekit.Scale) -> int:
    """One decimal on scales as wide as 0–100, two on 1–5, three on 0–1."""
    width = (scale.high - scale.low) * factor(scale)
    return 1 if width >= 50 else 2 if width > 2 else 3


def plain(value: float, scale: judgekit.Scale, *, signed: bool = False) -> str:
    """The number without its unit: 43.1, −2.0, +37.9."""
    text = f"{value * factor(scale):,.{decimals(scale)}f}"
    if not text.strip("-0.,"):
        return text.removeprefix("-")
    return minus(f"+{text}" if signed and value > 0 else text)


def minus(text: str) -> str:
    """-5 … +5 → −5 … +5: a minus sign instead of the hyphen."""
    return text.replace("-", "−")


def unit(scale: judgekit.Scale, *, difference: bool = False) -> str:
    """The unit after a number: percentage points for a difference of percentages."""
    if scale.unit == "%":
        return f"{SPACE}{'pp' if difference else '%'}"
    return f"{SPACE}{scale.unit}" if scale.unit else ""


def amount(value: float | None, scale: judgekit.Scale, *, difference: bool = False) -> str:
    """A value with its unit; a dash where there is none."""
    if value is None:
        return NONE
    return plain(value, scale, signed=difference) + unit(scale, difference=difference)


def span(low: float | None, high: float | None, scale: judgekit.Scale, *, difference: bool = False) -> str:
    """[37.0, 49.2]; empty where an end is missing."""
    if low is None or high is None:
        return ""
    return f"[{plain(low, scale, signed=difference)}, {plain(high, scale, signed=difference)}]"


def percent(share: float) -> str:
    """0.95 → 95 %."""
    return f"{share * 100:g}{SPACE}%"


def whole(count: int) -> str:
    """12345 → 12,345."""
    return f"{count:,}"


def cell(value: str | float | int | None) -> str:
    """A cell of a plugin's table: four significant digits, a dash for nothing."""
    if value is None:
        return NONE
    if isinstance(value, float):
        return minus(f"{value:,.4g}")
    return minus(whole(value)) if isinstance(value, int) else value


def alike(*values: float | None) -> list[str]:
    """Values that belong together, with as many decimals: four significant digits of the largest, ends of noughts cut
    where all have them."""
    known = [abs(value) for value in values if value is not None]
    whole_digits = len(f"{max(known, default=0.0):.0f}")
    texts = [NONE if value is None else f"{value:,.{max(0, 4 - whole_digits)}f}" for value in values]
    while any("." in text for text in texts) and all(text.endswith(("0", NONE)) for text in texts):
        texts = [text if text == NONE else text[:-1].removesuffix(".") for text in texts]
    return [minus(text) for text in texts]


def chance(p: float) -> str:
    """A p-value: three decimals, <0.001 below."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"
