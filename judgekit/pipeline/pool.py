"""Runs that differ in nothing but their seed → one run in which they stand as repeats, made from their files alone.

Where a system's answers differ between the runs, a run's repeats become further generation repeats. Where they do not
(stored answers, temperature 0), the verdicts on them become further judgements of one answer; and what is the same in
every run, verdicts too, is counted once: copies are no repeats, and would pass for noise that is not there.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, pairwise, zip_longest
from pathlib import Path
from typing import Any

import pluggy

from judgekit.config.blocks import RunConfig
from judgekit.config.load import build_options
from judgekit.contracts import Metric
from judgekit.errors import DataError, UsageError
from judgekit.pipeline.measure import Measurements
from judgekit.pipeline.prepared import MAIN, DataSet, PlannedMetric
from judgekit.pipeline.rescore import StoredSamples, spec_of
from judgekit.plugins import Catalogue
from judgekit.records import Empty, Response, Row, Scale, ScoreKey
from judgekit.regression.baseline import samples_of
from judgekit.results import JudgeCard, PooledRun, RunRecord, RunView
from judgekit.run_folder import RunFolder
from judgekit.secrets import shortened

NOT_DECISIVE = ("name", "seed", "reports", "gate", "labels")  # keys of a config that runs may differ in
SHOWN = 3  # differences that an error names


@dataclass(frozen=True)
class Member:
    """One of the runs, and the numbers that its generation repeats get; a draw that an earlier run made has none."""

    folder: RunFolder
    view: RunView
    config: RunConfig
    numbers: dict[int, int] = field(default_factory=dict)

    @property
    def record(self) -> RunRecord:
        return self.view.record


def pool(folders: Sequence[RunFolder], into: Path, manager: pluggy.PluginManager) -> RunFolder:
    """A run's folder below `into` that holds these runs as repeats; the same for any order of them.

    Raises UsageError where two of them differ in more than the seed, or are one and the same; DataError for files that
    are damaged or do not fit each other.
    """
    members = _members(folders)
    first = members[0].record
    digest = hashlib.sha256("\n".join(member.record.run_id for member in members).encode()).hexdigest()
    folder = RunFolder(into / f"{first.name}-pooled-{digest[:12]}")
    if folder.path.resolve() in {member.folder.path.resolve() for member in members}:
        raise UsageError(f"{folder.path} is the pool of these runs itself")
    same = _same_answers(members)
    copies = _copies(members, same)
    files = {"samples.jsonl": folder.samples.write(members[0].view.samples)}
    for system in first.systems:
        if members[0].folder.responses(system).path.is_file():
            kept = members[:1] if system in same else members
            files[f"responses/{system}.jsonl"] = folder.responses(system).write(_responses(kept, system))
    config = members[0].config
    metrics = _metrics(members, config, Catalogue(manager))
    measurements = Measurements(config)
    by_name = {planned.name: planned for planned in metrics}
    files["rows.jsonl"] = folder.rows.write(
        measurements.added(by_name[row.metric], row) for row in _rows(members, same, copies)
    )
    record = first.model_copy(
        update={
            "run_id": folder.path.name,
            "status": "incomplete" if any(m.record.status == "incomplete" for m in members) else "complete",
            **measurements.fields(metrics),
            "pooled": tuple(
                PooledRun(run_id=m.record.run_id, seed=m.config.seed, repeats=tuple(sorted(m.numbers.values())))
                for m in members
            ),
            "cards": _worst_cards(members),
            "agreements": (),
            "gate": None,
            "warnings": tuple(_warnings(members, copies)),
            "notes": _sum(member.record.notes for member in members),
            "errors": _sum(member.record.errors for member in members),
            "empty": tuple(_empty(members, first.systems)),
            "files": files,
        }
    )
    folder.write_record(record)
    return folder


# --- which runs -------------------------------------------------------------------------------------------------------


def _members(folders: Sequence[RunFolder]) -> list[Member]:
    """The runs by seed, checked against each other, with the numbers of their repeats."""
    views = [(folder, folder.view()) for folder in folders]
    members = [Member(folder, view, spec_of(view.record, folder)) for folder, view in views]
    members.sort(key=lambda member: (member.config.seed, member.record.run_id))
    for member in members:
        if member.record.pooled:
            runs = " ".join(one.run_id for one in member.record.pooled)
            raise UsageError(f"{member.folder.path} pools runs already; name the runs themselves: {runs}")
    for one, other in pairwise(members):
        if one.record.run_id == other.record.run_id:
            raise UsageError(f"{one.folder.path} and {other.folder.path} are the same run, and would count twice")
    for other in members[1:]:
        if differences := _differences(members[0], other):
            more = f"; and {len(differences) - SHOWN} other differences" if len(differences) > SHOWN else ""
            raise UsageError(
                f"{members[0].record.run_id} and {other.record.run_id} differ in more than their seed, so they are no "
                f"repeats of each other: {'; '.join(differences[:SHOWN])}{more}"
            )
    draws: dict[int, int] = {}
    for member in members:
        generations = [model.repeats or member.config.repeats.generation for model in member.config.models.values()]
        for repeat in range(max(generations)):
            draw = member.config.seed + repeat  # repeat r is drawn with seed + r
            if draw not in draws:
                member.numbers[repeat] = draws[draw] = len(draws)
    return members


def _differences(one: Member, other: Member) -> list[str]:
    """What decides a run's rows and differs between the two, in words."""
    differences = []
    for first, second, name in (
        (_work(one.config), _work(other.config), "{}"),
        (one.record.inputs, other.record.inputs, "data {}"),
        (one.record.prompts, other.record.prompts, "prompt {}"),
        (one.record.identities, other.record.identities, "identity of {}"),
        (one.record.steps, other.record.steps, "evaluation steps of judge {}"),
    ):
        was, now = dict(_leaves(first)), dict(_leaves(second))
        for key in sorted(was.keys() | now.keys()):
            if was.get(key) != now.get(key):
                differences.append(f"{name.format(key)} is {_shown(was.get(key))} and {_shown(now.get(key))}")
    if not differences and one.record.files.get("samples.jsonl") != other.record.files.get("samples.jsonl"):
        differences.append("their samples differ")
    return differences


