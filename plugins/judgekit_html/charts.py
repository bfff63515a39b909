"""The report's own charts, each a Section: a Vega-Lite dict with its sentence and its data table.

Names of systems and splits are values in the data, never field names or expressions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import judgekit
import judgekit.data
import judgekit.statistics
from judgekit_html import numbers
from judgekit_html.drawing import COLOURS, GREY, INK, LINE, MUTED, PAPER, SHAPES, WIDTH
from judgekit_html.findings import pair_name

BINS = 10
LEVELS = 11  # up to as many different values get a bar each
POINTS = 240  # of a loss curve, drawn a split
BARS = 200  # of a waterfall
BETTER, WORSE, MARGIN = COLOURS[2], COLOURS[5], COLOURS[1]


@dataclass(frozen=True)
class Styles:
    """One colour and one shape a system, the same in every chart."""

    systems: Sequence[str]

    def colour(self, system: str) -> str:
        return COLOURS[self._index(system) % len(COLOURS)]

    def shape(self, system: str) -> str:
        return SHAPES[self._index(system) % len(SHAPES)]

    def _index(self, system: str) -> int:
        return list(self.systems).index(system) if system in self.systems else 0


SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"


def top(**chart: Any) -> dict[str, Any]:
    return {"$schema": SCHEMA, "width": WIDTH, **chart}


def axis_title(label: str, scale: judgekit.Scale, *, difference: bool = False) -> str:
    """The label with the unit of its numbers."""
    unit = numbers.unit(scale, difference=difference).strip()
    return f"{label} ({unit})" if unit else label


def intervals(
    estimates: Sequence[judgekit.statistics.Estimate],
    styles: Styles,
    reference: float | None = None,
    opponents: bool = False,
    margin: float | None = None,
) -> dict[str, Any]:
    """One line an estimate: name and figures as text, below them the interval as a bar and the value as a point.

    A dotted line shows where the value would lie with every missing verdict at an end of the scale. Scores get
    their whole scale, differences an axis around zero; `reference` (on the scale) is marked on every line, and `margin`
    by a dashed line through all of them. With `opponents` a line is named after the pair.
    """
    scale, differ = estimates[0].scale, estimates[0].against is not None
    domain = _around_zero(estimates, margin) if differ else [_scaled(scale.low, scale), _scaled(scale.high, scale)]
    label = f"difference in {scale.label}" if differ else scale.label
    axis = {"title": axis_title(label, scale, difference=differ), "tickCount": 5, "grid": False}
    x = {"type": "quantitative", "scale": {"domain": domain, "nice": False}, "axis": axis}
    layers = [_rule(x, *domain, stroke=LINE, strokeWidth=2)]
    if reference is not None:
        mark = {"type": "tick", "orient": "vertical", "size": 20, "thickness": 1.5, "color": MUTED, "yOffset": DROP}
        layers.append({"mark": mark, "encoding": {"x": {"datum": _scaled(reference, scale), **x}}})
    if margin is not None:
        mark = {"type": "rule", "strokeDash": [5, 3], "color": MARGIN}
        through = {"y": {"value": 0}, "y2": {"value": "height"}}
        layers.append({"mark": mark, "encoding": {"x": {"datum": _scaled(margin, scale), **x}, **through}})
    left = {"align": "left", "fontWeight": 600}
    return top(
        height={"step": 52},
        data={"values": [_line(index, estimate, styles, opponents) for index, estimate in enumerate(estimates)]},
        encoding={"y": {"field": "line", "type": "ordinal", "axis": None}},
        layer=[
            *layers,
            _rule(x, "min", "max", stroke=MUTED, strokeDash=[1, 4], strokeWidth=2),
            _rule(x, "low", "high", strokeWidth=6, opacity=0.6),
            _point(x),
            # The name stays readable over a margin's line.
            *([_text("name", 0, stroke=PAPER, strokeWidth=5, **left)] if margin is not None else []),
            _text("name", 0, **left),
            _text("figures", "width", align="right"),
        ],
    )


DROP = 7  # px from the middle of a line down to its interval, below its text
DOT: Mapping[str, Any] = {"type": "point", "filled": True}
RIMMED: Mapping[str, Any] = {"opacity": 1, "stroke": PAPER, "strokeWidth": 2}
SHADE = {"field": "shade", "type": "nominal", "scale": None, "legend": None}


def _rule(x: Mapping[str, Any], low: str | float | None, high: str | float | None, **mark: Any) -> dict[str, Any]:
    """A horizontal rule between two fields, left out where either is null, or between two numbers."""
    fields = isinstance(low, str)
    kind = "field" if fields else "datum"
    shade = {} if "stroke" in mark else {"color": SHADE}
    return {
        "transform": [{"filter": f"isValid(datum.{low}) && isValid(datum.{high})"}] if fields else [],
        "mark": {"type": "rule", "strokeCap": "round", "yOffset": DROP, **mark},
        "encoding": {"x": {kind: low, **x}, "x2": {kind: high}, **shade},
    }


def _point(x: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "transform": [{"filter": "isValid(datum.value)"}],
        "mark": {**DOT, "size": 130, **RIMMED, "yOffset": DROP},
        "encoding": {
            "x": {"field": "value", **x},
            "color": SHADE,
            "shape": {"field": "shape", "type": "nominal", "scale": None, "legend": None},
        },
    }


def _text(field: str, at: float | str, **mark: Any) -> dict[str, Any]:
    return {
        "mark": {"type": "text", "dy": -14, "limit": WIDTH // 2 - 6, **mark},
        "encoding": {"x": {"value": at}, "text": {"field": field}},
    }


def _line(index: int, estimate: judgekit.statistics.Estimate, styles: Styles, opponents: bool) -> dict[str, Any]:
    scale, differ = estimate.scale, estimate.against is not None
    bounds = estimate.bounds if estimate.bounds and estimate.bounds[0] < estimate.bounds[1] else (None, None)
    figures = (
        f"{numbers.amount(estimate.value, scale, difference=differ)} "
        f"{numbers.span(estimate.interval.low, estimate.interval.high, scale, difference=differ) or '(no interval)'}"
    )
    return {
        "line": index,
        "name": f"{estimate.system} − {estimate.against}" if differ else _name(estimate, opponents),
        "figures": figures if estimate.value is not None else "no estimate",
        "value": _scaled(estimate.value, scale),
        "low": _scaled(estimate.interval.low, scale),
        "high": _scaled(estimate.interval.high, scale),
        "min": _scaled(bounds[0], scale),
        "max": _scaled(bounds[1], scale),
        "shade": styles.colour(estimate.system),
        "shape": styles.shape(estimate.system),
    }


def _name(estimate: judgekit.statistics.Estimate, opponents: bool) -> str:
    return pair_name(estimate) if opponents else estimate.system


def _scaled(value: float | None, scale: judgekit.Scale) -> float | None:
    return None if value is None else round(value * numbers.factor(scale), 6)


def _around_zero(estimates: Sequence[judgekit.statistics.Estimate], margin: float | None) -> list[float]:
    """An axis with every end, the margin and zero, a tenth wider on both sides; the whole scale without any ends."""
    ends = [
        end
        for estimate in estimates
        for end in (estimate.value, estimate.interval.low, estimate.interval.high, *(estimate.bounds or ()))
        if end is not None
    ]
    ends += [] if margin is None else [margin]
    scale = estimates[0].scale
    low, high = (min(0.0, *ends), max(0.0, *ends)) if ends else (scale.low, scale.high)
    margin = (high - low or scale.high - scale.low) / 10
    return [round((low - margin) * numbers.factor(scale), 6), round((high + margin) * numbers.factor(scale), 6)]


@dataclass(frozen=True)
class Bin:
    label: str
    count: int
    scored: bool = True


def bins(values: Counter[float], unscored: int, scale: judgekit.Scale) -> list[Bin]:
    """The values counted: a bar for each where they are few, else ten equal bins (the last one closed)."""
    if len(values) <= LEVELS and all(float(value * numbers.factor(scale)).is_integer() for value in values):
        bars = [Bin(numbers.minus(f"{value * numbers.factor(scale):g}"), values[value]) for value in sorted(values)]
    else:
        counts = [0] * BINS
        for value, count in values.items():
            place = int((value - scale.low) / (scale.high - scale.low) * BINS)
            counts[min(max(place, 0), BINS - 1)] += count
        width = (scale.high - scale.low) * numbers.factor(scale) / BINS
        start = scale.low * numbers.factor(scale)
        bars = [Bin(f"{start + width * i:g}–{start + width * (i + 1):g}", count) for i, count in enumerate(counts)]
    return [*bars, Bin("no score", unscored, scored=False)] if unscored else bars


def histogram(systems: Mapping[str, Sequence[Bin]], scale: judgekit.Scale, styles: Styles) -> dict[str, Any]:
    """One small bar chart a system, one above the other on the same axes, each bar with its count."""
    order = list(dict.fromkeys(bar.label for bars in systems.values() for bar in bars if bar.scored))
    order += ["no score"] if any(not bar.scored for bars in systems.values() for bar in bars) else []
    top = max((bar.count for bars in systems.values() for bar in bars), default=1)
    x = {"field": "bin", "type": "nominal", "sort": order, "scale": {"domain": order}}
    y = {"field": "count", "type": "quantitative", "scale": {"domain": [0, top * 1.18], "nice": False}, "axis": None}
    label = axis_title(scale.label, scale)

    def one(system: str, bars: Sequence[Bin], last: bool) -> dict[str, Any]:
        values = [
            {"bin": bar.label, "count": bar.count, "shade": styles.colour(system) if bar.scored else GREY}
            for bar in bars
        ]
        axis = {
            "labelAngle": 0,
            "labelOverlap": False,
            "labelFontSize": 10,
            "domain": True,
            "domainColor": LINE,
            "labelExpr": "datum.label == 'no score' ? ['no', 'score'] : datum.label",
            "labels": last,
            "title": label if last else None,
        }
        encoding = {"x": {**x, "axis": axis}, "y": y}
        return {
            "title": system,
            "width": WIDTH,
            "height": 80,
            "data": {"values": values},
            "layer": [
                {"mark": {"type": "bar", "cornerRadiusEnd": 2}, "encoding": {**encoding, "color": SHADE}},
                {
                    "transform": [{"filter": "datum.count > 0"}],
                    "mark": {"type": "text", "dy": -7, "fontSize": 11, "color": MUTED},
                    "encoding": {**encoding, "text": {"field": "count"}},
                },
            ],
        }

    last = list(systems)[-1]
    return {
        "$schema": SCHEMA,
        "spacing": 14,
        "vconcat": [one(system, bars, system == last) for system, bars in systems.items()],
    }


def ranked(values: Mapping[str, float], scale: judgekit.Scale) -> list[tuple[str, float]]:
    """Items with their values from the largest gain to the largest loss; of more than BARS as many, evenly spaced."""
    good = 1 if scale.higher_is_better else -1
    bars = sorted(values.items(), key=lambda item: (-good * item[1], item[0]))
    if len(bars) > BARS:
        bars = [bars[round(i * (len(bars) - 1) / (BARS - 1))] for i in range(BARS)]
    return bars


def waterfall(
    values: Sequence[float], scale: judgekit.Scale, label: str, margin: float | None = None
) -> dict[str, Any]:
    """A bar an item, in the order of `ranked`: upwards where it is better. `margin` (on the scale of differences) is a
    dashed line."""
    good = 1 if scale.higher_is_better else -1
    shades = [BETTER if value * good > 0 else WORSE for value in values]
    bars = [
        {"left": place, "right": place + 1, "change": _scaled(value, scale), "none": 0, "shade": shade}
        for place, (value, shade) in enumerate(zip(values, shades, strict=True))
    ]
    y = {
        "type": "quantitative",
        "scale": {"reverse": not scale.higher_is_better},
        "axis": {"title": axis_title(label, scale, difference=True), "tickCount": 5},
    }
    x = {"type": "quantitative", "scale": {"domain": [0, len(bars)], "nice": False}, "axis": None}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "rect"},
            "encoding": {
                "x": {"field": "left", **x},
                "x2": {"field": "right"},
                "y": {"field": "change", **y},
                "y2": {"field": "none"},
                "color": SHADE,
            },
        },
        {"mark": {"type": "rule", "color": MUTED}, "encoding": {"y": {"datum": 0, **y}}},
    ]
    if margin is not None:
        mark = {"type": "rule", "strokeDash": [5, 3], "color": MARGIN}
        layers.append({"mark": mark, "encoding": {"y": {"datum": _scaled(margin, scale), **y}}})
    return top(height=150, data={"values": bars}, layer=layers)


def calibration(agreement: judgekit.statistics.Agreement) -> dict[str, Any]:
    """The labels' mean over the judge's, with the labels' interval; the dashed line is where they are the same."""
    scale = agreement.scale
    ends = [_scaled(scale.low, scale), _scaled(scale.high, scale)]
    both = {"type": "quantitative", "scale": {"domain": ends, "nice": False}}
    x = {**both, "axis": {"tickCount": 5, "title": axis_title("the judge", scale)}}
    y = {**both, "axis": {"tickCount": 5, "title": axis_title("the labels", scale)}}
    values = [
        {
            "judge": _scaled(one.judge, scale),
            "label": _scaled(one.label, scale),
            "low": _scaled(one.interval.low, scale),
            "high": _scaled(one.interval.high, scale),
        }
        for one in agreement.calibration
    ]
    same = [{"judge": end, "label": end} for end in ends]
    place = {"x": {"field": "judge", **x}, "y": {"field": "label", **y}}
    return top(
        height=220,
        layer=[
            {
                "data": {"values": same},
                "mark": {"type": "line", "strokeDash": [5, 3], "color": MUTED, "strokeWidth": 1},
                "encoding": place,
            },
            {
                "data": {"values": values},
                "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
                "mark": {"type": "rule", "color": COLOURS[0], "strokeWidth": 5, "opacity": 0.5, "strokeCap": "round"},
                "encoding": {"x": place["x"], "y": {"field": "low", **y}, "y2": {"field": "high"}},
            },
            {
                "data": {"values": values},
                "mark": {**DOT, "size": 110, **RIMMED, "color": COLOURS[0]},
                "encoding": place,
            },
        ],
    )


