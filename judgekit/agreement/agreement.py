"""Agreement of a run's verdicts with people's labels, or with another run's: matched by id, checked, then computed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from judgekit.agreement.labels import LabelFile
from judgekit.agreement.matching import Kind, Matched, Meaning, Measured, Thing, choose_metric, match, measured, some
from judgekit.config.blocks import LabelsConfig
from judgekit.errors import DataError, PreflightError, UsageError
from judgekit.records import Row, Scale
from judgekit.results import Agreement, AgreementMeasure, Corrected, RunRecord, RunView
from judgekit.text import counted, did_you_mean

if TYPE_CHECKING:
    from judgekit.statistics.intervals import Range


@dataclass(frozen=True)
class Terms:
    """The meaning of the labels, and the figures to make. `system`: only the responses of this one.

    `threshold` and `label_scale`: see Meaning. `correct`: the PPI++ estimate too. `resamples` None: the default.
    """

    system: str | None = None
    threshold: float | None = None
    label_scale: tuple[float, float] | None = None
    correct: bool = False
    confidence: float = 0.95
    seed: int = 0
    resamples: int | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The keyword arguments of `figures`."""
        chosen: dict[str, Any] = {"confidence": self.confidence, "seed": self.seed}
        return chosen | ({"resamples": self.resamples} if self.resamples else {})


@dataclass(frozen=True)
class _Rating:
    """A label beside the judge's value of the same thing: the mean over the repeats that the label does not tell
    apart."""

    thing: Thing
    judge: float
    label: float


def expected(
    metric: str, scale: Scale, ids: Iterable[str], repeats: Mapping[str, int], pairs: Sequence[tuple[str, str]]
) -> Measured:
    """A metric before it is measured, to check labels against: by system its number of repeats, or by comparison."""
    measured = Measured("the run", metric, "", scale)
    whose = [(system, opponent) for system, opponent in pairs] or [(system, "") for system in repeats]
    for sample_id in ids:
        for system, opponent in whose:
            for repeat in range(repeats.get(system, 1)):
                measured.missing[Thing(sample_id, system, opponent, repeat)] = "not judged yet"
    return measured


def check_labels(measured: Measured, file: LabelFile, terms: Terms) -> None:
    """Check labels before any call. Raises the errors of `with_labels`."""
    match(measured, file, Meaning.of(measured, file, terms.threshold, terms.label_scale), terms.system)


def with_labels(measured: Measured, file: LabelFile, terms: Terms) -> Agreement:
    """The agreement of a judge with labels. Raises PreflightError with every problem of the file, and UsageError."""
    from judgekit.statistics.agreement import Ratings
    from judgekit.statistics.agreement_measures import agreement_measures
    from judgekit.statistics.calibration import calibration

    meaning = Meaning.of(measured, file, terms.threshold, terms.label_scale)
    matched = match(measured, file, meaning, terms.system)
    ratings = [rating for label in matched if (rating := _rating(label, measured, meaning))]
    if not ratings:
        raise DataError("no labelled response was scored by the judge", path=file.path)
    ends = _ends(measured.scale, meaning.kind)
    pairs = Ratings.of([r.judge for r in ratings], [r.label for r in ratings], [r.thing.sample_id for r in ratings])
    return Agreement(
        metric=measured.metric,
        first=f"judge {measured.judge}",
        second=file.path.name,
        kind=meaning.kind,
        scale=_scale(measured.scale, meaning.kind),
        confidence=terms.confidence,
        n_items=pairs.n_items,
        n_pairs=len(ratings),
        labellers=len({one.label.labeller for one in matched}),
        figures=agreement_measures(pairs, meaning.kind, ends, **terms.settings),
        ceiling=_ceiling(matched, meaning.kind, ends, terms),
        calibration=calibration(
            ((r.thing.sample_id, r.judge, r.label) for r in ratings),
            _scale(measured.scale, meaning.kind),
            **terms.settings,
        ),
        corrected=tuple(_corrected(measured, meaning, terms, ratings)) if terms.correct else (),
        notes=tuple(_notes(measured, file, terms, matched, ratings, meaning.kind)),
    )


def _rating(one: Matched, measured: Measured, meaning: Meaning) -> _Rating | None:
    values = [measured.values[thing] for thing in one.things if thing in measured.values]
    if not values:
        return None
    thing = one.things[0] if len(one.things) == 1 else one.things[0]._replace(repeat=None)
    return _Rating(thing, meaning.judged(sum(values) / len(values)), one.value)


