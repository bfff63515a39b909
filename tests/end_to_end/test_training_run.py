"""One command trains a GPT-2 from scratch, tunes it, prefers, and measures every checkpoint that it kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from judgekit.cli import execute
from scoring import record

COLOURS = {"grass": "green", "snow": "white", "coal": "black", "blood": "red", "sky": "blue", "sun": "yellow"}
CONFIG = """\
name: colours
train:
  base: {trainer: gpt2-pretrain, data: text.txt, tokenizer: {bpe: 300}, steps: 4, batch: 4,
         model: {layers: 1, heads: 2, width: 16, context: 64, dropout: 0.0}}
  sft:  {trainer: gpt2-finetune, from: train:base, data: items.json, style: plain, epochs: 3, batch: 3, lr: 0.01,
         keep_epochs: true}
  dpo:  {trainer: gpt2-dpo, from: train:sft/best, data: items.json, style: plain, steps: 3, batch: 3, lora: {rank: 2}}
data: {loader: instructions, path: items.json, split: test}
models:
  base:    {backend: gpt2, checkpoint: train:base, style: plain, max_new_tokens: 4}
  epoch-1: {backend: gpt2, checkpoint: train:sft/epoch-1, style: plain, max_new_tokens: 4}
  epoch-3: {backend: gpt2, checkpoint: train:sft/epoch-3, style: plain, max_new_tokens: 4}
  dpo:     {backend: gpt2, checkpoint: train:dpo, style: plain, max_new_tokens: 4}
against: base
metrics:
  likelihood: {type: reference_likelihood}
  exact:      {type: exact_match}
reports: [html, json]
statistics: {resamples: 999}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = [f"{thing} is {colour}. A thing is {colour}." for thing, colour in COLOURS.items()] * 40
    (tmp_path / "text.txt").write_text("\n<|endoftext|>\n".join(documents))
    items = [
        {"id": f"{thing} {split}", "instruction": f"Name the colour of {thing}.", "output": colour, "split": split}
        | {"chosen": colour, "rejected": "no idea"}
        for thing, colour in COLOURS.items()
        for split in ("train", "validation", "test")
    ]
    (tmp_path / "items.json").write_text(json.dumps(items))
    (tmp_path / "judgekit.yaml").write_text(CONFIG)
    return tmp_path


def _execute(folder: Path) -> int:
    return execute(["run", str(folder / "judgekit.yaml"), "-o", str(folder / "runs"), "--home", str(folder / "home")])


def _run(folder: Path) -> dict[str, object]:
    assert _execute(folder) == 0
    return json.loads(record(folder))


def test_every_checkpoint_is_a_system_with_its_interval(folder: Path) -> None:
    ran = _run(folder)
    found = {e["system"]: e for e in ran["estimates"] if e["metric"] == "likelihood" and e["series"] == "value"}
    assert list(found) == ["base", "epoch-1", "epoch-3", "dpo"]
    assert all(e["interval"]["low"] <= e["value"] <= e["interval"]["high"] for e in found.values())
    assert found["base"]["value"] < found["epoch-1"]["value"] < found["epoch-3"]["value"]
    trainings = {training["name"]: training for training in ran["trainings"]}
    assert [sample["step"] for sample in trainings["sft"]["samples"]] == [2, 4, 6]
    held = [point for point in trainings["dpo"]["curve"] if point["split"] == "validation"]
    assert held[0]["measures"]["margin"] == pytest.approx(0, abs=1e-4)
    (page,) = folder.glob("runs/*/report.html")
    text = page.read_text()
    assert text.count("What it wrote while it learnt") == 3
    chain = "base (gpt2-pretrain, 4 steps), then sft (gpt2-finetune, 6 steps), then dpo (gpt2-dpo, 3 steps)."
    assert chain in text
    assert all(f"{system}, trained from base" in text for system in ("epoch-1", "epoch-3", "dpo"))
    assert "margin at the end" in text


def test_a_run_from_nothing_again_gives_the_same_bytes(folder: Path) -> None:
    first = _run(folder)
    shutil.rmtree(folder / "home")
    shutil.rmtree(folder / "runs")
    assert _run(folder) == first


def test_a_checkpoint_that_no_training_keeps_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "judgekit.yaml").write_text(CONFIG.replace("sft/epoch-3", "sft/epoch-9"))
    assert _execute(folder) == 2
    errors = capsys.readouterr().err
    assert "models.epoch-3" in errors
    assert "epoch-9: no such checkpoint folder" in errors


@pytest.mark.parametrize(
    ("said", "instead", "problem"),
    [
        ("plain, epochs", "palin, epochs", "train.sft: unknown instruction style 'palin'; did you mean"),
        ("plain, epochs", "xyz, epochs", "train.sft: unknown instruction style 'xyz'; there are alpaca, "),
        ("plain, steps", "xyz, steps", "train.dpo: unknown instruction style 'xyz'; there are alpaca, "),
        ("from: train:base", "from: nowhere", "nowhere: no such checkpoint folder"),
        ("sft", "gone.json, style: plain, epochs", "gone.json: cannot be read"),
        ("sft", "text.txt, style: plain, epochs", "text.txt:1: not JSON"),
        ("sft", "bad.json, style: plain, epochs", "bad.json:7: item 2: no output to learn from"),
        ("dpo", "bad.json, style: plain, steps", "bad.json:2: item 1: no 'chosen'"),
        ("{bpe: 300}", "{bpe: 300, instructions: items.json, style: xyz}", "train.base: unknown instruction style"),
        ("{bpe: 300}", "{bpe: 300, instructions: text.txt}", "text.txt:1: not JSON"),
    ],
)
def test_what_would_end_a_training_is_found_before_anything_is_trained(
    folder: Path, capsys: pytest.CaptureFixture[str], said: str, instead: str, problem: str
) -> None:
    items = [{"instruction": "Sit.", "output": "Yes.", "split": "train"}, {"instruction": "Sit!", "split": "train"}]
    (folder / "bad.json").write_text(json.dumps([*items, {**items[0], "split": "validation"}], indent=0))
    said = {"sft": "items.json, style: plain, epochs", "dpo": "items.json, style: plain, steps"}.get(said, said)
    assert CONFIG.count(said) == 1
    (folder / "judgekit.yaml").write_text(CONFIG.replace(said, instead))
    assert execute(["validate", str(folder / "judgekit.yaml")]) == 2
    assert problem in capsys.readouterr().err
    assert _execute(folder) == 2
    assert problem in capsys.readouterr().err
    assert not list((folder / "home").glob("checkpoints/*"))
