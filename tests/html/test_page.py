"""The HTML report as text: escaped, complete, honest about what is missing, and what tuning bought."""

import base64
import hashlib
import re
from dataclasses import replace
from importlib.resources import files

import pytest

import judgekit
import judgekit.data
from judgekit.records import Response, Row, Verdict
from judgekit.results import Interval, RunView
from judgekit_html import figures, numbers, report, tuned
from judgekit_html.board import Board
from report_pages import Reader
from sample_run import HOSTILE, SCORE, card, estimate_of, sample_run, section_of
from sinks import each_of
from tables import each


def render(view, *sections):
    return Reader(report(view, sections)["report.html"])


@pytest.fixture(scope="module")
def page(sample_report):
    return Reader(sample_report)


def test_no_string_in_any_field_changes_the_structure_of_the_page(hostile_report):
    harmless = Reader(hostile_report("harmless"))

    def changes_nothing(text):
        hostile = Reader(hostile_report(text))
        assert hostile.tags == harmless.tags
        links = [value for _, name, value in hostile.attributes if name in ("href", "src")]
        assert all(value.startswith(("#", "data:image/svg+xml;base64,", "data:,")) for value in links)
        assert not any(name.startswith("on") or name == "style" for _, name, _ in hostile.attributes)

    each_of(HOSTILE, changes_nothing)