def _ceiling(matched: Sequence[Matched], kind: Kind, ends: Range, terms: Terms) -> tuple[AgreementMeasure, ...]:
    """The figures between labellers; none where no response has two labels."""
    import numpy as np

    from judgekit.statistics.agreement import Labelled
    from judgekit.statistics.agreement_measures import ceiling

    responses = {things: number for number, things in enumerate(dict.fromkeys(one.things for one in matched))}
    if len(responses) == len(matched):
        return ()
    number = np.asarray([responses[one.things] for one in matched], dtype=np.intp)
    item = np.unique([things[0].sample_id for things in responses], return_inverse=True)[1].astype(np.intp)
    labels = Labelled.pairs(np.asarray([one.value for one in matched]), number, item)
    return ceiling(labels, kind, ends, **terms.settings)


def _corrected(measured: Measured, meaning: Meaning, terms: Terms, ratings: Sequence[_Rating]) -> Iterator[Corrected]:
    """PPI++ for each labelled system: labels and the judge's values, averaged inside the item."""
    import numpy as np

    from judgekit.statistics.ppi import corrected

    judge: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    human: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for thing, value in measured.values.items():
        judge[thing.pair][thing.sample_id].append(meaning.judged(value))
    for rating in ratings:
        human[rating.thing.pair][rating.thing.sample_id].append(rating.label)
    for pair, labels in human.items():
        scores = {sample_id: float(np.mean(values)) for sample_id, values in judge[pair].items()}
        labelled = sorted(labels)
        yield corrected(
            pair,
            np.asarray([np.mean(labels[sample_id]) for sample_id in labelled]),
            np.asarray([scores[sample_id] for sample_id in labelled]),
            np.asarray([scores[sample_id] for sample_id in sorted(scores) if sample_id not in labels]),
            _ends(measured.scale, meaning.kind),
            terms.confidence,
        )


def _notes(
    measured: Measured,
    file: LabelFile,
    terms: Terms,
    matched: Sequence[Matched],
    ratings: Sequence[_Rating],
    kind: Kind,
) -> Iterator[str]:
    """Notes that a reader needs before believing the figures."""
    lost = Counter(
        measured.missing[one.things[0]] for one in matched if not any(thing in measured.values for thing in one.things)
    )
    if lost:
        kinds = ", ".join(f"{count} {status}" for status, count in lost.items())
        yield f"left out: {counted(sum(lost.values()), 'label')} of responses that the judge did not score ({kinds})"
    if file.empty:
        yield f"left out: {counted(file.empty, 'row')} of {file.path.name} without a label"
    if any(len(one.things) > 1 for one in matched):
        yield "the labels name no repeat: the judge's mean over the repeats is compared"
    if terms.threshold is not None:
        yield f"yes means a score of {terms.threshold:g} or more"
    if terms.label_scale is not None:
        low, high = terms.label_scale
        yield f"labels from {low:g} … {high:g} are mapped onto {measured.span}"
    elif kind == "score" and (odd := _other_scale(measured, ratings)):
        yield odd
    if terms.correct:
        yield "the correction holds only if the labelled items are a random sample of all items"
    from judgekit.statistics.ppi import FEW

    if len(ratings) < FEW:
        yield f"{counted(len(ratings), 'label')}: under {FEW}, an interval may cover less than it says"


def _other_scale(measured: Measured, ratings: Sequence[_Rating]) -> str:
    """A hint that the labels were given on a narrower scale than the judge's."""
    scale, span = measured.scale, measured.scale.high - measured.scale.low
    highest, judged = max(r.label for r in ratings), max(r.judge for r in ratings)
    if highest > scale.low + span / 10 or judged < scale.low + span / 2:
        return ""
    lowest = min(r.label for r in ratings)
    return (
        f"all labels lie between {lowest:g} and {highest:g} on a scale of {measured.span}: if they were given on "
        "another one, say --label-scale LOW..HIGH"
    )


@dataclass
class Agreements:
    """The agreements of a run that has just ended. An error is a warning here: the run is paid for."""

    record: RunRecord
    rows: Iterable[Row]
    terms: Terms
    made: list[Agreement] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add_labels(self, file: LabelFile, labels: LabelsConfig) -> None:
        terms = replace(self.terms, threshold=labels.threshold, label_scale=labels.scale)
        with self._warning("labels"):
            metric = choose_metric(self.record, labels.metric)
            self.made.append(with_labels(measured(self.record, self.rows, metric), file, terms))

    def add_run(self, old: RunView, metric: str) -> None:
        """The other run is A."""
        with self._warning(f"agreement of {metric} with {old.record.run_id}"):
            first = measured(old.record, old.rows, metric)
            self.made.append(of_two(first, measured(self.record, self.rows, metric), self.terms))

    @contextmanager
    def _warning(self, what: str) -> Iterator[None]:
        try:
            yield
        except (UsageError, PreflightError) as error:
            self.warnings.append(f"{what}: {error}")