def _work(config: RunConfig) -> dict[str, Any]:
    return {key: value for key, value in config.work().items() if key not in NOT_DECISIVE}


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of everything in the tree that is no mapping."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    return shortened(json.dumps(value, ensure_ascii=False), 60)


# --- what becomes of their rows ---------------------------------------------------------------------------------------


def _same_answers(members: Sequence[Member]) -> set[str]:
    """The systems whose answers are the same in every run; those that gave none are among them."""
    return {
        system
        for system in members[0].record.systems
        if len({member.record.files.get(f"responses/{system}.jsonl") for member in members}) == 1
    }


def _copies(members: Sequence[Member], same: set[str]) -> set[ScoreKey]:
    """The places whose answers and rows are the same in every run."""
    digests: list[dict[ScoreKey, Any]] = []
    for member in members:
        digests.append({})
        for row in member.view.rows:
            if _is_same(row, same):
                digest = digests[-1].setdefault(row.place, hashlib.sha256())
                content = [row.sample_id, row.repeat, row.judge_repeat, row.status, row.value, row.series]
                digest.update(json.dumps(content, sort_keys=True).encode())
    return {
        place
        for place, digest in digests[0].items()
        if all(place in other and other[place].digest() == digest.digest() for other in digests)
    }


def _is_same(row: Row, same: set[str]) -> bool:
    return row.system in same and (not row.opponent or row.opponent in same)


def _responses(members: Sequence[Member], system: str) -> Iterator[Response]:
    """The system's responses, by sample and then by repeat."""
    files = [member.folder.responses(system) for member in members]
    blocks = [groupby(file, key=lambda response: response.sample_id) for file in files]
    for member, response in _side_by_side(members, blocks):
        if response.repeat in member.numbers:
            yield response.model_copy(update={"repeat": member.numbers[response.repeat]})


def _rows(members: Sequence[Member], same: set[str], copies: set[ScoreKey]) -> Iterator[Row]:
    """All rows in the order of the first run, those of one sample side by side, numbered as repeats of each other."""
    place = {member.record.run_id: number for number, member in enumerate(members)}
    judgements = members[0].config.repeats.judge
    blocks = [groupby(member.view.rows, key=lambda row: (row.place, row.sample_id)) for member in members]
    for member, row in _side_by_side(members, blocks):
        number = place[member.record.run_id]
        if row.place in copies:
            if number == 0:
                yield row
        elif _is_same(row, same):
            yield row.model_copy(update={"judge_repeat": number * judgements + row.judge_repeat})
        elif row.repeat in member.numbers:
            yield row.model_copy(update={"repeat": member.numbers[row.repeat]})


