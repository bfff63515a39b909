"""`judgekit gpt2 …`, and what loading the plugin costs."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

import judgekit
from judgekit_gpt2.commands import gpt2
from judgekit_gpt2.trainers import CURVE

SIZES = json.dumps({"layers": 1, "heads": 2, "width": 16, "context": 64})


def _run(*arguments, stdin=None):
    return CliRunner().invoke(gpt2, [str(argument) for argument in arguments], input=stdin, catch_exceptions=False)


@pytest.fixture
def base(tmp_path):
    (tmp_path / "text.txt").write_text("The cat sat on the mat. The dog sat on the log.\n" * 20)
    arguments = ["--model", SIZES, "--bpe", 270, "--set", "steps=3", "--set", "validation=0"]
    done = _run("pretrain", tmp_path / "text.txt", "--into", tmp_path / "base", *arguments)
    assert done.exit_code == 0
    assert done.stdout == f"{tmp_path / 'base'}\n", "the result and nothing else"
    assert "step 3/3  loss" in done.stderr
    return tmp_path / "base"


def test_pretrain_finetune_generate(base, tmp_path):
    (tmp_path / "data.json").write_text(json.dumps([{"instruction": f"Sit {n}", "output": "on"} for n in range(4)]))
    options = ["--style", "plain", "--set", "steps=2", "--set", "validation=null"]
    done = _run("finetune", tmp_path / "data.json", "--from", base, "--into", tmp_path / "sft", *options)
    assert done.exit_code == 0
    assert len((tmp_path / "sft" / CURVE).read_text().splitlines()) == 2
    told = _run("generate", tmp_path / "sft", "--instruction", "Sit", "--style", "plain", "--max-new-tokens", 5)
    assert told.exit_code == 0
    assert told.stdout == _run("generate", tmp_path / "sft", "Sit", "--max-new-tokens", 5).stdout
    assert told.stdout == _run("generate", tmp_path / "sft", "--max-new-tokens", 5, stdin="Sit").stdout
    drawn = [_run("generate", base, "Sit", "--temperature", 2, "--seed", seed).stdout for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_folder_that_holds_something_is_not_trained_into(base, tmp_path):
    with pytest.raises(judgekit.UsageError, match="base: is not empty"):
        _run("pretrain", tmp_path / "text.txt", "--into", base)


def test_wrong_options_are_named(tmp_path):
    with pytest.raises(judgekit.ConfigError, match=r"batch: .*greater than or equal to 1"):
        _run("pretrain", "text.txt", "--into", tmp_path / "a", "--set", "batch=0")
    with pytest.raises(judgekit.ConfigError, match=r"unknown key '\w+\.bach'; did you mean 'batch'"):
        _run("pretrain", "text.txt", "--into", tmp_path / "a", "--set", "bach=1")
    assert _run("pretrain", "text.txt", "--into", tmp_path / "a", "--set", "batch").exit_code == 2
    assert _run("generate", "a", "b", "--instruction", "c").exit_code == 2
    assert not (tmp_path / "a").exists()


def test_a_prompt_that_is_too_long_is_an_error(base):
    with pytest.raises(judgekit.UsageError, match="too many for the model's context of 64"):
        _run("generate", base, "xyz " * 64)


def test_the_plugin_and_its_help_load_nothing_heavy():
    code = """
import sys, click, judgekit_gpt2
app = click.Group("judgekit")
judgekit_gpt2.judgekit_commands(app)
for name in ("pretrain", "finetune", "generate"):
    assert app.commands["gpt2"].commands[name].get_help(click.Context(app))
assert not {"torch", "numpy", "pydantic", "scipy", "httpx", "tiktoken", "jinja2"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
