"""Killed at any step and started again, a training ends with the bytes of one that was never killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import safe_open

import judgekit
from judgekit_gpt2 import checkpoint
from tiny_training import SCRIPT, contents, finetune, pretrain, train, write_colours, write_text


@pytest.fixture
def folder(tmp_path):
    write_text(tmp_path / "text.txt")
    write_colours(tmp_path / "instructions.json")
    return tmp_path


@pytest.fixture
def whole(folder):
    """A pretraining that nothing stopped."""
    train(_pretrain(folder), folder / "whole")
    return contents(folder / "whole")


@pytest.fixture
def base(folder):
    train(_pretrain(folder), folder / "base")


def _pretrain(folder, **options):
    return pretrain(folder, **{"steps": 12, "evaluate_every": 3, "save_every": 1, "precision": "float32", **options})


def _finetune(folder, **options):
    settings = {"steps": 8, "dropout": 0.1, "evaluate_every": 2, "save_every": 1, "precision": "float32"}
    return finetune(folder, **{**settings, "keep_epochs": True, **options})


def _again(folder, **options):
    """Go on with the pretraining that was killed, to its end."""
    return train(_pretrain(folder, **options), folder / "killed")


def test_killed_at_every_step_pretraining_ends_the_same(folder, whole):
    for step in range(1, 12):
        assert train(_pretrain(folder), folder / "killed", stop=step) == [step], "one step a life"
    assert _again(folder) == [12]
    assert contents(folder / "killed") == whole
    assert not (folder / "whole" / "state").exists()


@pytest.mark.parametrize(
    "options", [{}, {"lora": {"rank": 2}}, {"result": "best", "patience": 2, "lr": 0.5}, {"accumulate": 2}]
)
def test_killed_in_the_middle_fine_tuning_ends_the_same(folder, base, options):
    trainer = _finetune(folder, **options)
    steps = train(trainer, folder / "whole")
    train(trainer, folder / "killed", stop=3)
    train(trainer, folder / "killed", stop=4)
    assert train(trainer, folder / "killed") == list(range(5, steps[-1] + 1))
    assert contents(folder / "killed") == contents(folder / "whole")


def test_steps_since_the_last_state_are_made_again(folder):
    train(_pretrain(folder, save_every=5), folder / "whole")
    train(_pretrain(folder, save_every=5), folder / "killed", stop=9)
    assert _again(folder, save_every=5) == list(range(6, 13))
    assert contents(folder / "killed") == contents(folder / "whole")


def test_interrupted_where_patience_ends_it_makes_no_step_more(folder):
    """The end of early stopping, and the interrupt, are one step."""
    trainer = _pretrain(folder, steps=40, lr=0.5, patience=2, evaluate_every=1, save_every=None)
    last = train(trainer, folder / "whole")[-1]
    assert last < 40
    notes = []
    train(trainer, folder / "killed", stop=last, error=judgekit.Interrupted, notes=notes)
    assert "no better for long enough" in notes[-1]
    assert train(trainer, folder / "killed") == []
    assert contents(folder / "killed") == contents(folder / "whole")


def test_what_another_training_left_before_it_had_a_state_is_swept_away(folder, base):
    train(_finetune(folder, epochs=5, steps=None, save_every=None), folder / "run", stop=9)
    assert (folder / "run" / "epoch-2").is_dir()
    train(_finetune(folder, epochs=1, steps=None, keep_epochs=False), folder / "run")
    assert {path.name for path in (folder / "run").iterdir() if path.is_dir()} == {"best"}


@pytest.mark.parametrize("damage", ["truncated", "garbage"])
def test_a_damaged_state_is_never_loaded(folder, whole, damage):
    """The one before it is; and without any, the training starts over."""
    train(_pretrain(folder), folder / "killed", stop=6)
    older, newest = sorted((folder / "killed" / "state").glob("*/*.safetensors"))
    assert older.parent.name == "checkpoint-5"
    content = {"truncated": newest.read_bytes()[:-100], "garbage": b"x" * 1000}[damage]
    newest.write_bytes(content)
    assert train(_pretrain(folder), folder / "killed", stop=7) == [6, 7]
    for path in (folder / "killed" / "state").glob("*/*.safetensors"):
        path.write_bytes(content)
    assert _again(folder) == list(range(1, 13))
    assert contents(folder / "killed") == whole


def test_a_state_of_another_training_is_refused(folder):
    train(_pretrain(folder), folder / "run", stop=3)
    with pytest.raises(judgekit.UsageError, match="holds the state of another training"):
        train(_pretrain(folder, lr=0.001), folder / "run")


def test_a_full_disk_leaves_the_state_before_it(folder, whole, monkeypatch):
    train(_pretrain(folder), folder / "killed", stop=5)

    def full(temporary: Path, path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "publish", full)
        with pytest.raises(judgekit.StorageError, match="No space left on device"):
            _again(folder)
    assert not list((folder / "killed").rglob("*.tmp"))
    assert _again(folder) == list(range(6, 13))
    assert contents(folder / "killed") == whole


def test_a_file_that_was_being_written_at_a_kill_is_swept_away(folder):
    """As `judgekit.write_atomically` leaves it when the process ends in between."""
    train(_pretrain(folder), folder / "killed", stop=5)
    for place in (folder / "killed", folder / "killed" / "best"):
        (place / ".vocab.json.1234.140225").write_text("{")
        (place / ".mine").write_text("kept")
    assert _again(folder) == list(range(6, 13))
    names = {path.relative_to(folder / "killed").as_posix() for path in (folder / "killed").rglob(".*")}
    assert names == {".mine", "best/.mine"}


def test_a_state_holds_adapters_alone_where_they_alone_are_trained(folder, base):
    train(_finetune(folder, lora={"rank": 2}), folder / "run", stop=3)
    newest = max((folder / "run" / "state").glob("*/*.safetensors"))
    with safe_open(newest, "pt") as file:
        names = [name for name in file.keys() if name.startswith("weights/")]  # noqa: SIM118
    assert names
    assert all(name.endswith((".a", ".b")) for name in names)


@pytest.mark.slow
def test_a_real_kill_9_changes_no_byte(folder):
    """Processes that are killed after a step each, wherever they then are: in a step, or saving."""
    (folder / "options.json").write_text(_pretrain(folder, steps=120, save_every=3).options.model_dump_json())
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(name):
        command = [sys.executable, "-c", SCRIPT, "Pretrain", name]
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
    assert contents(folder / "killed") == contents(folder / "whole")