def _side_by_side(members: Sequence[Member], blocks: Sequence[Iterator[tuple[Any, Iterator[Any]]]]) -> Iterator[Any]:
    """(member, line) of files that all have the same blocks in the same order, block by block."""
    for side_by_side in zip_longest(*blocks):
        keys = {None if block is None else block[0] for block in side_by_side}
        if len(keys) > 1:
            raise DataError(f"{' and '.join(m.record.run_id for m in members)} do not have the same items in one order")
        yield from chain.from_iterable(
            ((member, line) for line in block[1]) for member, block in zip(members, side_by_side, strict=True)
        )


# --- what is said of them ---------------------------------------------------------------------------------------------


def _metrics(members: Sequence[Member], config: RunConfig, catalogue: Catalogue) -> list[PlannedMetric]:
    """The metrics, each with the series of the runs' estimates: the judge that could tell them is not asked for."""
    series = {name: {"value"} for name in config.metrics}  # of their rows: others are numbers made of these
    for row in chain.from_iterable(member.view.rows for member in members):
        series.setdefault(row.metric, set()).update((*row.series, *row.missing))
    scales: dict[str, dict[str, Scale]] = {name: {} for name in config.metrics}
    for estimate in chain.from_iterable(member.record.estimates for member in members):
        if estimate.series in series.get(estimate.metric, ()):
            scales[estimate.metric].setdefault(estimate.series, estimate.scale)
    samples, used = list(members[0].view.samples), {name: set[str]() for name in config.metrics}
    for row in members[0].view.rows:
        used.setdefault(row.metric, set()).add(row.sample_id)
    planned: list[PlannedMetric] = []
    for name, part in config.metrics.items():
        factory = catalogue.get("metrics", part.type)
        metric: Metric = factory(build_options(factory.Options, part.options, f"metrics.{name}"), Path())
        chosen = samples_of(members[0].record, name, samples, used[name])
        data = DataSet(name if part.data is not None else MAIN, StoredSamples([], chosen), tuple(chosen))
        systems = tuple(part.models or config.models)
        planned.append(PlannedMetric(name, metric, data, systems, part.judge, series=scales[name]))
    return planned


def _worst_cards(members: Sequence[Member]) -> tuple[JudgeCard, ...]:
    """Of each judge's cards the worst: failed, else undecided, else passed."""
    rank = {False: 0, None: 1, True: 2}
    worst: dict[tuple[str, str], JudgeCard] = {}
    for card in (card for member in members for card in member.record.cards):
        known = worst.setdefault((card.judge, card.task), card)
        if rank[card.passed] < rank[known.passed]:
            worst[card.judge, card.task] = card
    return tuple(worst.values())


def _warnings(members: Sequence[Member], copies: set[ScoreKey]) -> Iterator[str]:
    yield from dict.fromkeys(warning for member in members for warning in member.record.warnings)
    for metric, system, opponent in sorted(copies):
        pair = f"{system} against {opponent}" if opponent else system
        yield f"{metric}, {pair}: the seed changed neither answers nor verdicts, so the runs are counted once"
    twice = sum(
        max(m.repeats or member.config.repeats.generation for m in member.config.models.values()) - len(member.numbers)
        for member in members
    )
    if twice:
        yield (
            f"generation repeats left out: {twice}. Repeat r is drawn with seed + r, and another of the runs drew with "
            "the same; seeds that are at least as far apart as there are repeats avoid it"
        )
    if any(member.record.agreements for member in members):
        yield "agreement with labels is not pooled: it stands in the reports of the single runs"


def _empty(members: Sequence[Member], systems: Sequence[str]) -> Iterator[Empty]:
    """The empty answers of each system in the run where it gave most of them."""
    for system in systems:
        mine = [one for member in members for one in member.record.empty if one.system == system]
        yield from sorted(mine, key=lambda one: one.share)[-1:]


def _sum(counted: Iterator[Mapping[str, int]]) -> dict[str, int]:
    return dict(sorted(sum(map(Counter, counted), Counter[str]()).items()))
