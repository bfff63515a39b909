"""Tables on stdout, and numbers as text for their cells."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from judgekit.cli.console import printable

if TYPE_CHECKING:
    from judgekit.records import Scale
    from judgekit.results import Interval


def number(value: float | None, scale: Scale, *, signed: bool = False) -> str:
    """A value on its scale: percent for shares, one decimal on wide scales, three on narrow ones."""
    if value is None:
        return "–"
    sign = "+" if signed else ""
    if scale.unit == "%":
        return f"{value * 100:{sign}.1f} %"
    return f"{value:{sign}.1f}" if scale.high - scale.low > 10 else f"{value:{sign}.3f}"


def interval(estimated: Interval, scale: Scale, *, signed: bool = False) -> str:
    """An interval as text, or the reason why there is none."""
    if estimated.low is None or estimated.high is None:
        return estimated.note or "none"
    return f"[{number(estimated.low, scale, signed=signed)}, {number(estimated.high, scale, signed=signed)}]"


def method(estimated: Interval) -> str:
    """The name of the interval's method; empty where nothing was scored, and none was used."""
    return "" if estimated.method == "none" else estimated.method


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """An aligned table on stdout; long cells wrap."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table: Any = Table(title=Text(printable(title), style="bold"), title_justify="left", box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "130"))
    Console(width=width, highlight=False).print(table)
