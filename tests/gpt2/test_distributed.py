"""Two processes under torchrun give the loss curve of one, with the same global batch."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from judgekit_gpt2 import trainers, weights
from tiny_training import SCRIPT, curve, write_colours, write_text

THINGS = {"grass": "green", "snow": "white as white can be", "coal": "black", "blood": "red", "sky": "blue or grey"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    write_text(folder / "text.txt", repeats=12, colours=THINGS)
    write_colours(folder / "instructions.json", colours=THINGS)
    _alone(folder, "Pretrain", "base", PRETRAIN)
    return folder


SHARED = {"precision": "float32", "evaluate_every": 1, "batch": 3, "accumulate": 2}
PRETRAIN = {
    "data": ["text.txt"],
    "model": {"layers": 2, "heads": 2, "width": 16, "context": 24, "dropout": 0.0},
    "tokenizer": {"bpe": 300},
    "steps": 8,
    "lr": 0.01,
    **SHARED,
}
FINETUNE = {"from": "base", "data": "instructions.json", "style": "plain", "steps": 8, "lr": 0.01, "truncate": True}


def _alone(folder, trainer, into, options):
    """Train in this process."""
    factory = getattr(trainers, trainer)
    with contextlib.chdir(folder):
        Path(into).mkdir()
        factory(factory.Options(**options)).train(Path(into), lambda done, total, note: None)
    return _curve(folder / into)


def _together(folder, trainer, into, options, stop_at=None):
    """Train in two processes."""
    (folder / "options.json").write_text(json.dumps(options))
    (folder / "job.py").write_text(SCRIPT)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launch, "job.py", trainer, into, *([str(stop_at)] if stop_at else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 or stop_at, done.stderr
    return _curve(folder / into)


def _curve(trained):
    return [(point["step"], point["split"], point["loss"]) for point in curve(trained)]


def _close(ours, theirs):
    assert [(step, split) for step, split, _ in ours] == [(step, split) for step, split, _ in theirs]
    assert [loss for *_, loss in ours] == pytest.approx([loss for *_, loss in theirs], abs=1e-4)


@pytest.mark.parametrize("sharding", ["none", pytest.param("full", marks=pytest.mark.slow)])
def test_two_processes_pretrain_as_one(folder, sharding):
    name = f"pretrained {sharding}"
    alone = _curve(folder / "base")
    together = _together(folder, "Pretrain", name, {**PRETRAIN, "sharding": sharding})
    _close(together, alone)
    assert alone[0][2] - alone[-1][2] > 0.3, "nothing was learnt, so nothing was compared"
    one, _ = weights.load(folder / "base")
    two, _ = weights.load(folder / name)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"lora": {"rank": 2}}, marks=pytest.mark.slow),
        {"lora": {"rank": 2}, "sharding": "full"},
    ],
)
def test_two_processes_fine_tune_as_one(folder, options):
    """Batches of three, so that one process has twice the rows; the responses differ in length."""
    name = "-".join(["tuned", *options])
    alone = _alone(folder, "Finetune", f"{name} alone", {**FINETUNE, **SHARED, **options})
    together = _together(folder, "Finetune", f"{name} together", {**FINETUNE, **SHARED, **options})
    _close(together, alone)
    assert (Path(folder) / f"{name} together" / "samples.jsonl").read_text().count("\n") > 0


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["none", "full"])
def test_two_processes_go_on_from_their_state(folder, sharding):
    options = {**PRETRAIN, "sharding": sharding, "save_every": 1}
    whole = _together(folder, "Pretrain", f"whole {sharding}", options)
    _together(folder, "Pretrain", f"killed {sharding}", options, stop_at=4)
    assert _together(folder, "Pretrain", f"killed {sharding}", options) == whole
    files = [(folder / f"{name} {sharding}" / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert files[0] == files[1]
