"""Report sections of pairwise metrics, from the record's estimates: the matrix of win rates and the
Bradley–Terry strengths of three or more systems, the win rate by every rule, and the judge's liking for a position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import judgekit
import judgekit.statistics

STRENGTH = "bradley_terry"
RULES = {
    "value": "headline",
    "mean": "mean of both orders",
    "both_orders": "both orders",
    "consistent_only": "consistent only",
    "weighted": "strong verdicts weighted",
    "length_adjusted": "length-adjusted",
    "style_controlled": "style-controlled",
    "new_annotators": "annotators drawn too",
}
FEW = 2  # pairs that are told in words; of more, the table has each
WIDTH = 300  # of the plots in px, beside the names of systems
PADDING = {"left": 24, "right": 8, "top": 4, "bottom": 4}  # the reader's font may be wider than the measured one

Estimates = Sequence[judgekit.statistics.Estimate]


def sections(run: judgekit.RunView) -> Sequence[judgekit.Section]:
    """The sections of every metric that compares systems."""
    record = run.record
    shown: list[judgekit.Section | None] = []
    for metric in dict.fromkeys(estimate.metric for estimate in record.estimates if estimate.opponent is not None):
        mine = [e for e in record.estimates if e.metric == metric and e.opponent and e.estimand == "new items"]
        rates = [estimate for estimate in mine if estimate.series == "value"]
        systems = [system for system in record.systems if any(system in (e.system, e.opponent) for e in rates)]
        shown += [
            _matrix(metric, rates, systems) if len({e.opponent for e in rates}) > 1 else None,
            _strengths(metric, [estimate for estimate in mine if estimate.series == STRENGTH]),
            _rules(metric, [estimate for estimate in mine if estimate.series in RULES]),
            _positions(metric, mine, record.statistics),
        ]
    return [replace(section, place="pairwise") for section in shown if section is not None]


def _matrix(metric: str, rates: Estimates, systems: Sequence[str]) -> judgekit.Section:
    """Every system's win rate against every other. A pair was estimated once; the other half is its mirror image."""
    values: dict[tuple[str, str], tuple[float | None, str]] = {}
    for estimate in rates:
        value, opponent = estimate.value, estimate.opponent or ""
        low, high = estimate.interval.low, estimate.interval.high
        values[estimate.system, opponent] = value, _figure(value, low, high)
        mirrored = [None if one is None else 1 - one for one in (value, high, low)]
        values[opponent, estimate.system] = mirrored[0], _figure(*mirrored)
    cells = [
        {
            "system": system,
            "against": opponent,
            "text": _percent(value),
            "side": "wins more" if value > 0.5 else "wins less",
            "shade": round(min(abs(value - 0.5), 0.4) * 1.4, 4),
        }
        for (system, opponent), (value, _) in values.items()
        if value is not None
    ]
    place = {
        "y": {"field": "system", "type": "nominal", "sort": list(systems), "axis": _names("wins of")},
        "x": {"field": "against", "type": "nominal", "sort": list(systems), "axis": _names("against", angle=0)},
    }
    chart = {
        "data": {"values": cells},
        "padding": PADDING,
        "width": WIDTH,
        "height": {"step": 38},
        "encoding": place,
        "layer": [
            {
                "mark": {"type": "rect", "cornerRadius": 3},
                "encoding": {
                    "color": {"field": "side", "type": "nominal", "scale": {"domain": ["wins more", "wins less"]}},
                    "opacity": {"field": "shade", "type": "quantitative", "scale": None, "legend": None},
                },
            },
            {"mark": {"type": "text"}, "encoding": {"text": {"field": "text"}}},
        ],
    }
    rows = [
        [system, *(values[system, one][1] if (system, one) in values else "" for one in systems)] for system in systems
    ]
    return judgekit.Section(
        name=f"matrix-{metric}",
        title=f"{metric}: every system against every other",
        sentence="How often the system of a row wins against that of a column; ties are a half. The table has the "
        "intervals. A half of the matrix is the mirror image of the other.",
        chart=chart if cells else None,
        table=judgekit.Table(["wins of ↓ against →", *systems], rows),
    )


