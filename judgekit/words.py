"""Words for what people read: numbers, and how to install what is missing."""

from __future__ import annotations

# The name to install by, as in pyproject.toml. On the package index `judgekit` is another project's.
DISTRIBUTION = "llm-judge-harness"


def counted(count: int, noun: str, plural: str = "") -> str:
    """1 item, 2 items, 12,345 items; `plural` is that of a noun that takes more than an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def install_hint(extra: str) -> str:
    """The command that installs an extra of judgekit.

    However judgekit was installed (a clone, a wheel, an index), pip keeps it and adds what the extra lacks.
    """
    return f"pip install '{DISTRIBUTION}[{extra}]'"
