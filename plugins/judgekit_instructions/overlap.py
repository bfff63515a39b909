"""Questions of a test set that are in training data, word for word or nearly; also as a check before a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import judgekit
import judgekit.data
from judgekit_instructions.options import question_of, shown


@dataclass(frozen=True)
class Overlap:
    """`exact`: the place of each training item whose question a test item asks, by the test item's place. `near`: for
    other test items the training items that ask nearly the same, with their similarities, the most similar first."""

    exact: Mapping[int, Sequence[int]]
    near: Mapping[int, Sequence[tuple[int, float]]]

    @property
    def learnt(self) -> set[int]:
        """The places of all training items that a test item is equal or near to."""
        exact = {place for places in self.exact.values() for place in places}
        return exact | {place for pairs in self.near.values() for place, _ in pairs}


def overlap(learnt: Sequence[judgekit.Sample], tested: Sequence[judgekit.Sample], threshold: float) -> Overlap:
    """The questions of `tested` that are in `learnt` (instruction, input, further turns, options); case and numbers of
    spaces do not count. Near is a Jaccard similarity of `threshold` of their 4-grams."""
    from judgekit_instructions.near import folded, near_between

    questions = [question_of(sample) for sample in learnt]
    asked = [question_of(sample) for sample in tested]
    places: dict[str, list[int]] = {}
    for place, question in enumerate(questions):
        places.setdefault(question, []).append(place)
    exact = {number: places[question] for number, question in enumerate(asked) if question in places}
    others = [number for number in range(len(asked)) if number not in exact]
    near: dict[int, list[tuple[int, float]]] = {}
    for pair in near_between([folded(asked[n]) for n in others], list(map(folded, questions)), threshold):
        near.setdefault(others[pair.first], []).append((pair.second, pair.similarity))
    for pairs in near.values():
        pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    return Overlap(exact, near)


NEAR = 0.8


def seen_in_training(
    trainers: Mapping[str, judgekit.Trainer], samples: Mapping[str, Sequence[judgekit.Sample]]
) -> Iterator[judgekit.Problem]:
    """A warning for each training and each of the run's data sets whose items it learns.

    What a trainer learns from, it says itself (`Trainer.learnt`).
    """
    for name, trainer in trainers.items():
        where = f"train.{name}"
        try:
            learnt = list(trainer.learnt())
        except judgekit.UsageError as error:
            message = f"its data cannot be read as instructions, so nobody knows whether it has test items: {error}"
            yield judgekit.Problem(severity="warning", where=where, message=message)
            continue
        for place, tested in samples.items() if learnt else ():
            shared = overlap(learnt, tested, NEAR)
            if shared.exact or shared.near:
                yield judgekit.Problem(severity="warning", where=where, message=_warning(place, tested, shared))


def _warning(place: str, tested: Sequence[judgekit.Sample], shared: Overlap) -> str:
    """The number of the data set's items that are learnt, and the first of them."""
    parts = []
    if shared.exact:
        parts.append(f"{len(shared.exact):,} of the {judgekit.counted(len(tested), 'sample')} of {place}")
    if shared.near:
        also = "and nearly" if shared.exact else f"nearly, of the {judgekit.counted(len(tested), 'sample')} of {place},"
        parts.append(f"{also} {len(shared.near):,}{' more' if shared.exact else ''}")
    first = tested[min(shared.exact or shared.near)]
    return (
        f"learns {' '.join(parts)} (such as {shown(first.instruction)!r}): scores on them say what it remembers; "
        "`judgekit data contamination` lists them"
    )
