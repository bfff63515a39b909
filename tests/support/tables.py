"""A table of cases over a test: its rows are the test's first arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest


def each(*rows: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run the test once for every row: a tuple for its first arguments, anything else for the first alone."""

    def over(test: Callable[..., None]) -> Callable[..., None]:
        width = len(rows[0]) if isinstance(rows[0], tuple) else 1
        names = list(inspect.signature(test).parameters)[:width]
        return pytest.mark.parametrize(names if width > 1 else names[0], rows)(test)

    return over
