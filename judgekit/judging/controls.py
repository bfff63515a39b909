"""Control arms: answers whose worth is known beforehand, by which a judge is tested (score_card, pairwise_card).

A reading may add arms of its own, and leave out those that mean nothing to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from judgekit.judging.questions import Task
from judgekit.records import Sample

ARMS: Mapping[Task, Collection[str]] = {
    "score": (
        "gold",
        "empty",
        "shuffled",
        "constant",
        "response",
        "misplaced",
        "master",
        "padded",
        "formatted",
        "parts",
        "own_padded",
        "own_formatted",
        "own_hedged",
        "own_confident",
        "numbers",
        "other_reference",
        "injected",
        "withheld",
    ),
    "pairwise": (
        "gold",
        "empty",
        "constant",
        "master",
        "same",
        "padded",
        "formatted",
        "hedged",
        "confident",
        "injected",
    ),
}
# The checks of a card that bear no arm's name.
CHECKS: Mapping[Task, Collection[str]] = {
    "score": ("ranking", "anchors", "retest", "drift", "distinct", "entropy"),
    "pairwise": ("flips", "first", "retest"),
}
# What an arm is set against, and a check rests on: it is left out with one of these.
_RESTS_ON: Mapping[Task, Mapping[str, frozenset[str]]] = {
    "score": {
        **dict.fromkeys(("padded", "formatted", "withheld", "anchors", "numbers"), frozenset({"gold"})),
        **dict.fromkeys(("own_hedged", "own_confident"), frozenset({"response"})),
        "own_padded": frozenset({"response", "padded"}),
        "own_formatted": frozenset({"response", "formatted"}),
        **dict.fromkeys(("ranking", "retest"), frozenset({"gold", "shuffled"})),
        "injected": frozenset({"shuffled", "constant"}),
    },
    "pairwise": dict.fromkeys(("injected", "flips", "first", "retest"), frozenset({"gold"})),
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
    return named | {name for name, others in _RESTS_ON[task].items() if others & named}
