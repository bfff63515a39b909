"""Text for people: counts in words, and names that were nearly right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint "; did you mean 'x'?" for the nearest known name, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def one_of(name: str, known: Iterable[str]) -> str:
    """A hint after an unknown name: the nearest known one, and the list of all."""
    names = list(known)
    return f"{did_you_mean(name, names)} (there are: {', '.join(names) or 'none'})"


# The name to install by, as in pyproject.toml. On the package index `judgekit` is another project's.
DISTRIBUTION = "llm-judge-harness"


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: 1 item, 2 items, 12,345 items; `plural` if the noun takes more than an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def install_hint(extra: str, version: str = "") -> str:
    """The command that installs an extra of judgekit, in that version if one is named.

    However judgekit was installed (a clone, a wheel, an index), pip keeps it and adds what the extra lacks.
    """
    return f"pip install '{DISTRIBUTION}[{extra}]{version and f'=={version}'}'"