# --- two runs --------------------------------------------------------------------------------------------------------


def response_notes(first: RunView, second: RunView) -> list[str]:
    """A note where the judges of two runs did not read the same texts."""
    texts = {(r.system, r.sample_id, r.repeat): hash(r.text) for r in first.responses}
    same = other = 0
    for response in second.responses:
        text = texts.get((response.system, response.sample_id, response.repeat))
        same += text == hash(response.text)
        other += text not in (None, hash(response.text))
    if not other:
        return []
    differ = f"{other} of {counted(same + other, 'response')} {'differs' if other == 1 else 'differ'} between the runs"
    return [f"{differ}: there the judges read other texts"]


def of_two(first: Measured, second: Measured, terms: Terms, notes: Sequence[str] = ()) -> Agreement:
    """The agreement of two judges (or of one judge twice) on the same responses. Raises UsageError."""
    from judgekit.statistics.agreement import Ratings
    from judgekit.statistics.agreement_measures import agreement_measures

    if first.compares != second.compares:
        raise UsageError(f"{first.metric} and {second.metric}: one scores responses, the other compares two systems")
    a, b = _common(first, second, terms)
    said = list(notes)
    if (first.scale.low, first.scale.high) != (second.scale.low, second.scale.high):
        b = {thing: _mapped(value, second.scale, first.scale) for thing, value in b.items()}
        said.append(f"{second.run} scores from {second.span}: mapped onto {first.span}")
    kind: Kind = "preference" if first.compares else "score"
    if terms.threshold is not None or (first.yes_or_no and second.yes_or_no and not first.compares):
        kind = "binary"
        if terms.threshold is not None:
            said.append(f"yes means a score of {terms.threshold:g} or more")
    things = sorted(thing for thing in a if thing in b)
    lost = [
        f"{len(side) - len(things)} only in {name}"
        for name, side in ((first.run, a), (second.run, b))
        if len(side) > len(things)
    ]
    if lost:
        said.append(f"responses that only one of them scored are left out: {', '.join(lost)}")
    names, meaning = ("A", "B"), Meaning(kind, first.scale, terms.threshold)
    pairs = Ratings.of(
        [meaning.judged(a[thing]) for thing in things],
        [meaning.judged(b[thing]) for thing in things],
        [thing.sample_id for thing in things],
    )
    return Agreement(
        metric=first.metric if first.metric == second.metric else f"{first.metric} / {second.metric}",
        first=f"A: judge {first.judge} of {first.run}",
        second=f"B: judge {second.judge} of {second.run}",
        kind=kind,
        scale=_scale(first.scale, kind),
        confidence=terms.confidence,
        n_items=pairs.n_items,
        n_pairs=len(things),
        figures=agreement_measures(pairs, kind, _ends(first.scale, kind), names=names, **terms.settings),
        notes=tuple(said),
    )


def _common(first: Measured, second: Measured, terms: Terms) -> tuple[dict[Thing, float], dict[Thing, float]]:
    """Both sides' values by things that can be matched: by system where the names meet, else by id alone where each
    side has one system. Raises UsageError without a common id."""
    sides = []
    for one in (first, second):
        if terms.system is not None and terms.system not in one.systems:
            hint = did_you_mean(terms.system, one.systems)
            raise UsageError(f"--system: {one.run} measured no {terms.system!r}{hint}")
        sides.append({t: v for t, v in one.values.items() if terms.system in (None, t.system)})
    a, b = sides
    if not a.keys() & b.keys() and len(first.systems) == len(second.systems) == 1:
        a, b = ({t._replace(system="", opponent=""): v for t, v in side.items()} for side in (a, b))
    if not a.keys() & b.keys():
        theirs, ours = some(t.sample_id for t in a), some(t.sample_id for t in b)
        systems = f"{', '.join(first.systems)} and {', '.join(second.systems)}"
        seen = f"systems {systems}; ids {theirs} and {ours}"
        raise UsageError(f"{first.run} and {second.run} have scored no response in common ({seen})")
    return a, b


def _mapped(value: float, given: Scale, wanted: Scale) -> float:
    return wanted.low + (value - given.low) / (given.high - given.low) * (wanted.high - wanted.low)


def _ends(scale: Scale, kind: Kind) -> Range:
    from judgekit.statistics.intervals import Range

    return Range(0.0, 1.0) if kind == "binary" else Range(scale.low, scale.high)


def _scale(scale: Scale, kind: Kind) -> Scale:
    return scale.model_copy(update={"low": 0.0, "high": 1.0, "unit": "%"}) if kind == "binary" else scale
