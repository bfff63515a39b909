"""Agreement of judges with people's labels, or with another judge, as tables of text."""

from __future__ import annotations

from types import SimpleNamespace

import judgekit
import judgekit.statistics
from judgekit_html import charts, numbers

CORRECTED = ("The judge alone", "The labels alone", "Labels", "Others")
SHARES = ("agreement", "agreement_no_ties", "majority")
POINTS = ("bias", "mae", "mean")
SHARE = judgekit.Scale(label="share", low=0, high=1, unit="%")


def blocks(record: judgekit.RunRecord) -> list[SimpleNamespace]:
    """Every agreement: the two sides, its figures, the corrected means, and the notes needed to read them."""
    return [_block(agreement) for agreement in record.agreements]


def _block(agreement: judgekit.statistics.Agreement) -> SimpleNamespace:
    between = {figure.name: figure for figure in agreement.ceiling}
    interval = f"{numbers.percent(agreement.confidence)} interval"
    columns = ["Figure", "Value", interval, *(["Between labellers", interval] if between else []), "Note"]
    rows = []
    for figure in agreement.figures:
        row = [figure.label, *_figure(figure, agreement)]
        if between:
            row += _figure(between[figure.name], agreement) if figure.name in between else ["", ""]
        rows.append([*row, _note(figure, agreement)])
    people = f"{agreement.n_pairs} labels by {agreement.labellers} labellers" if agreement.labellers > 1 else ""
    items = judgekit.counted(agreement.n_items, "item")
    return SimpleNamespace(
        title=f"{agreement.metric}: {agreement.first} and {agreement.second}",
        facts=f"{people or judgekit.counted(agreement.n_pairs, 'response')} on {items}; "
        "items were resampled for the intervals",
        columns=columns,
        rows=rows,
        corrected_columns=["System", "Corrected mean", interval, *CORRECTED],
        corrected=[_corrected(one, agreement) for one in agreement.corrected],
        notes=agreement.notes,
        section=_calibration(agreement) if agreement.calibration else None,
    )


def _calibration(agreement: judgekit.statistics.Agreement) -> judgekit.Section:
    """The labels' mean over the judge's value, where it gave about the same."""
    scale = agreement.scale
    said = [
        " – ".join(dict.fromkeys(numbers.plain(end, scale) for end in (one.low, one.high)))
        for one in agreement.calibration
    ]
    table = judgekit.Table(
        ["judge's value", "responses", "its mean there", "the labels' mean", "interval"],
        [
            [
                name,
                one.n_pairs,
                numbers.amount(one.judge, scale),
                numbers.amount(one.label, scale),
                numbers.span(one.interval.low, one.interval.high, scale) or one.interval.note,
            ]
            for name, one in zip(said, agreement.calibration, strict=True)
        ],
    )
    name, worst = max(zip(said, agreement.calibration, strict=True), key=lambda one: abs(one[1].judge - one[1].label))
    span = numbers.span(worst.interval.low, worst.interval.high, scale)
    sentence = (
        f"Labels lie furthest from the judge where it says {name} ({judgekit.counted(worst.n_pairs, 'response')}): its "
        f"mean there is {numbers.amount(worst.judge, scale)}, the labels' {numbers.amount(worst.label, scale)}"
        f"{f' {span}' if span else ''}. On the dashed line a value is worth what it says."
    )
    title = f"Calibration of {agreement.first} on {agreement.metric}"
    return judgekit.Section(f"calibration-{agreement.metric}", title, sentence, charts.calibration(agreement), table)


def _figure(figure: judgekit.statistics.AgreementMeasure, agreement: judgekit.statistics.Agreement) -> list[str]:
    return [_value(figure.value, figure.name, agreement), _range(figure.interval, figure.name, agreement)]


def _note(figure: judgekit.statistics.AgreementMeasure, agreement: judgekit.statistics.Agreement) -> str:
    return f"Wilson {_range(figure.wilson, figure.name, agreement)}" if figure.wilson else figure.note


def _value(value: float | None, name: str, agreement: judgekit.statistics.Agreement) -> str:
    if value is None:
        return numbers.NONE
    if name in SHARES:
        return numbers.amount(value, SHARE)
    if name in POINTS:
        return numbers.amount(value, agreement.scale, difference=name == "bias")
    return numbers.minus(f"{value:.3f}")


def _range(interval: judgekit.statistics.Interval, name: str, agreement: judgekit.statistics.Agreement) -> str:
    if interval.low is None or interval.high is None:
        return interval.note
    return f"[{_value(interval.low, name, agreement)}, {_value(interval.high, name, agreement)}]"


def _corrected(one: judgekit.statistics.Corrected, agreement: judgekit.statistics.Agreement) -> list[str]:
    def mean(value: float | None, interval: judgekit.statistics.Interval) -> str:
        return f"{_value(value, 'mean', agreement)} {_range(interval, 'mean', agreement)}"

    own = [_value(one.value, "mean", agreement), _range(one.interval, "mean", agreement)]
    others = [mean(one.judge_mean, one.judge_only), mean(one.labels_mean, one.labels_only)]
    return [one.system, *own, *others, numbers.whole(one.n_labels), numbers.whole(one.n_unlabelled)]
