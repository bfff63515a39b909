"""One loop over many strings: a check of what a sink makes of each, and all that fail, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def each_of(texts: Iterable[Any], check: Callable[[Any], object]) -> None:
    """Call `check` with every text (or case); fail with those that it failed for, each with its reason."""
    failed = []
    for text in texts:
        try:
            check(text)
        except Exception as error:
            failed.append(f"{text!r}: {error}")
    if failed:
        pytest.fail("\n".join(failed), pytrace=False)
