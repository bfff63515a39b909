"""Every metric by the groups of a field of the samples: a line a group, a point a system, and a table with the rest.

A group that was looked for because it is the lowest looks lower than it is, and of many intervals some miss: the
sentence says both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import judgekit
import judgekit.statistics
from judgekit_html import numbers, tables
from judgekit_html.charts import DOT, Styles, axis_title, top
from judgekit_html.drawing import COLOURS, LINE, MUTED, PAPER, SHAPES, WIDTH
from judgekit_html.findings import interval_text, pair_name

IN_ORDER = 12  # groups up to which they stand in their own order; more are sorted by the first system's value
NAMES = 150  # px for a group's name
STEP = 12  # px a system on each line
NAMED = 3  # groups that a sentence names
LONG = 60  # characters of a group's name that are shown


def sections(record: judgekit.RunRecord) -> Iterator[judgekit.Section]:
    """One section a field and metric, and one more for its paired differences."""
    for place, breakdown in enumerate(record.breakdowns):
        for metric in dict.fromkeys(estimate.metric for estimate in breakdown.estimates):
            yield _section(record, place, metric)


def _section(record: judgekit.RunRecord, place: int, metric: str) -> judgekit.Section:
    breakdown = record.breakdowns[place]
    mine = [estimate for estimate in breakdown.estimates if estimate.metric == metric]
    differences = [estimate for estimate in breakdown.differences if estimate.metric == metric]
    head = next((estimate.series for estimate in mine if estimate.series == "value"), mine[0].series)
    heads = [estimate for estimate in mine if estimate.series == head]
    groups = _order(breakdown, heads)
    title = f"{metric} by {breakdown.field}"
    chance = _chance(record, metric)
    words = _sentence(title, heads, differences, groups)
    if chance is not None:
        words += f" The dashed line is chance, {numbers.amount(chance, heads[0].scale)}."
    table = _table(mine, differences, groups)
    # The subjects of multiple choice stand with the letters that were chosen.
    where: Literal["choices", "groups"] = "groups" if chance is None else "choices"
    chart = _chart(record, heads, groups, chance)
    return judgekit.Section(f"groups-{place}-{metric}", title, words, chart, table, where)


def _chance(record: judgekit.RunRecord, metric: str) -> float | None:
    """The share of right answers by chance; None for a metric that is not multiple choice."""
    return next((s.value for s in record.statistics if s.metric == metric and s.name == "chance"), None)


def _order(breakdown: judgekit.statistics.Breakdown, heads: Sequence[judgekit.statistics.Estimate]) -> list[str]:
    """The groups that the metric has: as they are, or the lowest first where they are many."""
    present = {estimate.group for estimate in heads}
    groups = [group.name for group in breakdown.groups if group.name in present]
    if len(groups) <= IN_ORDER:
        return groups
    first = _names(heads)[0]
    values = {e.group: e.value for e in heads if _name(e) == first}
    place = {group: number for number, group in enumerate(groups)}
    return sorted(groups, key=lambda group: (values.get(group) is None, values.get(group) or 0.0, place[group]))


def _names(estimates: Sequence[judgekit.statistics.Estimate]) -> list[str]:
    return list(dict.fromkeys(map(_name, estimates)))


def _name(estimate: judgekit.statistics.Estimate) -> str:
    if estimate.against is not None:
        return f"{estimate.system} − {estimate.against}"
    return pair_name(estimate)


# --- in words --------------------------------------------------------------------------------------------------------


def _sentence(
    title: str,
    heads: Sequence[judgekit.statistics.Estimate],
    differences: Sequence[judgekit.statistics.Estimate],
    groups: Sequence[str],
) -> str:
    parts = [f"{title}: {judgekit.counted(len(groups), 'group')}."]
    for name in _names(heads):
        ordered = sorted(
            (e for e in heads if _name(e) == name and e.value is not None), key=lambda e: e.value if e.value else 0.0
        )
        if len(ordered) > 1 and ordered[0].value != ordered[-1].value:
            parts.append(f"{name} is lowest on {_of(ordered[0])} and highest on {_of(ordered[-1])}.")
    for name in _names(differences):
        parts.append(_apart(name, [e for e in differences if _name(e) == name]))
    without = sum(e.interval.low is None for e in heads)
    drawn = len(heads) - without
    if without:
        parts.append(
            f"{judgekit.counted(without, 'value')} {'has' if without == 1 else 'have'} no interval "
            "(its table says why)."
        )
    if drawn > 1:
        missed = (1 - heads[0].confidence) * drawn
        parts.append(
            f"Each interval is for its group alone: of these {drawn}, about {missed:.1f} are expected to miss, and the "
            "group that comes out lowest looks lower than it is."
        )
    return " ".join(parts)


def _of(estimate: judgekit.statistics.Estimate) -> str:
    figure = numbers.amount(estimate.value, estimate.scale)
    items = judgekit.counted(estimate.n_items, "item")
    return f"{_short(estimate.group)} ({figure}, {interval_text(estimate)}, {items})"


def _apart(name: str, differences: Sequence[judgekit.statistics.Estimate]) -> str:
    """The groups in which a paired difference is clear of zero."""
    known = [e for e in differences if e.interval.low is not None and e.interval.high is not None]
    clear = [e for e in known if not (e.interval.low or 0.0) <= 0 <= (e.interval.high or 0.0)]
    if not clear:
        return f"{name} is clear of zero in none of {judgekit.counted(len(known), 'group')}."
    largest = sorted(clear, key=lambda e: -abs(e.value or 0.0))[:NAMED]
    named = ", ".join(
        f"{_short(e.group)} {numbers.amount(e.value, e.scale, difference=True)} {interval_text(e)}" for e in largest
    )
    more = ", the largest" if len(clear) > NAMED else ""
    by_chance = (1 - known[0].confidence) * len(known)
    return (
        f"{name} is clear of zero in {len(clear)} of {judgekit.counted(len(known), 'group')} "
        f"(by chance alone: about {by_chance:.1f}){more}: {named}."
    )


def _short(group: str | None) -> str:
    return judgekit.shortened(group or "", LONG)


# --- the chart and the table -----------------------------------------------------------------------------------------


def _chart(
    record: judgekit.RunRecord,
    heads: Sequence[judgekit.statistics.Estimate],
    groups: Sequence[str],
    chance: float | None,
) -> Mapping[str, Any]:
    """A line a group; on it, for each system, its interval as a bar and its value as a point; chance through all."""
    scale, names, styles = heads[0].scale, _names(heads), Styles(record.systems)
    factor = numbers.factor(scale)
    domain = [scale.low * factor, scale.high * factor]
    x = {
        "type": "quantitative",
        "scale": {"domain": domain, "nice": False},
        "axis": {"title": axis_title(scale.label, scale), "tickCount": 5, "grid": True},
    }
    shown = {str(number): _short(group) for number, group in enumerate(groups)}
    y = {"field": "line", "type": "ordinal", "sort": list(shown), "axis": {"title": None, "labels": False}}
    shades = [
        _shade(record, styles, next(e for e in heads if _name(e) == name), number, len(names))
        for number, name in enumerate(names)
    ]
    legend = {"title": None} if len(names) > 1 else None
    colour = {"field": "series", "type": "nominal", "scale": {"domain": names, "range": shades}, "legend": legend}
    shapes = [SHAPES[number % len(SHAPES)] for number in range(len(names))]
    shape = {**colour, "scale": {"domain": names, "range": shapes}}
    layers: list[dict[str, Any]] = []
    if chance is not None:
        mark = {"type": "rule", "strokeDash": [5, 3], "color": MUTED}
        at = {"x": {"datum": round(chance * factor, 6), **x}}
        layers.append({"data": {"values": [{}]}, "mark": mark, "encoding": at})
    for number, name in enumerate(names):
        offset = (number - (len(names) - 1) / 2) * STEP
        values = _values(name, [e for e in heads if _name(e) == name and e.value is not None], groups)
        rule = {
            "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
            "mark": {"type": "rule", "strokeWidth": 4, "opacity": 0.55, "yOffset": offset},
            "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, "y": y, "color": colour},
        }
        point = {
            "mark": {**DOT, "size": 60, "opacity": 1, "yOffset": offset, "stroke": PAPER, "strokeWidth": 1},
            "encoding": {"x": {"field": "value", **x}, "y": y, "color": colour, "shape": shape},
        }
        layers.append({"data": {"values": values}, "layer": [rule, point]})
    labels = {
        "data": {"values": [{"line": line, "name": text} for line, text in shown.items()]},
        "mark": {"type": "text", "align": "right", "dx": -6, "limit": NAMES, "fontSize": 11},
        "encoding": {"x": {"value": 0}, "y": y, "text": {"field": "name"}},
    }
    return top(
        width=WIDTH - NAMES + 20,
        padding={"left": 16, "top": 4, "right": 8, "bottom": 4},
        height={"step": max(STEP * len(names) + 8, 18)},
        config={"axis": {"gridColor": LINE}},
        layer=[*layers, labels],
    )


def _values(name: str, heads: Sequence[judgekit.statistics.Estimate], groups: Sequence[str]) -> list[dict[str, Any]]:
    """The data of one system's points."""
    place = {group: number for number, group in enumerate(groups)}

    def scaled(value: float | None) -> float | None:
        return None if value is None else round(value * numbers.factor(heads[0].scale), 6)

    return [
        {
            "line": str(place[e.group or ""]),
            "value": scaled(e.value),
            "low": scaled(e.interval.low),
            "high": scaled(e.interval.high),
            "series": name,
        }
        for e in heads
    ]


def _shade(
    record: judgekit.RunRecord, styles: Styles, estimate: judgekit.statistics.Estimate, number: int, lines: int
) -> str:
    """The system's own colour, as everywhere; where there are more lines than systems, one a line."""
    return styles.colour(estimate.system) if lines <= len(record.systems) else COLOURS[number % len(COLOURS)]


def _table(
    estimates: Sequence[judgekit.statistics.Estimate],
    differences: Sequence[judgekit.statistics.Estimate],
    groups: Sequence[str],
) -> judgekit.Table:
    """Every estimate of every group, with its counts."""
    several = len({estimate.series for estimate in estimates}) > 1
    columns = ["group", "system", *(["series"] if several else []), "value", "interval", "method", "items", "verdicts"]
    rows: list[list[str | float | int | None]] = []
    for group in groups:
        for one in (*estimates, *differences):
            if one.group == group:
                figure = numbers.amount(one.value, one.scale, difference=one.against is not None)
                series = [one.scale.label] if several else []
                method = tables.method_name(one.interval.method)
                counts = tables.counts(one.counts)
                rows.append([group, _name(one), *series, figure, interval_text(one), method, one.n_items, counts])
    return judgekit.Table(columns, rows)