OUTCOMES = ("wins", "ties", "losses", "no verdict")


def outcomes(systems: Mapping[str, Mapping[str, int]], names: Mapping[str, str]) -> dict[str, Any]:
    """One stacked bar a system: win, tie, loss, no verdict, each with its count; `names` label the bars."""
    shades = dict(zip(OUTCOMES, (COLOURS[0], LINE, COLOURS[1], GREY), strict=True))
    values = []
    for line, (system, counts) in enumerate(systems.items()):
        start, total = 0, sum(counts.values())
        for outcome in OUTCOMES:
            count = counts.get(outcome, 0)
            values.append(
                {
                    "line": line,
                    "name": names[system],
                    "start": start / total,
                    "end": (start + count) / total,
                    "middle": (start + count / 2) / total,
                    "shade": shades[outcome],
                    "ink": INK if outcome == "ties" else PAPER,
                    "text": _fitting(count, outcome, count / total),
                    "first": outcome == OUTCOMES[0],
                }
            )
            start += count
    x = {"type": "quantitative", "scale": {"domain": [0, 1], "nice": False}, "axis": None}
    return top(
        height={"step": 58},
        data={"values": values},
        encoding={"y": {"field": "line", "type": "ordinal", "axis": None}},
        layer=[
            {
                "mark": {"type": "bar", "height": 24, "yOffset": 8, "stroke": PAPER, "strokeWidth": 1.5},
                "encoding": {"x": {"field": "start", **x}, "x2": {"field": "end"}, "color": SHADE},
            },
            {
                "mark": {"type": "text", "dy": 8, "fontSize": 12, "fontWeight": 600},
                "encoding": {
                    "x": {"field": "middle", **x},
                    "text": {"field": "text"},
                    "color": {"field": "ink", "type": "nominal", "scale": None, "legend": None},
                },
            },
            {
                "transform": [{"filter": "datum.first"}],
                "mark": {"type": "text", "dy": -15, "align": "left", "fontWeight": 600, "limit": WIDTH},
                "encoding": {"x": {"value": 0}, "text": {"field": "name"}},
            },
        ],
    )


