"""Killed at any step and started again, a training ends with the bytes of one that was never killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import judgekit
from judgekit_gpt2 import checkpoint
from judgekit_gpt2.trainers import Finetune, FinetuneOptions, Pretrain, PretrainOptions

THINGS = {"grass": "green", "snow": "white", "coal": "black", "blood": "red", "sky": "blue", "sun": "yellow"}
SMALL = {"layers": 1, "heads": 2, "width": 16, "context": 48, "dropout": 0.1}


class Killed(BaseException):
    """Stands for a kill -9: nothing catches it."""


@pytest.fixture
def folder(tmp_path):
    documents = [f"The colour of {thing} is {colour}. A thing is {colour}." for thing, colour in THINGS.items()] * 15
    (tmp_path / "text.txt").write_text("\n<|endoftext|>\n".join(documents))
    items = [
        {"id": t, "instruction": f"Name the colour of {t}.", "output": c, "split": "train"} for t, c in THINGS.items()
    ]
    items += [
        {"id": f"{t}?", "instruction": f"Colour of {t}?", "output": c, "split": "validation"} for t, c in THINGS.items()
    ]
    (tmp_path / "instructions.json").write_text(json.dumps(items))
    return tmp_path


def _pretrain(folder, **options):
    settings = {"data": "text.txt", "model": SMALL, "tokenizer": {"bpe": 300}, "steps": 12, "batch": 4, "lr": 0.003}
    settings |= {"evaluate_every": 3, "save_every": 1, "precision": "float32"}
    return Pretrain(PretrainOptions.model_validate({**settings, **options}), folder)


def _finetune(folder, **options):
    settings = {"from": "base", "data": "instructions.json", "style": "plain", "steps": 8, "batch": 4, "dropout": 0.1}
    settings |= {"evaluate_every": 2, "save_every": 1, "precision": "float32", "keep_epochs": True}
    return Finetune(FinetuneOptions.model_validate({**settings, **options}), folder)


def _train(trainer, into, kill_at=None):
    """Train, or be killed when that step is done; returns the steps that were made."""
    into.mkdir(exist_ok=True)
    steps = []

    def progress(done, total, note):
        steps.append(done)
        if done == kill_at:
            raise Killed

    if kill_at is None:
        trainer.train(into, progress)
    else:
        with pytest.raises(Killed):
            trainer.train(into, progress)
    return steps


def _bytes(folder):
    """Every file of a finished training."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_killed_at_every_step_pretraining_ends_the_same(folder):
    _train(_pretrain(folder), folder / "whole")
    for step in range(1, 12):
        steps = _train(_pretrain(folder), folder / "killed", kill_at=step)
        assert steps == [step], "one step a life"
    assert _train(_pretrain(folder), folder / "killed") == [12]
    assert _bytes(folder / "killed") == _bytes(folder / "whole")
    assert not (folder / "whole" / "state").exists()


@pytest.mark.parametrize(
    "options", [{}, {"lora": {"rank": 2}}, {"result": "best", "patience": 2, "lr": 0.5}, {"accumulate": 2}]
)
def test_killed_in_the_middle_fine_tuning_ends_the_same(folder, options):
    _train(_pretrain(folder), folder / "base")
    trainer = _finetune(folder, **options)
    whole = _train(trainer, folder / "whole")
    _train(trainer, folder / "killed", kill_at=3)
    _train(trainer, folder / "killed", kill_at=4)
    assert _train(trainer, folder / "killed") == list(range(5, whole[-1] + 1))
    assert _bytes(folder / "killed") == _bytes(folder / "whole")


def test_steps_since_the_last_state_are_made_again(folder):
    _train(_pretrain(folder, save_every=5), folder / "whole")
    _train(_pretrain(folder, save_every=5), folder / "killed", kill_at=9)
    assert _train(_pretrain(folder, save_every=5), folder / "killed") == list(range(6, 13))
    assert _bytes(folder / "killed") == _bytes(folder / "whole")


def test_an_interrupt_saves_the_state(folder):
    def progress(done, total, note):
        if done == 4:
            raise judgekit.Interrupted("stopped")

    trainer = _pretrain(folder, save_every=None)
    (folder / "run").mkdir()
    with pytest.raises(judgekit.Interrupted):
        trainer.train(folder / "run", progress)
    assert _train(trainer, folder / "run") == list(range(5, 13))


def test_interrupted_where_patience_ends_it_makes_no_step_more(folder):
    """The end of early stopping, and the interrupt, are one step."""
    options = {"steps": 40, "lr": 0.5, "patience": 2, "evaluate_every": 1, "save_every": None}
    last = _train(_pretrain(folder, **options), folder / "whole")[-1]
    assert last < 40

    def progress(done, total, note):
        if done == last:
            assert "no better for long enough" in note
            raise judgekit.Interrupted("stopped")

    (folder / "killed").mkdir()
    with pytest.raises(judgekit.Interrupted):
        _pretrain(folder, **options).train(folder / "killed", progress)
    assert _train(_pretrain(folder, **options), folder / "killed") == []
    assert _bytes(folder / "killed") == _bytes(folder / "whole")


