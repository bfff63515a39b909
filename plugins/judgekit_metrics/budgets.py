"""Report sections on repeats: what each mean's variance is made of, what to buy next, and pooled runs."""

from __future__ import annotations

from collections.abc import Sequence

import judgekit
import judgekit.statistics

PARTS = ("items", "generation", "judge")
FEW = 2  # means whose advice is told in words; the table has each
WIDTH = 300  # of the plot in px, beside the names of systems
PADDING = {"left": 24, "right": 8, "top": 4, "bottom": 4}  # the reader's font may be wider than the measured one


def sections(run: judgekit.RunView) -> Sequence[judgekit.Section]:
    record = run.record
    return [*_budget(record.variance_budgets), *_pooled(record.pooled)]


def _budget(budgets: Sequence[judgekit.statistics.VarianceBudget]) -> Sequence[judgekit.Section]:
    if not budgets:
        return []
    told = [one for one in budgets if one.generation is not None or one.judge is not None]
    values = [
        {"mean": _name(one), "part": part, "share": share}
        for one in told
        for part, share in zip(PARTS, _shares(one), strict=True)
        if share is not None
    ]
    axis = {"format": ".0%", "tickCount": 5, "grid": True, "title": "share of the variance of the mean"}
    chart = {
        "data": {"values": values},
        "padding": PADDING,
        "width": WIDTH,
        "height": {"step": 26},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {
                "field": "mean",
                "type": "nominal",
                "sort": [_name(one) for one in told],
                "axis": {"title": None, "labelLimit": 150},
            },
            "x": {"field": "share", "type": "quantitative", "scale": {"domain": [0, 1]}, "axis": axis},
            "color": {"field": "part", "type": "nominal", "scale": {"domain": list(PARTS)}},
        },
    }
    columns = ["mean", "standard error", *PARTS, "items × generations × judgements", "what to buy next"]
    said = "Every item was answered and judged once, so what repeats would save is not known."
    if told:
        shown = [f"{_name(one)}: {one.advice}" for one in told[:FEW]]
        said = " ".join([*shown, *(["The table has the advice for each mean."] if len(told) > FEW else [])])
    return [
        judgekit.Section(
            name="variance",
            title="What the intervals are made of",
            sentence="Of each mean's variance, how much is the spread of the items, the noise of generating an answer "
            f"again, and that of judging it again. Repeats can only shrink the last two. {said}",
            chart=chart if values else None,
            table=judgekit.Table(columns, [_row(one) for one in budgets]),
            place="judges",
        )
    ]


def _row(one: judgekit.statistics.VarianceBudget) -> list[str]:
    points = one.scale.unit == "%"
    error = f"{_total(one) ** 0.5 * (100 if points else 1):.3g}{' points' if points else ''}"
    made = f"{one.n_items} × {one.generations:.3g} × {one.judgements:.3g}"
    shares = ["–" if share is None else f"{share:.0%}" for share in _shares(one)]
    return [_name(one), error, *shares, made, one.advice]


def _shares(one: judgekit.statistics.VarianceBudget) -> list[float | None]:
    """The parts of the variance by item, generation and judge; None where no repeat can tell."""
    total = _total(one)
    parts = (one.item, one.generation, one.judge)
    return [None if part is None or not total else part / total for part in parts]


def _total(one: judgekit.statistics.VarianceBudget) -> float:
    return one.item + (one.generation or 0.0) + (one.judge or 0.0)


def _name(one: judgekit.statistics.VarianceBudget) -> str:
    return f"{one.metric}, {one.system}" + (f" against {one.opponent}" if one.opponent else "")


def _pooled(runs: Sequence[judgekit.statistics.PooledRun]) -> Sequence[judgekit.Section]:
    if not runs:
        return []
    rows = [[one.run_id, str(one.seed), ", ".join(str(repeat + 1) for repeat in one.repeats) or "none"] for one in runs]
    return [
        judgekit.Section(
            name="pooled",
            title="Pooled runs",
            sentence=f"This report pools {len(runs)} runs that differ in nothing but their seed: they stand in it as "
            "repeats of the same items.",
            table=judgekit.Table(["run", "seed", "its repeats here"], rows),
        )
    ]
