"""Abilities of each release of Ollama that matter to a judge. Pure."""

from __future__ import annotations

import re

Version = tuple[int, ...]

SCHEMA: Version = (0, 5, 0)  # `format` takes a JSON schema
TRUNCATE: Version = (0, 12, 4)  # `truncate` and `shift` are heeded; before, a long prompt is cut under status 200
LOGPROBS: Version = (0, 12, 11)
# Where prompt_eval_count leaves out what came from the prompt cache: before ollama#5371, and from the change to
# llama-server until ollama#16428 (in 0.30.9 at the latest).
_CACHE_UNCOUNTED: tuple[tuple[Version, Version], ...] = (((0, 0, 1), (0, 2, 0)), ((0, 30, 0), (0, 30, 9)))


def numbers(version: str) -> Version | None:
    """The numbers of a version: 0.12.4-rc1 → (0, 12, 4); None if unknown, as for builds from source (0.0.0)."""
    parts = re.split(r"[-+]", version.removeprefix("v"), maxsplit=1)[0].split(".")
    release = tuple(int(part) for part in parts) if all(part.isascii() and part.isdecimal() for part in parts) else ()
    return release if any(release) else None


def at_least(version: str, since: Version) -> bool | None:
    """True from this version on; None if the version is unknown."""
    known = numbers(version)
    return None if known is None else known >= since


def counts_cached(version: str) -> bool:
    """True if prompt_eval_count is the length of the whole prompt, whatever the server had in its cache."""
    known = numbers(version)
    return known is None or not any(first <= known < end for first, end in _CACHE_UNCOUNTED)


def text(version: Version) -> str:
    return ".".join(map(str, version))