def _strengths(metric: str, strengths: Estimates) -> judgekit.Section | None:
    """Bradley–Terry win probabilities against the anchor, the strongest first, or why there are none."""
    if not strengths:
        return None
    anchor, title = strengths[0].opponent or "", f"{metric}: Bradley–Terry strengths"
    known = sorted((e for e in strengths if e.value is not None), key=lambda e: -(e.value or 0))
    if not known:
        note = strengths[0].interval.note
        return judgekit.Section(f"strengths-{metric}", title, f"There are no Bradley–Terry strengths: {note}.")
    order = [e.system for e in known if (e.value or 0) >= 0.5]
    order += [anchor, *(e.system for e in known if e.system not in order)]
    values = [{"system": e.system, **_drawn(e)} for e in known] + [{"system": anchor, "value": 0.5}]
    chart = {
        "data": {"values": values},
        "padding": PADDING,
        "width": WIDTH,
        "height": {"step": 34},
        "encoding": {"y": {"field": "system", "type": "nominal", "sort": order, "axis": _names()}},
        "layer": _intervals(f"probability to win against {anchor}"),
    }
    words = ", ".join(f"{e.system} {_figure(e.value, e.interval.low, e.interval.high)}" for e in known)
    return judgekit.Section(
        name=f"strengths-{metric}",
        title=title,
        sentence=f"From all pairs together, the probability to win against {anchor} (the anchor, at 50 % by "
        f"definition): {words}. Intervals resample items.",
        chart=chart,
        table=_table(known),
    )


def _rules(metric: str, estimates: Estimates) -> judgekit.Section | None:
    """The win rate by every rule, to see whether the result hangs on one."""
    if len({estimate.series for estimate in estimates}) < 2:
        return None
    names = [name for series, name in RULES.items() if any(e.series == series for e in estimates)]
    pairs = list(dict.fromkeys(_pair(estimate) for estimate in estimates))
    values = [{"pair": _pair(e), "rule": RULES[e.series], **_drawn(e)} for e in estimates if e.value is not None]
    rule = {"field": "rule", "type": "nominal", "sort": names}
    shade = {**rule, "scale": {"domain": names}, "legend": {"columns": 2, "columnPadding": 24}}
    two_lines = {"labelExpr": "[split(datum.label, ' against ')[0], 'against ' + split(datum.label, ' against ')[1]]"}
    chart = {
        "data": {"values": values},
        "padding": PADDING,
        "width": WIDTH,
        "height": {"step": 14},
        "encoding": {
            "y": {
                "field": "pair",
                "type": "nominal",
                "sort": pairs,
                "axis": {**_names(), **two_lines},
                "scale": {"paddingInner": 0.35, "paddingOuter": 0.2},
            },
            "yOffset": rule,
            "color": shade,
        },
        "layer": _intervals("win rate", shape=shade),
    }
    return judgekit.Section(
        name=f"rules-{metric}",
        title=f"{metric}: the win rate by other rules",
        sentence="The headline is by the config's rule. Where another lies on the other side of even odds, the result "
        "hangs on the rule. Both orders: an item is won or lost only if both orders say so. Consistent only: leaves "
        "out the items whose orders disagree, a check and no result. Length-adjusted: what a fit expects for answers "
        "as long as the opponent's; it is not AlpacaEval's LC win rate.",
        chart=chart if values else None,
        table=_table(estimates),
    )


