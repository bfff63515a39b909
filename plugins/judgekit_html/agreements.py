"""How far the judges agree with people's labels, or with another judge: tables of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import judgekit
import judgekit.statistics
from judgekit_html import charts, numbers

SHARES = ("agreement", "agreement_no_ties", "majority")
POINTS = ("bias", "mae", "mean")
SHARE = judgekit.Scale(label="share", low=0, high=1, unit="%")


@dataclass(frozen=True)
class Block:
    """One agreement: what was compared, its figures, the corrected means, and what must be known to read them."""

    title: str
    facts: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    corrected_columns: Sequence[str]
    corrected: Sequence[Sequence[str]]
    notes: Sequence[str]
    section: judgekit.Section | None


def blocks(record: judgekit.RunRecord) -> list[Block]:
    return [_block(found) for found in record.agreements]


def _block(found: judgekit.statistics.Agreement) -> Block:
    between = {figure.name: figure for figure in found.ceiling}
    interval = f"{numbers.percent(found.confidence)} interval"
    columns = ["Figure", "Value", interval, *(["Between labellers", interval] if between else []), "Note"]
    rows = []
    for figure in found.figures:
        row = [figure.label, *_figure(figure, found)]
        if between:
            row += _figure(between[figure.name], found) if figure.name in between else ["", ""]
        rows.append([*row, _note(figure, found)])
    people = f"{found.n_pairs} labels by {found.labellers} labellers" if found.labellers > 1 else ""
    return Block(
        title=f"{found.metric}: {found.first} and {found.second}",
        facts=f"{people or judgekit.counted(found.n_pairs, 'response')} on {judgekit.counted(found.n_items, 'item')}; "
        "items were resampled for the intervals",
        columns=columns,
        rows=rows,
        corrected_columns=[
            "System",
            "Corrected mean",
            interval,
            "The judge alone",
            "The labels alone",
            "Labels",
            "Others",
        ],
        corrected=[_corrected(one, found) for one in found.corrected],
        notes=found.notes,
        section=_calibration(found) if found.calibration else None,
    )


def _calibration(found: judgekit.statistics.Agreement) -> judgekit.Section:
    """What the judge's values are worth: the labels' mean where it gave about the same."""
    scale = found.scale
    said = [" – ".join(dict.fromkeys(numbers.plain(end, scale) for end in (one.low, one.high)))
            for one in found.calibration]  # fmt: skip
    table = judgekit.Table(
        ["judge's value", "responses", "its mean there", "the labels' mean", "interval"],
        [[name, one.n_pairs, numbers.amount(one.judge, scale), numbers.amount(one.label, scale),
          numbers.span(one.interval.low, one.interval.high, scale) or one.interval.note]
         for name, one in zip(said, found.calibration, strict=True)],
    )  # fmt: skip
    name, worst = max(zip(said, found.calibration, strict=True), key=lambda one: abs(one[1].judge - one[1].label))
    span = numbers.span(worst.interval.low, worst.interval.high, scale)
    sentence = (
        f"Labels lie furthest from the judge where it says {name} ({judgekit.counted(worst.n_pairs, 'response')}): its "
        f"mean there is {numbers.amount(worst.judge, scale)}, the labels' {numbers.amount(worst.label, scale)}"
        f"{f' {span}' if span else ''}. On the dashed line a value is worth what it says."
    )
    title = f"Calibration of {found.first} on {found.metric}"
    return judgekit.Section(f"calibration-{found.metric}", title, sentence, charts.calibration(found), table)


def _figure(figure: judgekit.statistics.AgreementMeasure, found: judgekit.statistics.Agreement) -> list[str]:
    return [_value(figure.value, figure.name, found), _range(figure.interval, figure.name, found)]


def _note(figure: judgekit.statistics.AgreementMeasure, found: judgekit.statistics.Agreement) -> str:
    return f"Wilson {_range(figure.wilson, figure.name, found)}" if figure.wilson else figure.note


def _value(value: float | None, name: str, found: judgekit.statistics.Agreement) -> str:
    if value is None:
        return numbers.NONE
    if name in SHARES:
        return numbers.amount(value, SHARE)
    if name in POINTS:
        return numbers.amount(value, found.scale, difference=name == "bias")
    return numbers.minus(f"{value:.3f}")


def _range(interval: judgekit.statistics.Interval, name: str, found: judgekit.statistics.Agreement) -> str:
    if interval.low is None or interval.high is None:
        return interval.note
    return f"[{_value(interval.low, name, found)}, {_value(interval.high, name, found)}]"


def _corrected(one: judgekit.statistics.Corrected, found: judgekit.statistics.Agreement) -> list[str]:
    def mean(value: float | None, interval: judgekit.statistics.Interval) -> str:
        return f"{_value(value, 'mean', found)} {_range(interval, 'mean', found)}"

    own = [_value(one.value, "mean", found), _range(one.interval, "mean", found)]
    others = [mean(one.judge_mean, one.judge_only), mean(one.labels_mean, one.labels_only)]
    return [one.system, *own, *others, numbers.whole(one.n_labels), numbers.whole(one.n_unlabelled)]