def test_what_another_training_left_before_it_had_a_state_is_swept_away(folder):
    _train(_finetune_of(folder, epochs=5, steps=None, save_every=None), folder / "run", kill_at=7)
    assert (folder / "run" / "epoch-2").is_dir()
    _train(_finetune_of(folder, epochs=1, steps=None, keep_epochs=False), folder / "run")
    kept = {path.name for path in (folder / "run").iterdir() if path.is_dir()}
    assert kept == {"best"}


def _finetune_of(folder, **options):
    if not (folder / "base").is_dir():
        _train(_pretrain(folder), folder / "base")
    return _finetune(folder, **options)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_a_damaged_state_is_never_loaded(folder, damage):
    """The one before it is; and without any, the training starts over."""
    _train(_pretrain(folder), folder / "whole")
    _train(_pretrain(folder), folder / "killed", kill_at=6)  # its state is that of step 6
    older, newest = sorted((folder / "killed" / "state").glob("*/*.safetensors"))
    content = {"truncated": newest.read_bytes()[:-100], "garbage": b"x" * 1000, "empty": b""}[damage]
    newest.write_bytes(content)
    assert _train(_pretrain(folder), folder / "killed", kill_at=7) == [6, 7]
    for path in (folder / "killed" / "state").glob("*/*.safetensors"):
        path.write_bytes(content)
    assert _train(_pretrain(folder), folder / "killed") == list(range(1, 13))
    assert _bytes(folder / "killed") == _bytes(folder / "whole")
    assert older.parent.name == "checkpoint-5"


def test_a_state_of_another_training_is_refused(folder):
    _train(_pretrain(folder), folder / "run", kill_at=3)
    with pytest.raises(judgekit.UsageError, match="holds the state of another training"):
        _train(_pretrain(folder, lr=0.001), folder / "run")
    (folder / "text.txt").write_text((folder / "text.txt").read_text().replace("green", "greener"))
    with pytest.raises(judgekit.UsageError, match="holds the state of another training"):
        _train(_pretrain(folder), folder / "run")


def test_a_full_disk_leaves_the_state_before_it(folder, monkeypatch):
    _train(_pretrain(folder), folder / "whole")
    _train(_pretrain(folder), folder / "killed", kill_at=5)
    publish = checkpoint.publish

    def full(temporary: Path, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "publish", full)
    with pytest.raises(judgekit.StorageError, match="No space left on device"):
        _train(_pretrain(folder), folder / "killed")
    monkeypatch.setattr(checkpoint, "publish", publish)
    assert not list((folder / "killed").rglob("*.tmp"))
    assert _train(_pretrain(folder), folder / "killed") == list(range(6, 13))
    assert _bytes(folder / "killed") == _bytes(folder / "whole")


def test_a_file_that_was_being_written_at_a_kill_is_swept_away(folder):
    """As `judgekit.write_atomically` leaves it when the process ends in between."""
    _train(_pretrain(folder), folder / "whole")
    _train(_pretrain(folder), folder / "killed", kill_at=5)
    for place in (folder / "killed", folder / "killed" / "best"):
        (place / ".vocab.json.1234.140225").write_text("{")
        (place / ".mine").write_text("kept")
    assert _train(_pretrain(folder), folder / "killed") == list(range(6, 13))
    names = {path.relative_to(folder / "killed").as_posix() for path in (folder / "killed").rglob(".*")}
    assert names == {".mine", "best/.mine"}


def test_a_state_holds_adapters_alone_where_they_alone_are_trained(folder):
    _train(_pretrain(folder), folder / "base")
    _train(_finetune(folder, lora={"rank": 2}), folder / "run", kill_at=3)
    newest = max((folder / "run" / "state").glob("*/*.safetensors"))
    with safe_open(newest, "pt") as file:
        names = [name for name in file.keys() if name.startswith("weights/")]  # noqa: SIM118
    assert names
    assert all(name.endswith((".a", ".b")) for name in names)


CODE = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from judgekit_gpt2.trainers import Pretrain, PretrainOptions
options = PretrainOptions.model_validate_json(Path("options.json").read_text())
into = Path(sys.argv[1])
into.mkdir(exist_ok=True)
Pretrain(options).train(into, lambda done, total, note: print(done, flush=True))
"""


@pytest.mark.slow
def test_a_real_kill_9_changes_no_byte(folder):
    """Processes that are killed after a step each, wherever they then are: in a step, or saving."""
    (folder / "options.json").write_text(_pretrain(folder, steps=120, save_every=3).options.model_dump_json())
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(name):
        command = [sys.executable, "-c", CODE, name]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)

    whole = start("whole")
    whole.communicate()
    lives = 0
    for steps, delay in ((1, 0.0), (4, 0.005), (7, 0.011)):
        process = start("killed")
        for _ in range(steps):
            process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        lives += process.returncode == -signal.SIGKILL
    assert lives >= 2, "killed before it was done"
    last = start("killed")
    first = int(last.stdout.readline())
    last.communicate()
    assert last.returncode == 0
    assert first > 1, "it went on from a state"
    assert _bytes(folder / "killed") == _bytes(folder / "whole")
    assert torch.get_num_threads() == 1
