"""Charts: what is drawn, that it is always drawn alike, and that a chart that cannot be drawn is an error."""

import base64
import re
import sys
from collections import Counter
from xml.etree import ElementTree

import pytest

import judgekit
from judgekit.results import CurvePoint
from judgekit_html import charts, drawing, figures
from judgekit_html.board import Column
from judgekit_html.charts import Bin, Styles
from sample_run import HOSTILE, SCORE, WIN_RATE, sample_run
from sinks import each_of
from tables import each

BARS = {
    "mark": "bar",
    "encoding": {"x": {"field": "a", "type": "nominal"}, "y": {"field": "b", "type": "quantitative"}},
}


def svg(uri):
    head, _, body = uri.partition(",")
    assert head == "data:image/svg+xml;base64"
    return base64.b64decode(body, validate=True).decode("utf-8")


def test_a_hostile_label_is_text_in_a_well_formed_svg():
    def is_text(text):
        chart = {**BARS, "title": text, "data": {"values": [{"a": text, "b": 1}]}}
        chart["encoding"] = {**chart["encoding"], "x": {"field": "a", "type": "nominal", "axis": {"title": text}}}
        root = ElementTree.fromstring(svg(drawing.data_uri(chart, "hostile")))
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert tags <= {"svg", "style", "g", "path", "line", "rect", "text", "defs", "clipPath", "tspan", "title"}
        assert not any(name.lower().startswith("on") for element in root.iter() for name in element.attrib)

    each_of(HOSTILE, is_text)


def test_a_name_that_every_javascript_object_has_is_drawn():
    for name in ("constructor", "__proto__", "toString"):
        points = [CurvePoint(step=step, split=name, loss=1.0) for step in range(3)]
        assert name in svg(drawing.data_uri(charts.curve(points), "named"))


def test_drawing_again_gives_the_same_bytes_whatever_was_drawn_before():
    clipped = {
        "mark": {"type": "point", "clip": True},
        "data": {"values": [{"a": 1}]},
        "encoding": {"x": {"field": "a"}},
    }
    first = drawing.data_uri(clipped, "clipped")
    drawing.data_uri({**BARS, "data": {"values": []}}, "other")
    assert drawing.data_uri(clipped, "clipped") == first
    assert "clip-path" in svg(first)


def test_colours_follow_the_scheme():
    picture = svg(drawing.data_uri({**BARS, "data": {"values": [{"a": "x", "b": 1}]}}, "dark"))
    assert "prefers-color-scheme:dark" in picture
    assert drawing.COLOURS[0] in picture


@each(
    {**BARS, "data": {"url": "https://example.com/data.csv"}},
    {**BARS, "data": {"url": "http://127.0.0.1:9/x.json"}},
    {"mark": "no such mark", "data": {"values": []}},
)
def test_a_chart_that_loads_something_or_is_broken_is_an_error_with_its_section(chart):
    with pytest.raises(judgekit.PluginError, match="'its section'"):
        drawing.data_uri(chart, "its section")


def test_without_vl_convert_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(judgekit.PluginError, match=re.escape(judgekit.install_hint("report"))):
        drawing.data_uri(BARS, "any")


def test_few_values_get_a_bar_each_and_missing_verdicts_their_own():
    scale = SCORE.model_copy(update={"low": 1, "high": 5})
    assert charts.bins(Counter({5.0: 2, 3.0: 1}), 4, scale) == [Bin("3", 1), Bin("5", 2), Bin("no score", 4, False)]


def test_many_values_fall_into_ten_bins_the_last_one_closed():
    values = Counter({0.0: 1, 9.99: 1, 10.0: 1, 99.9: 1, 100.0: 1, 55.5: 2})
    bars = charts.bins(values, 0, SCORE)
    assert [bar.label for bar in bars][::9] == ["0–10", "90–100"]
    assert [bar.count for bar in bars] == [2, 1, 0, 0, 0, 2, 0, 0, 0, 2]


def test_shares_are_binned_in_percent():
    bars = charts.bins(Counter({0.333: 3}), 0, WIN_RATE)
    assert (bars[3].label, bars[3].count) == ("30–40", 3)


def test_long_curves_are_thinned_with_both_ends_kept():
    points = [CurvePoint(step=step, split=split, loss=1.0) for split in ("train", "val") for step in range(1000)]
    kept = charts.thinned(points, 50)
    for split in ("train", "val"):
        steps = [point.step for point in kept if point.split == split]
        assert (len(steps), steps[0], steps[-1]) == (50, 0, 999)
        assert steps == sorted(set(steps))


def test_a_curve_of_one_point_is_a_dot():
    points = [CurvePoint(step=step, split="train", loss=1.0 + step) for step in range(3)]
    points.append(CurvePoint(step=2, split="validation", loss=2.0))
    assert len(charts.curve(points)["layer"]) == 2
    assert len(charts.curve(points[:-1])["layer"]) == 1
    assert "aria" not in svg(drawing.data_uri(charts.curve(points), "dots"))


def test_a_waterfall_has_its_bars_in_its_table():
    values = {"c": -3.0, "a": 2.0, "b": 2.0, "d": 0.0}
    column = Column("difference", "quality", "quality, sft − base", SCORE, values, {}, {})
    found = figures.waterfall(sample_run().record, column, column.moved)
    assert found.table is not None
    assert found.table.rows == [["a", "+2.0"], ["b", "+2.0"], ["d", "0.0"], ["c", "−3.0"]]
    assert "2 better, 1 worse, 1 equal" in found.sentence
    errors = SCORE.model_copy(update={"higher_is_better": False})
    assert [one for one, _ in charts.ranked(values, errors)] == ["c", "d", "a", "b"]
    assert len(charts.ranked({str(n): float(n) for n in range(999)}, SCORE)) == charts.BARS


def test_systems_differ_in_colour_and_in_shape():
    styles = Styles(("a", "b", "c"))
    assert len({styles.colour(name) for name in "abc"}) == len({styles.shape(name) for name in "abc"}) == 3


def test_wins_ties_and_losses_are_counted_from_the_rows():
    run = sample_run()
    section = figures.outcomes(run.record, figures.RowCounts(run), "winrate")
    assert section is not None
    assert section.table is not None
    values = [row.value for row in run.rows if row.metric == "winrate" and row.value is not None]
    wins, losses = sum(v > 0.5 for v in values), sum(v < 0.5 for v in values)
    assert list(section.table.rows[0]) == ["sft", "base", wins, len(values) - wins - losses, losses, 0]
    assert f"{wins} wins" in section.sentence


def test_the_histogram_counts_each_verdict_once_and_shows_the_missing():
    run = sample_run()
    section = figures.distribution(run.record, figures.RowCounts(run), "quality")
    assert section is not None
    assert section.table is not None
    rows = [row for row in run.rows if row.metric == "quality"]
    assert sum(int(row[2] or 0) for row in section.table.rows) == len(rows)
    missing = sum(int(row[2] or 0) for row in section.table.rows if row[1] == "no score")
    assert missing == sum(row.value is None for row in rows) > 0


def test_right_and_wrong_need_no_histogram():
    run = sample_run()
    assert figures.distribution(run.record, figures.RowCounts(run), "mmlu") is None
