"""`judgekit gpt2 …`, and what loading the plugin costs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

import judgekit
from judgekit.data.training_log import CURVE
from judgekit_gpt2 import commands
from judgekit_gpt2.commands import gpt2
from tiny_training import contents

SIZES = json.dumps({"layers": 1, "heads": 2, "width": 16, "context": 64})


def _run(*arguments, stdin=None):
    return CliRunner().invoke(gpt2, [str(argument) for argument in arguments], input=stdin, catch_exceptions=False)


@pytest.fixture
def instructions(tmp_path):
    items = [{"instruction": f"Sit {n}", "output": "on", "chosen": "on", "rejected": "off"} for n in range(4)]
    (tmp_path / "data.json").write_text(json.dumps(items))
    return tmp_path / "data.json"


@pytest.fixture
def base(tmp_path):
    (tmp_path / "text.txt").write_text("The cat sat on the mat. The dog sat on the log.\n" * 20)
    arguments = ["--model", SIZES, "--bpe", 270, "--set", "steps=3", "--set", "validation=0"]
    done = _run("pretrain", tmp_path / "text.txt", "--into", tmp_path / "base", *arguments)
    assert done.exit_code == 0
    assert done.stdout == f"{tmp_path / 'base'}\n", "the result and nothing else"
    assert "step 3/3  loss" in done.stderr
    return tmp_path / "base"


def test_pretrain_finetune_generate(base, instructions, tmp_path):
    options = ["--style", "plain", "--set", "steps=2", "--set", "validation=null"]
    done = _run("finetune", instructions, "--from", base, "--into", tmp_path / "sft", *options)
    assert done.exit_code == 0
    assert len((tmp_path / "sft" / CURVE).read_text().splitlines()) == 2
    told = _run("generate", tmp_path / "sft", "--instruction", "Sit", "--style", "plain", "--max-new-tokens", 5)
    assert told.exit_code == 0
    assert told.stdout == _run("generate", tmp_path / "sft", "Sit", "--max-new-tokens", 5).stdout
    assert told.stdout == _run("generate", tmp_path / "sft", "--max-new-tokens", 5, stdin="Sit").stdout
    drawn = [_run("generate", base, "Sit", "--temperature", 2, "--seed", seed).stdout for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    rounded = _run("generate", base, "Sit", "--quantise", "int8", "--max-new-tokens", 5)
    assert rounded.exit_code == 0
    assert rounded.stdout.startswith(_run("generate", base, "Sit", "--max-new-tokens", 5).stdout[:1])
    with pytest.raises(judgekit.UsageError, match="device 'abacus' cannot be used"):
        _run("generate", base, "Sit", "--device", "abacus")


def test_a_folder_that_holds_something_is_not_trained_into(base, instructions, tmp_path):
    with pytest.raises(judgekit.UsageError, match="base: holds another training"):
        _run("pretrain", tmp_path / "text.txt", "--into", base)
    with pytest.raises(judgekit.UsageError, match=f"{tmp_path.name}: is not empty"):
        _run("pretrain", tmp_path / "text.txt", "--into", tmp_path)


@pytest.mark.parametrize("command", ["finetune", "dpo"])
def test_what_is_there_already_is_not_trained_again(command, base, instructions, tmp_path):
    given = [command, instructions, "--from", base, "--into", tmp_path / "made", "--style", "plain"]
    given += ["--set", "steps=1", "--set", "validation=null"]
    assert _run(*given).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "made").rglob("*")}
    again = _run(*given)
    assert (again.exit_code, again.stdout) == (0, f"{tmp_path / 'made'}\n")
    assert "already there" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "made").rglob("*")} == before
    with pytest.raises(judgekit.UsageError, match="holds another training"):
        _run(*given, "--set", "steps=2")
    items = json.loads(instructions.read_text())
    instructions.write_text(json.dumps([*items, {**items[0], "instruction": "Lie"}]))
    with pytest.raises(judgekit.UsageError, match="holds another training"):
        _run(*given)


def test_a_training_that_was_killed_before_its_first_step_begins_again(instructions, base, tmp_path):
    given = ["finetune", instructions, "--from", base, "--into", tmp_path / "made", "--style", "plain"]
    given += ["--set", "steps=1", "--set", "validation=null"]
    assert _run(*given).exit_code == 0
    for path in (tmp_path / "made").iterdir():
        if path.name != "made_from.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = _run(*given)
    assert again.exit_code == 0
    assert "already" not in again.stderr


def test_wrong_options_are_named(tmp_path):
    with pytest.raises(judgekit.ConfigError, match=r"batch: .*greater than or equal to 1"):
        _run("pretrain", "text.txt", "--into", tmp_path / "a", "--set", "batch=0")
    with pytest.raises(judgekit.ConfigError, match=r"unknown key '\w+\.bach'; did you mean 'batch'"):
        _run("pretrain", "text.txt", "--into", tmp_path / "a", "--set", "bach=1")
    assert _run("pretrain", "text.txt", "--into", tmp_path / "a", "--set", "batch").exit_code == 2
    with pytest.raises(judgekit.CheckpointError, match="no such checkpoint folder"):
        _run("finetune", "data.json", "--from", "nowhere", "--into", tmp_path / "a")
    assert _run("generate", "a", "b", "--instruction", "c").exit_code == 2
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("command", ["pretrain", "finetune", "dpo"])
def test_every_option_is_listed_with_its_default(command):
    told = _run(command, "--options")
    assert told.exit_code == 0
    listed = dict(line.split(maxsplit=1) for line in told.stdout.splitlines() if line.startswith("  "))
    assert listed["batch"] == "8"
    assert listed["data"] == "required"
    assert listed["precision"] == '"auto"'
    assert ("from" in listed) == (command != "pretrain")


def test_a_file_is_no_folder(base, tmp_path):
    (tmp_path / "file").write_text("x")
    for into in ("file", "file/deeper"):
        with pytest.raises(judgekit.StorageError, match="cannot be made"):
            _run("pretrain", tmp_path / "text.txt", "--into", tmp_path / into)


def test_what_two_options_say_of_one_thing_is_joined(base, instructions, tmp_path):
    own = json.dumps({"instructions": str(instructions), "style": "plain"})
    settings = ["--bpe", 270, "--set", f"tokenizer={own}", "--set", "steps=1", "--set", "validation=0"]
    done = _run("pretrain", tmp_path / "text.txt", "--into", tmp_path / "joined", "--model", SIZES, *settings)
    assert done.exit_code == 0


def test_a_prompt_that_is_too_long_is_an_error(base):
    with pytest.raises(judgekit.UsageError, match="too many for the model's context of 64"):
        _run("generate", base, "xyz " * 64)


def test_the_plugin_and_its_help_load_nothing_heavy():
    code = """
