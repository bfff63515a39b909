"""Pairs of preference from a finished run's verdicts, for learning by DPO (Rafailov et al., 2023): the better response
is chosen and the worse one rejected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

import judgekit
import judgekit.data
from judgekit_synthesis.making import Fields, SynthesisTally
from judgekit_synthesis.work import product_of, summary


class ResponseKey(NamedTuple):
    """A response by its system and generation repeat."""

    system: str
    repeat: int


TESTED = (
    "the pairs are made of the samples that {} tests its systems on: a system that learns from them is not to be "
    "tested on them again; `data: {{split: train}}` in its config makes them of others"
)


class JudgedPair(NamedTuple):
    """Two responses to one sample, the better one first; `margin` ≥ 0: the difference on the metric's scale."""

    sample_id: str
    better: ResponseKey
    worse: ResponseKey
    margin: float


def command(folder: Path, into: Path, metric: str | None, systems: Sequence[str], margin: float) -> int:
    """`judgekit data reflect RUN`."""
    view = judgekit.read_run(folder)
    name = chosen_metric(view.record, metric)
    for system in systems:
        if system not in view.record.systems:
            raise judgekit.UsageError(f"no system is named {system!r} (there are: {', '.join(view.record.systems)})")
    work = {"run": view.record.run_id, "metric": name, "margin": margin, "systems": sorted(systems)}
    product = product_of("reflect", into, work)
    if view.record.part("data").get("split") != "train":
        click.secho(f"warning: {TESTED.format(view.record.run_id)}", fg="yellow", err=True)
    tally = pairs_of(view, name, systems or view.record.systems, margin)
    judged_by = _judged_by(view.record, name)
    for pair in tally.kept:
        pair[judgekit.data.JUDGED_BY] = [*judged_by]
    if tally.kept:
        product.write(tally, {}, True, "")
    for line in summary(tally, into, None, True, "compared"):
        click.echo(line)
    if not tally.kept:
        raise judgekit.UsageError(f"no pair is left of {view.record.run_id}, and nothing was written")
    return 0


def _judged_by(record: judgekit.RunRecord, metric: str) -> list[str]:
    """The fingerprints of the judge that chose, or of the members of its panel."""
    identities = [record.identities.get(f"judges.{name}") for name in judgekit.data.judges_of(record, metric)]
    return [judgekit.data.judge_fingerprint(one) for one in identities if one is not None]


def chosen_metric(record: judgekit.RunRecord, name: str | None) -> str:
    """The metric of that name; None: the only one. Raises UsageError."""
    known = list(dict.fromkeys(estimate.metric for estimate in record.estimates))
    if name is None and len(known) == 1:
        return known[0]
    if name not in known or name is None:
        fault = "name the metric" if name is None else f"no metric is named {name!r}"
        raise judgekit.UsageError(f"{fault}: --metric (there are: {', '.join(known) or 'none'})")
    return name


def pairs_of(view: judgekit.RunView, metric: str, systems: Sequence[str], margin: float) -> SynthesisTally:
    """A pair for every sample whose responses differ by at least `margin`; the others are counted, ties too."""
    tally = SynthesisTally()
    texts = {
        (response.sample_id, ResponseKey(response.system, response.repeat)): response.text
        for response in view.responses
        if response.status == "complete"
    }
    samples = {sample.id: sample for sample in view.samples}
    for preference in _preferences(view, metric, systems, tally):
        tally.written += 1
        sample = samples[preference.sample_id]
        chosen, rejected = (texts.get((sample.id, answer)) for answer in (preference.better, preference.worse))
        if sample.turns or sample.system:
            tally.reject("a conversation, which a pair cannot hold")
        elif preference.margin == 0:
            tally.reject("a tie")
        elif preference.margin < margin:
            tally.reject("a difference below the margin")
        elif not (chosen and chosen.strip() and rejected and rejected.strip()):
            tally.reject("an empty response")
        elif chosen == rejected:
            tally.reject("twice the same response")
        else:
            tally.kept.append(_pair(sample, preference, metric, chosen, rejected))
    return tally


def _pair(sample: judgekit.Sample, preference: JudgedPair, metric: str, chosen: str, rejected: str) -> Fields:
    return {
        "id": sample.id,
        "instruction": sample.instruction,
        "input": sample.input,
        "output": sample.reference or "",
        "chosen": chosen,
        "rejected": rejected,
        "metric": metric,
        "margin": preference.margin,
        "chosen_system": preference.better.system,
        "rejected_system": preference.worse.system,
    }


def _preferences(
    view: judgekit.RunView, metric: str, systems: Sequence[str], tally: SynthesisTally
) -> Iterator[JudgedPair]:
    """Pairs by sample, in the order of the rows. Judge repeats are averaged; a response without a score in one of them
    has none."""
    values: dict[tuple[str, ResponseKey, str], list[float | None]] = defaultdict(list)
    for row in view.rows:
        if row.metric == metric and row.system in systems and (not row.opponent or row.opponent in systems):
            values[row.sample_id, ResponseKey(row.system, row.repeat), row.opponent].append(row.value)
    means = {key: sum(scored) / len(scored) for key, each in values.items() if (scored := _scored(each))}
    tally.reject("not scored", len(values) - len(means))
    if any(opponent for _, _, opponent in values):
        yield from _duels(view, means)
    else:
        yield from _best_and_worst(view.record, metric, means, tally)


def _scored(values: Sequence[float | None]) -> list[float]:
    """All of them, or none where one is missing."""
    return [value for value in values if value is not None] if None not in values else []


def _duels(view: judgekit.RunView, means: Mapping[tuple[str, ResponseKey, str], float]) -> Iterator[JudgedPair]:
    """Winner and loser of every comparison. A value p is the preference for the system: the difference is |2p − 1|.

    Repeat r met the opponent's repeat r modulo the opponent's number of repeats.
    """
    repeats: dict[str, int] = {}
    for response in view.responses:
        repeats[response.system] = max(repeats.get(response.system, 0), response.repeat + 1)
    for (sample_id, ours, opponent), value in means.items():
        theirs = ResponseKey(opponent, ours.repeat % repeats[opponent])
        better, worse = (ours, theirs) if value >= 0.5 else (theirs, ours)
        yield JudgedPair(sample_id, better, worse, abs(2 * value - 1))


def _best_and_worst(
    record: judgekit.RunRecord, metric: str, means: Mapping[tuple[str, ResponseKey, str], float], tally: SynthesisTally
) -> Iterator[JudgedPair]:
    """The best and the worst response to every sample, whichever systems and repeats they are of."""
    scale = next(one.scale for one in record.estimates if one.metric == metric and one.series == "value")
    by_sample: dict[str, list[tuple[float, ResponseKey]]] = defaultdict(list)
    for (sample_id, answer, _), value in means.items():
        by_sample[sample_id].append((value if scale.higher_is_better else -value, answer))
    for sample_id, scored in by_sample.items():
        if len(scored) < 2:
            tally.reject("a single response")
            continue
        best = max(scored, key=lambda one: one[0])
        worst = min(scored, key=lambda one: one[0])
        yield JudgedPair(sample_id, best[1], worst[1], best[0] - worst[0])
