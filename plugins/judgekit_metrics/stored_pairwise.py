"""Pairwise verdicts that were given elsewhere, read from a file: `type: stored_pairwise`, and what such a run needs
besides where there is nothing but the file: `loader: ids` for its samples, `backend: unseen` for its systems.

No model is asked. The verdicts are counted as those of `type: pairwise` are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, JsonValue

import judgekit
import judgekit.judging
import judgekit.statistics
from judgekit_metrics.pairwise import check_opponent
from judgekit_metrics.preferences import (
    ANNOTATOR,
    LONGER,
    SERIES,
    SHARES,
    UNSCALED,
    WEIGHT,
    Battle,
    Rule,
    all_pairs,
    looks_of,
)
from judgekit_metrics.stored_files import Entry, Stored, StoredOptions, Vocabulary, read_entries, strangers, texts_by_id

Said = Annotated[str, Field(coerce_numbers_to_str=True)]


class Answers(judgekit.Options):
    """The systems' answers. `files`: by system; `id`, `text`: the fields of the sample's id and of the answer."""

    files: dict[str, str]
    id: str = "id"
    text: str


class StoredPairwiseOptions(StoredOptions):
    """`path`: CSV, TSV, JSON or JSONL, one comparison a row; the other keys name its fields.

    `verdict`: the winner with the system shown first; `swapped`: with the system shown second; `id`: the sample. A
    field may be a path (`results[-1].winner`); `id: row` is the row's number, from 0.
    `names`: what the file calls a system, where that is not its name here; `ties`: what it calls a draw; `scale`: the
    verdict is a number between these, the high end wholly for the system. `system` and `opponent`: fields that name the
    two, where the file holds several pairs; without them it is the run's two systems. `label`: the winner that people
    name. `length`, `length_opponent`: the two answers' characters, or the answers themselves; `answers`: files of them
    by system. `style_control`: the win rate of answers that look like the opponent's. `shown`: what a verdict
    calls the answers by their places (`[A, B]`), in each order; `strong`: how many verdicts a grade such as `A>>B` is.
    `judge: {name, version, prompt}`, or `annotator`, a field: who gave the verdicts; several may vote on one pair.
    """

    verdict: str
    swapped: str | None = None
    id: str = "id"
    names: dict[str, str] = Field(default_factory=dict)
    ties: tuple[Said, ...] = ("tie",)
    scale: tuple[float, float] | None = None
    system: str | None = None
    opponent: str | None = None
    label: str | None = None
    length: str | None = None
    length_opponent: str | None = None
    answers: Answers | None = None
    style_control: bool = False
    shown: tuple[str, str] | None = None
    strong: float | None = Field(None, gt=1)
    against: str | None = None
    rule: Rule = "mean"


class StoredPairwise(Stored):
    """Pairwise verdicts that were given elsewhere, read from a file."""

    Options: ClassVar[type[judgekit.Options]] = StoredPairwiseOptions
    options: StoredPairwiseOptions
    series = SERIES
    shares = SHARES
    unscaled = UNSCALED

    def inputs(self) -> list[Path]:
        answers = self.options.answers
        return [*super().inputs(), *(self.path(file) for file in (answers.files.values() if answers else ()))]

    def check(self, systems: Mapping[str, frozenset[str]]) -> list[str]:
        options = self.options
        problems = check_opponent(options.against, list(systems))
        if (options.system is None) != (options.opponent is None):
            problems.append("system and opponent are fields that name the two systems: give both or neither")
        if (options.length is None) != (options.length_opponent is None):
            problems.append("length and length_opponent belong together: give both or neither")
        if options.style_control and options.length is None and options.answers is None:
            problems.append("style_control needs the answers: in answers, or as texts in length and length_opponent")
        if options.answers is not None and options.length is not None:
            problems.append("answers and length both say how long the answers are: give one")
        if options.answers is not None and set(options.answers.files) != set(systems):
            problems.append(f"answers: give a file for each of {', '.join(systems)}")
        if options.shown is not None and (
            options.shown[0] == options.shown[1] or set(options.shown) & set(options.names)
        ):
            problems.append("shown: two different words for the two places, and none that names also has")
        if options.system is None and len(systems) > 2:
            problems.append("with more than two systems, name the fields that hold them: system and opponent")
        problems += self.doubts("verdicts", options.scale)
        unknown = [name for name in options.names.values() if name not in systems]
        return problems + [f"names: no model is named {name!r}" for name in unknown]

    def check_samples(self, samples: Sequence[judgekit.Sample], systems: Sequence[str], whole: bool) -> list[str]:
        anchor = systems[0]  # which of two is the system does not matter to what is wrong
        known = list(dict.fromkeys(sample_id for _, sample_id, *_ in self._battles(systems, anchor)))
        problems = strangers(known, samples, "verdicts") if whole else []
        missing = sorted({sample.id for sample in samples} - set(known))
        if missing:
            some = ", ".join(repr(one) for one in missing[:3])
            problems.append(
                f"{self.options.path} has no verdict for {judgekit.counted(len(missing), 'sample')}, such as {some}"
            )
        return problems

    def pairs(self, systems: Sequence[str], anchor: str) -> Sequence[tuple[str, str]]:
        return all_pairs(systems, self._anchor(systems, anchor))

    def _anchor(self, systems: Sequence[str], anchor: str) -> str:
        against = self.options.against
        return against if against is not None and against in systems else anchor

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        """One row a (system, opponent, sample); of several annotators, one a vote, as judge repeats."""
        order = {pair: place for place, pair in enumerate(self.pairs(study.systems, study.anchor))}
        place_of = {sample.id: place for place, sample in enumerate(study.samples)}
        unsorted = (battle for battle in self._battles(study.systems, study.anchor) if battle[1] in place_of)
        battles = sorted(unsorted, key=lambda battle: (order[battle[0]], place_of[battle[1]], battle[2]))
        for (pair, sample_id), votes in groupby(battles, key=lambda battle: battle[:2]):
            for number, (*_, battle) in enumerate(votes):
                yield battle.row(pair[0], pair[1], sample_id, self.options.rule, judge_repeat=number)

    def aggregate(self, tables: judgekit.statistics.Tables, terms: judgekit.AggregateTerms) -> judgekit.Aggregate:
        from judgekit_metrics.pairwise_aggregate import pairwise_aggregate

        return pairwise_aggregate(tables, terms)

    def _battles(self, systems: Sequence[str], anchor: str) -> Iterator[tuple[tuple[str, str], str, int, Battle]]:
        """((system, opponent), sample id, annotator, battle) of every row, turned so that the pair is one of `pairs`.

        Annotators are numbered by name; all are 0 where the file has one, or none is named.
        """
        options = self.options
        path, pairs = self.path(options.path), set(self.pairs(systems, anchor))
        fields = [options.id, options.verdict, options.swapped, options.system, options.opponent, options.label]
        wanted = [name for name in (*fields, options.length, options.length_opponent) if name is not None]
        taken: dict[tuple[tuple[str, str], str, str], str] = {}
        entries = read_entries(path, wanted)
        names = sorted({self._annotator(entry) for entry in entries})
        people = {name: number for number, name in enumerate(names)}
        for entry in entries:
            try:
                sample_id, (system, opponent) = entry.id(options.id), self._systems(entry, systems, anchor)
                turned = (system, opponent) not in pairs
                pair = (opponent, system) if turned else (system, opponent)
                vote = pair, sample_id, self._annotator(entry)
                if vote in taken:
                    raise ValueError(f"the sample {sample_id!r} has its verdict already in {taken[vote]}")
                battle = self._battle(entry, system, opponent, systems, turned)
            except ValueError as error:
                raise judgekit.DataError(f"{entry.place}: {error}", path=path) from None
            if options.against in systems and options.against not in pair:
                continue
            taken[vote] = entry.place
            number = people[vote[-1]]
            if len(people) > 1:
                battle = replace(battle, looks={**battle.looks, ANNOTATOR: float(number)})
            yield pair, sample_id, number, battle

    def _annotator(self, entry: Entry) -> str:
        return "" if self.options.annotator is None else entry.text(self.options.annotator)

    def _systems(self, entry: Entry, systems: Sequence[str], anchor: str) -> tuple[str, str]:
        """The row's two systems: named in it, or the run's two, the anchor as the opponent."""
        options = self.options
        if options.system is None or options.opponent is None:
            opponent = self._anchor(systems, anchor)
            return next(system for system in systems if system != opponent), opponent
        two = [options.names.get(said, said) for said in (entry.text(options.system), entry.text(options.opponent))]
        for name in two:
            if name not in systems:
                raise ValueError(f"no model is named {name!r} (there are: {', '.join(systems)})")
        if two[0] == two[1]:
            raise ValueError(f"{two[0]!r} is compared with itself")
        return two[0], two[1]

    def _battle(self, entry: Entry, system: str, opponent: str, systems: Sequence[str], turned: bool) -> Battle:
        options = self.options

        def verdict(name: str, *shown: str) -> judgekit.Verdict:
            places = dict(zip(options.shown or (), shown, strict=False))
            vocabulary = Vocabulary({**self._names(system, opponent), **places}, options.ties, options.scale)
            said = entry.text(name)
            if not said and said not in options.ties:
                return judgekit.Verdict(status="unparsed", detail=f"the file has no {name!r} here")
            value = vocabulary.preference(said, system, opponent, systems)
            if value is None:
                raise ValueError(f"the winner {said!r} is neither {system!r} nor {opponent!r}")
            weight = options.strong if options.strong is not None and vocabulary.is_strong(said) else 1.0
            series = {} if options.strong is None else {WEIGHT: weight}
            return judgekit.Verdict(status="scored", value=1 - value if turned else value, raw=said, series=series)

        first, label = verdict(options.verdict, system, opponent), None
        if options.label is not None and (said := entry.text(options.label)):
            labels = Vocabulary(self._names(system, opponent), options.ties)
            label = labels.preference(said, system, opponent, systems)
        looks = self._looks(entry, system, opponent)
        second = None if options.swapped is None else verdict(options.swapped, opponent, system)
        if turned:
            first, second = (first, None) if second is None else (second, first)
            label, looks = (None if label is None else 1 - label), {name: -value for name, value in looks.items()}
        return Battle(first, second, label=label, looks=looks)

    def _looks(self, entry: Entry, system: str, opponent: str) -> dict[str, float]:
        """How the two answers differ; nothing where neither they nor their lengths are at hand."""
        options = self.options
        if options.answers is not None:
            sample_id = entry.id(options.id)
            ours, theirs = (self._answers.get(name, {}).get(sample_id) for name in (system, opponent))
            if ours is None or theirs is None:
                raise ValueError(f"answers has none of {system if ours is None else opponent} to {sample_id!r}")
            return _looks_of(ours, theirs, options.style_control)
        if options.length is None or options.length_opponent is None:
            return {}
        if options.style_control:
            ours, theirs = entry.value(options.length), entry.value(options.length_opponent)
            if not isinstance(ours, str) or not isinstance(theirs, str):
                raise ValueError("style_control needs the answers themselves in length and length_opponent")
            return _looks_of(ours, theirs, style=True)
        return {LONGER: _characters(entry, options.length) - _characters(entry, options.length_opponent)}

    @cached_property
    def _answers(self) -> dict[str, dict[str, str]]:
        """The systems' answers by sample id."""
        answers = self.options.answers
        files = {} if answers is None else answers.files
        return {name: texts_by_id(self.path(file), answers.id, answers.text) for name, file in files.items() if answers}

    def _names(self, system: str, opponent: str) -> dict[str, str]:
        """The file's names of systems; a row may also name a field of its own, as in `winner: model_a`."""
        fields = {self.options.system: system, self.options.opponent: opponent}
        return {**self.options.names, **{name: named for name, named in fields.items() if name is not None}}


