"""What tuning bought: trained systems beside those that they come of, in the order of the config."""

from dataclasses import replace

import pytest

import judgekit
from judgekit_html import report, tuned
from judgekit_html.board import Board
from report_pages import Reader
from sample_run import sample_run
from tables import each

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


def test_before_after_difference_interval_and_items_in_words():
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


def test_the_section_is_on_the_page_only_where_something_was_trained():
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