def test_escaping_and_policy_let_nothing_in(sample_report):
    templates = [entry for entry in files("judgekit.reports").iterdir() if entry.name.endswith(".j2")]
    assert len(templates) >= 3
    for template in templates:
        source = template.read_text("utf-8")
        assert "|safe" not in source.replace(" ", "")
        assert "autoescape" not in source
        assert not re.search(r"\w=\{\{", source), "attributes are quoted"
    text = sample_report.decode("utf-8")
    content = next(
        v for tag, name, v in Reader(sample_report).attributes if tag == "meta" and v.startswith("default-src")
    )
    assert "default-src 'none'" in content
    assert "unsafe" not in content
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        bodies = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        assert len(bodies) == 1
        digest = base64.b64encode(hashlib.sha256(bodies[0].encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in content
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_equal_runs_give_equal_bytes_and_a_thousand_items_stay_small(sample_report):
    assert report(sample_run(), []) == {"report.html": sample_report}
    assert len(report(sample_run(1000), [])["report.html"]) < 5_000_000


def test_every_estimate_is_printed_with_interval_bootstrap_error_items_and_counts(page):
    record = sample_run().record
    for estimate in (*record.estimates, *record.differences):
        differ = estimate.against is not None
        for interval in (estimate.interval, estimate.bootstrap):
            if interval is not None:
                shown = numbers.span(interval.low, interval.high, estimate.scale, difference=differ) or interval.note
                assert shown in page.text
        if estimate.value is not None:
            assert numbers.amount(estimate.value, estimate.scale, difference=differ) in page.text
        if estimate.se is not None:
            assert numbers.plain(estimate.se, estimate.scale) in page.text
        assert f"{estimate.n_items} × {estimate.repeats}" in page.text
    assert "115 scored, 1 unparsed, 1 truncated, 1 refused, 1 error, 1 skipped" in page.text
    assert "studentised bootstrap" in page.text


def test_the_page_tells_what_was_found_and_how(page):
    strip = page.text.partition("What was found")[2].partition("Results by metric and system")[0]
    assert "sft scores 77.3 [72.6, 82.5]" in strip
    assert "sft − base +70.9 [+65.6, +76.2] → higher" in strip
    assert "→ sft is preferred" in strip
    assert "no clear difference" in strip
    assert "Judge main passed its card (3 checks)" in strip
    assert "quality, sft: 5 of 120 verdicts gave no score" in strip
    assert "would lie between 74.1 and 78.2" in strip
    from judgekit_html.method import EXPLAINED
    from judgekit_html.tables import METHODS

    assert EXPLAINED.keys() == METHODS.keys()
    assert "Repeats of one item are averaged first" in page.text
    assert "judgekit run judgekit.yaml" in page.text
    assert "type: pairwise" in page.text
    assert "sha256:9a1f0c" in page.text
    assert "judgekit-shout 1.2.0" in page.text
    text = page.text
    for part in ("What it wrote while it learnt", "The cat chased the mouse.", "After step 1200", "mouse mouse the"):
        assert part in text
    assert "The mouse was <b>chased</b> by the cat." in text, "as text"
    alternatives = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alternatives) >= 8
    for alternative in alternatives:
        assert alternative in page.text
        assert alternative.endswith(".")
    view = sample_run()
    for sample in view.samples:
        assert sample.instruction in page.text
        assert sample.id in page.text
    item = ("details", "class", "id", "data-flags", "data-category", "data-values")
    assert page.tags.count(item) == len(list(view.samples))
    assert page.text.count("no number in the reply") == sum(row.status != "scored" for row in view.rows)
    assert "The judge’s words" in page.text or "I would say it is quite good!" in page.text
    assert "carbon dioxide ✓ the answer" in page.text


def test_what_is_missing_or_otherwise_is_said():
    missing = Interval(method="cluster_t", low=None, high=None, note="too few clusters: 4, of 10 needed")
    estimate = estimate_of("quality", "sft", 77.3, 4.9, SCORE, 40).model_copy(update={"interval": missing})
    text = render(sample_run(estimates=(estimate,))).text
    assert text.count("too few clusters: 4, of 10 needed") >= 3
    assert "t over clusters" in text
    check = card(passed=False).checks[0].model_copy(update={"value": -7.3, "expected": "-5 … +5", "passed": False})
    text = render(sample_run(cards=(card(passed=False).model_copy(update={"checks": (check,)}),))).text
    assert f"{check.label} reads −7.3, expected −5 … +5" in text
    assert text.count("−5 … +5") == 2
    assert "-5 …" not in text
    text = render(sample_run(cards=(card(passed=None),))).text
    assert "Judge main was not tested" in text
    assert "passed its card" not in text
    view = sample_run()
    flipped = [
        d.model_copy(update={"scale": d.scale.model_copy(update={"higher_is_better": False})})
        for d in view.record.differences
    ]
    assert "higher, which is worse here" in render(sample_run(differences=tuple(flipped))).text


def test_broken_things_lead():
    view = sample_run(status="incomplete", errors={"timeout after 60 s": 4}, cards=(card(passed=False),))
    text = render(view).text
    places = [
        text.index(words)
        for words in (
            "This run is incomplete",
            "Judge main failed its card, so its scores prove little: an empty answer reads 31, expected at most 5",
            "verdicts gave no score",
            "sft scores",
        )
    ]
    assert places == sorted(places)
    assert "4 calls failed" in text
    assert "timeout after 60 s" in text


def test_measures_of_a_training_stand_in_its_table():
    points = [
        judgekit.data.CurvePoint(step=s, split="validation", loss=0.7 - s / 10, measures={"margin": s / 4})
        for s in (0, 1)
    ]
    points.append(judgekit.data.CurvePoint(step=1, split="train", loss=0.65))
    section = figures.curve(
        judgekit.data.Training(name="dpo", trainer="t", checkpoint="c", identity="i", curve=tuple(points))
    )
    assert "margin at the end 0.250" in section.sentence
    assert section.table is not None
    assert section.table.rows[1] == ["validation", 1, "0.6000", "0.2500"]
    assert section.table.rows[2] == ["train", 1, "0.6500", ""]


def test_the_printed_spec_is_the_spec():
    from ruamel.yaml import YAML

    from judgekit_html.method import yaml

    spec = {**sample_run().record.spec, "odd": ["no", "1.0", "a: b", "\x1b", "\u202e", "日本", None, True, 1e-3]}
    assert YAML(typ="safe", pure=True).load(yaml(spec)) == spec


def test_other_parts_are_drawn_where_they_are():
    text = render(sample_run(4), section_of("Seen by the plugin")).text
    assert text.count("Seen by the plugin") >= 4
    assert "1.5" in text
    view = sample_run(4, estimates=(), differences=(), cards=(), trainings=(), n_samples=0, systems=())
    text = render(RunView(view.record, [], [], [])).text
    assert "The record has no estimate." in text
    assert "The run has no sample." in text
    assert "No call failed." in text
    view = sample_run(4)
    stray = Row(metric="quality", system="sft", sample_id="stray", status="error", verdicts=(
        Verdict(status="error", detail="lost in transit"),
    ))  # fmt: skip
    answer = Response(system="sft", sample_id="stray", text="a stray answer")
    text = render(RunView(view.record, view.samples, [*view.responses, answer], [*view.rows, stray])).text
    assert "this sample is not part of the run" in text
    assert "lost in transit" in text
    assert "a stray answer" in text


TRAIN = {
    "base": {"trainer": "gpt2-pretrain", "data": ["text.txt"]},
    "sft": {"trainer": "gpt2-finetune", "from": "train:base", "data": "items.json"},
}


def _run(models, train=TRAIN):
    view = sample_run(30)
    spec = {**view.record.spec, "train": train, "models": models}
    return replace(view, record=view.record.model_copy(update={"spec": spec}))


def _systems(**sources):
    return {name: {"backend": "gpt2", "checkpoint": source, "style": "base"} for name, source in sources.items()}


def test_a_trained_system_is_told_beside_its_start():
    view = _run(_systems(sft="train:sft", base="train:base"))
    (found,) = tuned.gains(view.record, Board(view))
    assert found.title == "sft, trained from base"
    assert found.sentence.startswith("sft is better than base by quality and winrate, as far as the intervals")
    assert found.sentence.endswith("base (gpt2-pretrain, 1,200 steps), then sft (gpt2-pretrain, 400 steps).")
    rows = {row[0]: row[1:] for row in found.rows}
    (quality,) = [d for d in view.record.differences if d.metric == "quality"]
    assert quality.value == pytest.approx(70.9)
    assert rows["quality"][2].startswith("+70.9")
    assert rows["quality"][4].endswith("equal")
    assert rows["quality"][5] == "higher"
    assert rows["mmlu"][5] == "no clear difference"
    assert rows["winrate, sft against base"][2].startswith("wins 78.9")
    assert rows["winrate, sft against base"][5] == "sft is preferred"
    page = Reader(dict(report(_run(_systems(sft="train:sft", base="train:base")), []))["report.html"])
    assert page.text.index("What tuning bought") < page.text.index("Results by metric and system")
    assert "What tuning bought" not in Reader(dict(report(sample_run(30), []))["report.html"]).text


@each(
    ({"sft": "train:sft", "base": "train:base"}, {"sft": ("base",), "base": ()}),
    ({"base": "out/other", "sft": "train:sft"}, {"sft": ()}),
    ({"dpo": "train:dpo", "mid": "train:sft/best", "base": "train:base"},
     {"dpo": ("mid", "base"), "mid": ("base",), "base": ()}),
    ({"dpo": "train:dpo", "last": "train:sft"}, {"dpo": (), "last": ()}),
    ({"own": "train:own", "start": "checkpoints/gpt2", "stored": "items.json"}, {"own": ("start",)}),
    ({"lost": "train:nothing"}, {}),
)  # fmt: skip
def test_a_system_comes_of_those_whose_checkpoints_its_training_started_from(systems, expected):
    train = TRAIN | {
        "dpo": {"trainer": "gpt2-dpo", "from": "train:sft/best", "data": "items.json"},
        "own": {"trainer": "gpt2-finetune", "from": "checkpoints/gpt2", "data": "items.json"},
    }
    found = judgekit.data.provenances({"train": train, "models": _systems(**systems)})
    assert {name: one.ancestors for name, one in found.items()} == expected
    if "dpo" in found:
        assert found["dpo"].trainings == ("base", "sft", "dpo")
