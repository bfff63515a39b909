"""One config tunes transformers models, asks them before and after, and its report says what that bought."""

import json
import re

import pytest

import judgekit
from judgekit.cli import execute
from judgekit.testing import tiny_llama, tiny_models
from judgekit_transformers import judgekit_check
from report_pages import Reader
from runs import places, run
from tiny_training import COLOURS

CONFIG = """\
name: colours
train:
  sft:  {trainer: transformers-sft, from: llama, data: items.json, style: qa, chat: false, steps: 20, batch: 3,
         lr: 0.01, samples: 1}
  more: {trainer: transformers-sft, from: train:sft, data: items.json, style: qa, chat: false, steps: 20, batch: 3,
         lr: 0.01, samples: 1}
  flan: {trainer: transformers-sft, from: t5, data: items.json, style: flan, steps: 60, batch: 6, lr: 0.02, samples: 0,
         evaluate_every: 30}
data: {loader: instructions, path: items.json, split: test}
models:
  base: {backend: transformers, model: llama, style: qa, chat: false, max_new_tokens: 8}
  sft:  {backend: transformers, model: train:sft, style: qa, chat: false, max_new_tokens: 8}
  more: {backend: transformers, model: train:more, style: qa, chat: false, max_new_tokens: 8}
  t5:   {backend: transformers, model: t5, style: flan, max_new_tokens: 8}
  flan: {backend: transformers, model: train:flan, style: flan, max_new_tokens: 8}
against: base
judges:
  main: {backend: transformers, model: llama, chat: false, control_items: 0}
metrics:
  likelihood: {type: reference_likelihood}
  exact:      {type: exact_match}
  quality:    {type: score, judge: main}
  duel:       {type: pairwise, judge: main, against: base, models: [sft, base]}
reports: [html, json]
statistics: {resamples: 999}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("colours")
    items = [
        {"id": f"{thing} {split}", "instruction": f"colour of {thing}", "output": colour, "split": split}
        for thing, colour in COLOURS.items()
        for split in ("train", "validation", "test")
    ]
    (made / "items.json").write_text(json.dumps(items))
    tiny_llama.folder(made / "llama", chat_template=None)
    tiny_models.t5(made / "t5", initializer_factor=1.0)
    (made / "judgekit.yaml").write_text(CONFIG)
    return made


@pytest.fixture(scope="module")
def made(folder):
    return next(run(folder, CONFIG, code=3).glob("*/record.json")).parent  # a base model writes no whole answer


def test_what_a_dry_run_says_needs_no_trained_model(folder, tmp_path, capsys):
    assert execute(["run", str(folder / "judgekit.yaml"), *places(tmp_path), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("sft", "more", "flan"))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_the_record_pairs_each_tuned_system_with_those_that_it_comes_of(made):
    record = json.loads((made / "record.json").read_text())
    assert record["status"] == "complete"
    paired = [(d["system"], d["against"]) for d in record["differences"] if d["metric"] == "likelihood"]
    assert [" ".join(pair) for pair in paired] == [
        *("sft base", "more base", "more sft", "t5 base", "flan base", "flan t5"),
    ]
    likely = [e for e in record["estimates"] if (e["metric"], e["series"]) == ("likelihood", "value")]
    values = {e["system"]: e["value"] for e in likely}
    assert values["base"] < values["sft"] < values["more"]
    assert values["t5"] < values["flan"]
    (gained,) = [d for d in record["differences"] if d["metric"] == "likelihood" and d["against"] == "t5"]
    assert gained["value"] == pytest.approx(values["flan"] - values["t5"])
    assert gained["interval"]["low"] > 0
    assert [training["summary"]["learnt"] for training in record["trainings"]] == [6, 6, 6]


def test_the_report_says_what_tuning_bought(made):
    page = Reader((made / "report.html").read_bytes())
    text = page.text[page.text.index("What tuning bought") :]
    text = text[: text.index("Results by metric")]
    titles = re.findall(r"(\w+), trained from (\w+)", text)
    assert titles == [("sft", "base"), ("more", "sft"), ("more", "base"), ("flan", "t5")]
    assert "Trained in this order: sft (transformers-sft, 20 steps), then more (transformers-sft, 20 steps)." in text
    assert "more is better than base by likelihood, as far as the intervals" in text
    assert re.search(
        r"likelihood 0\.\d+ 0\.\d+ \+0\.\d+ \[\+0\.\d+, \+0\.\d+\] 6 better, 0 worse, 0 equal higher", text
    )
    assert "duel, sft against base" in text


def test_asked_again_nothing_is_trained(folder, made):
    before = {path: path.stat().st_mtime_ns for path in (folder / "home").rglob("model.safetensors")}
    run(folder, CONFIG, code=3)
    assert {path: path.stat().st_mtime_ns for path in (folder / "home").rglob("model.safetensors")} == before


def test_the_starter_config_trains_and_compares(tmp_path):
    assert execute(["init", str(tmp_path), "--template", "finetune"]) == 0
    tiny_models.gpt2(tmp_path / "checkpoints" / "model", n_positions=1024)
    judge = "judges.main={backend: transformers, model: checkpoints/model, control_items: 0}"
    short = ["--set", judge, "--set", "statistics.resamples=999", "--set", "models.base.max_new_tokens=4"]
    runs = run(tmp_path, (tmp_path / "judgekit.yaml").read_text(), *short, code=3)  # four tokens are no whole answer
    made = next(runs.glob("*/record.json")).parent
    assert "tuned, trained from base" in Reader((made / "report.html").read_bytes()).text


def test_data_that_cannot_be_learnt_from_are_found_before_anything_is_trained(folder, capsys):
    items = [{"instruction": "colour of grass", "split": split} for split in ("train", "validation")]
    items[0]["output"] = "green"
    (folder / "bad.json").write_text(json.dumps(items, indent=1))
    path, first = folder / "other.yaml", "from: train:sft, data: items.json, style: qa"
    for second, problem in (
        ("from: train:sft, data: items.json, style: aq", "train.more: unknown instruction style 'aq'; there are "),
        ("from: train:sft, data: bad.json, style: qa", f"{folder}/bad.json:7: item 2: no output to learn from"),
        ("from: nowhere, data: items.json, style: qa", f"{folder}/nowhere: no model folder or GGUF file is there"),
    ):
        path.write_text(CONFIG.replace(first, second))
        assert execute(["validate", str(path)]) == 2
        assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("taught", "asked", "warned"),
    [
        ({"style": "alpaca"}, {"style": "alpaca"}, ""),
        ({"style": "plain"}, {}, ""),
        ({"style": "alpaca"}, {}, "asked with style: plain and chat: auto, and was taught with style: alpaca"),
        ({"chat": False}, {}, "taught with style: plain and chat: false"),
    ],
)
def test_a_tuned_model_that_is_asked_in_another_style_is_warned_of(taught, asked, warned):
    training = {"sft": {"trainer": "transformers-sft", "from": "y", "data": "a.json", **taught}}
    model = {"backend": "transformers", "model": "train:sft"}
    models = {"sft": model | asked, "other": model | {"model": "y", "style": "qa"}}
    tree = {"name": "x", "data": {"path": "a.json"}, "train": training, "models": models, "metrics": {}}
    tree["metrics"] = {"exact": {"type": "exact_match"}}
    problems = judgekit_check(config=judgekit.RunConfig.model_validate(tree))
    assert [problem.where for problem in problems] == ["models.sft"] * bool(warned)
    assert all(warned in problem.message for problem in problems)