def _fitting(count: int, outcome: str, share: float) -> str:
    """As much of "29 wins" as a part of the bar has room for; the data table has the rest."""
    return f"{count} {outcome}" if share > 0.2 else str(count) if share > 0.05 else ""


def measure(points: Iterable[judgekit.data.CurvePoint], name: str) -> dict[str, Any]:
    """Another measure of a training, by step; below the loss, on the same steps."""
    values = [{"step": point.step, "split": point.split, "value": point.measures[name]} for point in points]
    return _by_step(values, name.replace("_", " "), 70)


def curve(points: Iterable[judgekit.data.CurvePoint]) -> dict[str, Any]:
    """Loss by step, one line a split, told apart by colour and dash."""
    values = [{"step": point.step, "split": point.split, "value": point.loss} for point in points]
    return _by_step(values, "loss (nats)", 200)


def _by_step(values: Sequence[Mapping[str, Any]], title: str, height: int) -> dict[str, Any]:
    largest = max((abs(value["value"]) for value in values), default=0.0)
    tiny: dict[str, Any] = {"format": "~e"} if 0 < largest < 0.001 else {}  # learning rates: 1e−5, not 0.000010
    points = Counter(value["split"] for value in values)
    split = {"field": "split", "type": "nominal", "sort": None}
    dots: list[dict[str, Any]] = [  # a single point has no line
        {
            "transform": [{"filter": {"field": "split", "equal": name}}],
            "mark": {**DOT, "size": 40, "color": COLOURS[place % len(COLOURS)]},
        }
        for place, name in enumerate(points)
        if points[name] == 1
    ]
    return top(
        height=height,
        data={"values": values},
        encoding={
            "x": {"field": "step", "type": "quantitative", "axis": {"title": "step", "tickCount": 6}},
            "y": {
                "field": "value",
                "type": "quantitative",
                "scale": {"zero": False},
                "axis": {"title": title, "tickCount": 5 if height > 100 else 3, **tiny},
            },
        },
        layer=[
            {"mark": {"type": "line", "interpolate": "linear"}, "encoding": {"color": split, "strokeDash": split}},
            *dots,
        ],
    )


def thinned(points: Sequence[judgekit.data.CurvePoint], most: int = POINTS) -> list[judgekit.data.CurvePoint]:
    """At most `most` points a split, evenly spaced, the first and the last kept."""
    kept: list[judgekit.data.CurvePoint] = []
    for split in dict.fromkeys(point.split for point in points):
        mine = [point for point in points if point.split == split]
        if len(mine) > most:
            mine = [mine[round(i * (len(mine) - 1) / (most - 1))] for i in range(most)]
        kept += mine
    return kept