def _looks_of(ours: str, theirs: str, style: bool) -> dict[str, float]:
    without = judgekit.judging.without_thoughts
    return looks_of([without(ours)], [without(theirs)], style)


def _characters(entry: Entry, name: str) -> float:
    """A field's number, or how many characters its text has."""
    value = entry.value(name)
    if value is None or isinstance(value, bool):
        raise ValueError(f"no {name!r}")
    if not isinstance(value, str):
        return float(value)
    return float(value) if value.strip().isdecimal() else float(len(judgekit.judging.without_thoughts(value)))


class IdOptions(judgekit.Options):
    """`path`: CSV, TSV, JSON or JSONL; `id`, `instruction`, `category`: its fields."""

    path: str
    id: str = "id"
    instruction: str | None = None
    category: str | None = None


class Ids(judgekit.DataLoader):
    """Samples of which little more than the id is known: for verdicts that were given elsewhere."""

    Options: ClassVar[type[judgekit.Options]] = IdOptions
    options: IdOptions

    def inputs(self) -> list[Path]:
        return [self.path(self.options.path)]

    def load(self) -> Iterator[judgekit.Sample]:
        """One sample an id, in the order of the file; rows of one id are one sample."""
        options = self.options
        wanted = [name for name in (options.id, options.instruction, options.category) if name is not None]
        seen: set[str] = set()
        for entry in read_entries(self.path(options.path), wanted):
            sample_id = entry.id(options.id)
            if not sample_id:
                raise judgekit.DataError(f"{entry.place}: no {options.id!r}", path=self.path(options.path))
            if sample_id not in seen:
                seen.add(sample_id)
                yield judgekit.Sample(
                    id=sample_id,
                    instruction=entry.text(options.instruction) if options.instruction else "",
                    category=(entry.text(options.category) or None) if options.category else None,
                )


class UnseenOptions(judgekit.Options):
    """`note`: anything worth keeping about the system, such as its version."""

    note: str = Field("", max_length=1000)


class Unseen(judgekit.Backend):
    """A system whose answers are not at hand: only verdicts on them are."""

    Options: ClassVar[type[judgekit.Options]] = UnseenOptions
    options: UnseenOptions
    capabilities = frozenset({"generate", "stored"})
    free = True

    def identity(self) -> dict[str, JsonValue]:
        return {"adapter": "unseen/1", "note": self.options.note, "unknown": True}

    def known_ids(self) -> Collection[str]:
        return ()

    def generate(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        raise judgekit.BackendError("an unseen system answers nothing: give it a backend, or stored responses")
