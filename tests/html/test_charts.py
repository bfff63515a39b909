"""Charts and numbers: what is drawn and printed, always alike; a chart that cannot be drawn is an error."""

import base64
import re
import sys
from collections import Counter
from xml.etree import ElementTree

import pytest

import judgekit
from judgekit.records import Scale
from judgekit.results import CurvePoint
from judgekit_html import charts, drawing, figures, numbers
from judgekit_html.board import Column
from judgekit_html.charts import Bin, Styles
from judgekit_html.visible import visible
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


def test_names_and_systems_are_told_apart():
    for name in ("constructor", "__proto__", "toString"):
        points = [CurvePoint(step=step, split=name, loss=1.0) for step in range(3)]
        assert name in svg(drawing.data_uri(charts.curve(points), "named"))
    styles = Styles(("a", "b", "c"))
    assert len({styles.colour(name) for name in "abc"}) == len({styles.shape(name) for name in "abc"}) == 3


def test_drawing_is_repeatable_and_follows_the_scheme():
    clipped = {
        "mark": {"type": "point", "clip": True},
        "data": {"values": [{"a": 1}]},
        "encoding": {"x": {"field": "a"}},
    }
    first = drawing.data_uri(clipped, "clipped")
    drawing.data_uri({**BARS, "data": {"values": []}}, "other")
    assert drawing.data_uri(clipped, "clipped") == first
    assert "clip-path" in svg(first)
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


def test_bins_are_few_or_ten_and_shares_are_in_percent():
    scale = SCORE.model_copy(update={"low": 1, "high": 5})
    assert charts.bins(Counter({5.0: 2, 3.0: 1}), 4, scale) == [Bin("3", 1), Bin("5", 2), Bin("no score", 4, False)]
    values = Counter({0.0: 1, 9.99: 1, 10.0: 1, 99.9: 1, 100.0: 1, 55.5: 2})
    bars = charts.bins(values, 0, SCORE)
    assert [bar.label for bar in bars][::9] == ["0–10", "90–100"]
    assert [bar.count for bar in bars] == [2, 1, 0, 0, 0, 2, 0, 0, 0, 2]
    bars = charts.bins(Counter({0.333: 3}), 0, WIN_RATE)
    assert (bars[3].label, bars[3].count) == ("30–40", 3)


def test_curves_are_thinned_and_a_point_is_a_dot():
    points = [CurvePoint(step=step, split=split, loss=1.0) for split in ("train", "val") for step in range(1000)]
    kept = charts.thinned(points, 50)
    for split in ("train", "val"):
        steps = [point.step for point in kept if point.split == split]
        assert (len(steps), steps[0], steps[-1]) == (50, 0, 999)
        assert steps == sorted(set(steps))
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


def test_figures_count_the_rows():
    run = sample_run()
    section = figures.outcomes(run.record, figures.RowCounts(run), "winrate")
    assert section is not None
    assert section.table is not None
    values = [row.value for row in run.rows if row.metric == "winrate" and row.value is not None]
    wins, losses = sum(v > 0.5 for v in values), sum(v < 0.5 for v in values)
    assert list(section.table.rows[0]) == ["sft", "base", wins, len(values) - wins - losses, losses, 0]
    assert f"{wins} wins" in section.sentence
    section = figures.distribution(run.record, figures.RowCounts(run), "quality")
    assert section is not None
    assert section.table is not None
    rows = [row for row in run.rows if row.metric == "quality"]
    assert sum(int(row[2] or 0) for row in section.table.rows) == len(rows)
    missing = sum(int(row[2] or 0) for row in section.table.rows if row[1] == "no score")
    assert missing == sum(row.value is None for row in rows) > 0
    assert figures.distribution(run.record, figures.RowCounts(run), "mmlu") is None


SHARE = Scale(label="share", low=0, high=1, unit="%")
SHARE_CHANGE = Scale(label="share", low=-1, high=1, unit="%")
GRADE = Scale(label="grade", low=1, high=5)
ROUGE = Scale(label="ROUGE-L", low=0, high=1)


@each(
    (43.149, SCORE, "43.1"),
    (0.0, SCORE, "0.0"),
    (-0.04, SCORE, "0.0"),
    (-2.0, SCORE, "−2.0"),
    (0.4315, SHARE, "43.1\N{NARROW NO-BREAK SPACE}%"),
    (1.0, SHARE, "100.0\N{NARROW NO-BREAK SPACE}%"),
    (3.456, GRADE, "3.46"),
    (0.43149, ROUGE, "0.431"),
    (12345.67, SCORE, "12,345.7"),
    (None, SCORE, "–"),
)
def test_a_value(value, scale, text):
    assert numbers.amount(value, scale) == text


def test_differences_intervals_and_cells():
    assert numbers.amount(37.94, SCORE, difference=True) == "+37.9"
    assert numbers.amount(-0.25, SHARE_CHANGE, difference=True) == "−25.0\N{NARROW NO-BREAK SPACE}pp"
    assert numbers.amount(0.0, SCORE, difference=True) == "0.0"
    assert numbers.span(37.0, 49.24, SCORE) == "[37.0, 49.2]"
    assert numbers.span(-0.05, 0.1, SHARE_CHANGE, difference=True) == "[−5.0, +10.0]"
    assert numbers.span(None, 49.24, SCORE) == ""
    assert [numbers.cell(v) for v in (None, 12345, -2, 3.14159, "a")] == ["–", "12,345", "−2", "3.142", "a"]


@each(
    ((1.2, 0, 2.6), ["1.2", "0.0", "2.6"]),
    ((98.4, 96.94, 99.6), ["98.4", "96.9", "99.6"]),
    ((100.0, 100.0, 100.0), ["100", "100", "100"]),
    ((0.5, 0.3412, None), ["0.500", "0.341", "–"]),
    ((-3.25, -4, 1234.5), ["−3", "−4", "1,234"]),
    ((None, None, None), ["–"] * 3),
)
def test_values_that_belong_together_have_as_many_decimals(values, texts):
    assert numbers.alike(*values) == texts


@each(
    ("plain text, naïve ☃ 你好", "plain text, naïve ☃ 你好"),
    ("line\nand\ttab", "line\nand\ttab"),
    ("windows\r\nline", "windows\nline"),
    ("over\rwritten", "over\\x0dwritten"),
    ("\x1b[31mred", "\\x1b[31mred"),
    ("nul\x00del\x7f", "nul\\x00del\\x7f"),
    ("\x9bcsi", "\\x9bcsi"),
    ("user\u202enimda", "user\\u202enimda"),
    ("\u2066isolated\u2069", "\\u2066isolated\\u2069"),
    ("\ufeffmark", "\\ufeffmark"),
    ("lone \ud800", "lone \\ud800"),
    ("\U000e0041hidden", "\\U000e0041hidden"),
    ("می\u200cخواهم", "می\u200cخواهم"),
    ("family 👩\u200d👧", "family 👩\u200d👧"),
)
def test_hidden_characters_are_shown(text, shown):
    assert visible(text) == shown
    shown.encode("utf-8")
