"""Control arms: answers whose worth is known beforehand, by which a judge is tested (score_card, pairwise_card).

A reading may add arms of its own, and leave out those that mean nothing to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from judgekit.judging.questions import Task
from judgekit.records import Sample

# The arms by task, each with those that it is set against: an arm is left out with one of these.
ARMS: Mapping[Task, Mapping[str, frozenset[str]]] = {
    "score": {
        "gold": frozenset(),
        "empty": frozenset(),
        "shuffled": frozenset(),
        "constant": frozenset(),
        "master": frozenset(),
        "padded": frozenset({"gold"}),
        "formatted": frozenset({"gold"}),
        "injected": frozenset({"shuffled", "constant"}),
        "withheld": frozenset({"gold"}),
    },
    "pairwise": {
        "gold": frozenset(),
        "same": frozenset(),
        "padded": frozenset(),
        "injected": frozenset({"gold"}),
    },
}
# The checks of a card that bear no arm's name, with the arms that they rest on: all that are named must be asked.
CHECKS: Mapping[Task, Mapping[str, frozenset[str]]] = {
    "score": {
        "ranking": frozenset({"gold", "shuffled"}),
        "anchors": frozenset({"gold"}),
        "retest": frozenset({"gold", "shuffled"}),
        "distinct": frozenset(),
        "entropy": frozenset(),
    },
    "pairwise": {"flips": frozenset({"gold"}), "first": frozenset({"gold"}), "retest": frozenset({"gold"})},
}


@dataclass(frozen=True)
class ControlArm:
    """An arm that a reading adds to its card. `answers` gives, for a sample, the answer to be scored, or the two to be
    compared; None where the sample has none. `at_least` and `at_most` are between what the mean must lie, as shares of
    the scale; of two answers it is the preference for the first. Without them it is told and not judged."""

    label: str
    answers: Callable[[Sample], str | tuple[str, str] | None]
    at_least: float | None = None
    at_most: float | None = None


def left_out(task: Task, named: frozenset[str]) -> frozenset[str]:
    """The arms and checks that a card does without: those named, and those that rest on one of them."""
    rests = {**ARMS[task], **CHECKS[task]}
    return named | {name for name, others in rests.items() if others & named}
