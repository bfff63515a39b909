"""Systems that answer with nothing: a server or a chat template that is broken must not look like a worse model."""

from __future__ import annotations

from collections.abc import Mapping

from judgekit.records import Empty
from judgekit.regression.unscored import silent
from judgekit.results import RunRecord
from judgekit.secrets import one_line, shortened

# At one empty answer in twenty, a mean may be off by 5 % of its scale: as much as the losses that gates look for. A
# model that works leaves fewer empty.
MOST_EMPTY = 0.05
LONGEST = 120  # characters of a cause that is shown


def most_empty(record: RunRecord, system: str) -> float:
    """The share of a system's answers that may be empty: its `max_empty`, else the least `missing` share that the gate
    allows it, else MOST_EMPTY."""
    own = record.part("models", system).get("max_empty")
    if isinstance(own, int | float):
        return own
    gate = record.part("gate")
    shares = []
    for rule in (one for one in gate.values() if isinstance(one, Mapping)):
        systems, missing = rule.get("system") or gate.get("system"), rule.get("missing")
        if isinstance(missing, int | float) and (not isinstance(systems, list | tuple) or system in systems):
            shares.append(float(missing))
    return min(shares, default=MOST_EMPTY)


def broken(record: RunRecord, system: str | None = None) -> list[Empty]:
    """The systems of which more answers are empty than may be, or the one named."""
    return [one for one in record.empty if system in (None, one.system) and one.share > most_empty(record, one.system)]


def exit_code(record: RunRecord) -> int:
    """3 for a run that says nothing for sure: planned calls were not answered, nothing was scored, or a system is
    broken; else 0."""
    return 3 if record.status == "incomplete" or silent(record) or broken(record) else 0


def empty_lines(record: RunRecord) -> list[str]:
    """A line on each system with empty answers: how many, of how many, and why."""
    return [_line(record, one) for one in record.empty]


def _line(record: RunRecord, one: Empty) -> str:
    causes = "; ".join(f"{count:,} × {shortened(one_line(why), LONGEST)}" for why, count in one.causes.items())
    said = f"{one.system}: {one.count:,} of {one.of:,} answers are empty ({causes})"
    limit = most_empty(record, one.system)
    if one.share <= limit:
        return f"{said}; metrics and judges take them as texts without a word"
    return (
        f"{said}, more than {100 * limit:g} %: take this system for broken, not for worse (exit code 3); look at its "
        f"server, chat template and max_new_tokens, or allow more: models.{one.system}.max_empty"
    )