def _positions(
    metric: str, estimates: Estimates, statistics: Sequence[judgekit.statistics.Statistic]
) -> judgekit.Section | None:
    """How the judge's verdicts depend on the order of the two answers."""
    first = {_pair(estimate): estimate for estimate in estimates if estimate.series == "first"}
    same = {_pair(estimate): estimate for estimate in estimates if estimate.series == "consistent"}
    counts: dict[str, dict[str, judgekit.statistics.Statistic]] = {}
    for one in statistics:
        if one.metric == metric:
            counts.setdefault(f"{one.system} against {one.opponent}", {})[one.name] = one
    if not first:
        return None
    words = [_liking(pair, estimate, counts.get(pair, {})) for pair, estimate in first.items()]
    if len(first) > FEW:
        known = [estimate.value for estimate in first.values() if estimate.value is not None]
        ends = f"between {_percent(min(known))} and {_percent(max(known))}" if known else "–"
        words = [f"Over {len(first)} pairs, the answer shown first is preferred in {ends} of the verdicts"]
    columns = [
        "pair",
        "same verdict in both orders",
        "preference for the first position",
        "changed with the order",
        "first won",
        "sign test p",
    ]
    rows = [
        [
            pair,
            _estimate(same.get(pair)),
            _estimate(estimate),
            *(_number(counts.get(pair, {}).get(name)) for name in ("changed", "first_won", "sign_test")),
        ]
        for pair, estimate in first.items()
    ]
    return judgekit.Section(
        name=f"positions-{metric}",
        title=f"{metric}: does the order of the answers matter?",
        sentence=f"{'; '.join(words)}. A judge without a liking for a position prefers the first in half of its "
        "verdicts.",
        table=judgekit.Table(columns, rows),
    )


def _liking(pair: str, first: judgekit.statistics.Estimate, counts: Mapping[str, judgekit.statistics.Statistic]) -> str:
    said = f"{pair}: the answer shown first is preferred in {_estimate(first)}"
    changed, won, test = (counts.get(name) for name in ("changed", "first_won", "sign_test"))
    if changed is None or won is None or not changed.value:
        return f"{said}, and no verdict changed with the order" if changed is not None else said
    flipped = f"of {judgekit.counted(round(changed.value), 'item')} whose verdict changed with the order"
    return f"{said}; {flipped}, the first won {won.value:.0f} (p {_number(test)})"


def _intervals(title: str, **points: Any) -> list[dict[str, Any]]:
    """The intervals and the values, on an axis from 0 to 100 %."""
    axis = {"format": ".0%", "tickCount": 5, "grid": True, "title": title}
    x = {"type": "quantitative", "scale": {"domain": [0, 1]}, "axis": axis}
    return [
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 4, "opacity": 0.5, "strokeCap": "round"},
            "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {"x": {"field": "value", **x}, **points},
        },
    ]


def _drawn(estimate: judgekit.statistics.Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.interval.low, "high": estimate.interval.high}


def _names(title: str | None = None, angle: int | None = None) -> dict[str, Any]:
    return {"title": title, "labelLimit": 150, **({} if angle is None else {"labelAngle": angle})}


def _table(estimates: Estimates) -> judgekit.Table:
    rows: list[list[str | float | int | None]] = [
        [_pair(e), RULES.get(e.series, e.scale.label), _percent(e.value), _ends(e), e.interval.method, e.n_items]
        for e in estimates
    ]
    return judgekit.Table(["pair", "rule", "value", "interval", "method", "items"], rows)


def _pair(estimate: judgekit.statistics.Estimate) -> str:
    return f"{estimate.system} against {estimate.opponent}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f}\N{NARROW NO-BREAK SPACE}%"


def _figure(value: float | None, low: float | None, high: float | None) -> str:
    """68.8 % [63.5, 73.8]."""
    ends = "" if low is None or high is None else f" [{low * 100:.1f}, {high * 100:.1f}]"
    return _percent(value) + ends


def _ends(estimate: judgekit.statistics.Estimate) -> str:
    low, high = estimate.interval.low, estimate.interval.high
    return estimate.interval.note if low is None or high is None else f"[{low * 100:.1f}, {high * 100:.1f}]"


def _estimate(estimate: judgekit.statistics.Estimate | None) -> str:
    if estimate is None:
        return "–"
    return _figure(estimate.value, estimate.interval.low, estimate.interval.high)


def _number(one: judgekit.statistics.Statistic | None) -> str | int:
    """A count as a number, a p-value with three decimals."""
    if one is None or one.value is None:
        return "–"
    if one.name != "sign_test":
        return int(one.value)
    return f"{one.value:.3f}" if one.value >= 0.001 else "< 0.001"