import sys, click, judgekit_gpt2
app = click.Group("judgekit")
judgekit_gpt2.judgekit_commands(app)
for name in ("pretrain", "finetune", "generate", "convert", "fetch"):
    assert app.commands["gpt2"].commands[name].get_help(click.Context(app))
assert not {"torch", "numpy", "pydantic", "scipy", "httpx", "tiktoken", "jinja2"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dpo_and_adapters(base, instructions, tmp_path):
    options = ["--style", "plain", "--set", "steps=2", "--set", "validation=null", "--lora", 2]
    done = _run("dpo", instructions, "--from", base, "--into", tmp_path / "dpo", *options, "--beta", 0.5)
    assert done.exit_code == 0
    tuned = _run("finetune", instructions, "--from", base, "--into", tmp_path / "sft", *options)
    assert tuned.exit_code == 0
    names = {path.name for path in (tmp_path / "dpo").iterdir()}
    files = {"config.json", "model.safetensors", "vocab.json", "merges.txt", CURVE, "samples.jsonl", "summary.json"}
    assert names == {*files, "chat_template.jinja", "best", "made_from.json"}


@pytest.mark.parametrize("left", [[".made_from.json.1234.1402"], ["made_from.json", ".made_from.json.1234.1402"]])
def test_a_kill_while_it_is_written_what_a_training_is_of(base, tmp_path, left):
    folder = tmp_path / "killed"
    folder.mkdir()
    for name in left:
        (folder / name).write_bytes(b"{" if name.startswith(".") else (base / name).read_bytes())
    arguments = ["--model", SIZES, "--bpe", 270, "--set", "steps=3", "--set", "validation=0"]
    done = _run("pretrain", tmp_path / "text.txt", "--into", folder, *arguments)
    assert done.exit_code == 0
    assert contents(folder) == contents(base), "nothing differs, and nothing is left over"


def test_every_signal_that_ends_a_process_asks_for_an_end_after_the_step():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before = signal.getsignal(number)
        with commands._stoppable() as stopped:
            os.kill(os.getpid(), number)
            assert stopped.wait(5)
        assert signal.getsignal(number) is before


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.usefixtures("base", "instructions")
def test_a_signal_stops_after_a_step_and_the_same_command_goes_on(tmp_path, monkeypatch, end):
    command = [sys.executable, "-m", "judgekit", "gpt2", "finetune", "data.json", "--from", "base", "--into", "sft"]
    command += ["--set", "steps=120", "--set", "validation=null", "--style", "plain", "--set", "evaluate_every=120"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert "step 12/120" in process.stderr.readline()
    process.send_signal(end)
    _, errors = process.communicate()
    assert process.returncode == 130
    stopped = int(re.search(r"error: stopped after step (\d+); the same command goes on from there", errors)[1])
    assert (tmp_path / "sft" / "state" / f"checkpoint-{stopped}" / "judgekit.json").is_file()
    done = subprocess.run([*command, "--set", f"save_every={stopped}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "holds the state of another training" in done.stderr
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    first = int(re.search(r"step (\d+)/120", done.stderr)[1])
    assert first > stopped
