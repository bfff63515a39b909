"""The command line as a person meets it: outputs, one-line errors, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from judgekit.cli import COMMANDS, execute

ITEMS = [
    {"instruction": f"Say {word}.", "output": word, "model_response": word if n % 2 else "?"}
    for n, word in enumerate("abcdef")
]
CONFIG = """\
name: stored
data: {path: items.json}
models:
  mine: {backend: responses, path: items.json}
metrics:
  exact: {type: exact_match}
reports: [json]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "items.json").write_text(json.dumps(ITEMS))
    (tmp_path / "judgekit.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--help"]) == 0
    text = capsys.readouterr().out
    for name in [*COMMANDS, "gpt2"]:
        assert re.search(rf"^  {name} ", text, re.MULTILINE), name


@pytest.mark.parametrize(
    "name", [*COMMANDS, "ledger stats", "ledger prune", "gpt2 pretrain", "gpt2 finetune", "gpt2 generate"]
)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([*name.split(), "--help"]) == 0
    assert "Usage: judgekit" in capsys.readouterr().out


def test_a_run_prints_its_table_and_where_the_report_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", "--progress", "none"]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"exact +mine +50.0 % +\[.*%\] +wilson +6 × 1 +0", out), out
    assert "runs/stored-" in out
    assert err == "", "results go to stdout; with --progress none nothing goes to stderr"
    assert execute(["run"]) == 0
    out, err = capsys.readouterr()
    assert "0 calls made, 6 answered by the ledger" in out
    assert "generating mine: 6/6" in err, "no terminal: plain lines on stderr"


def test_flags_change_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", "--limit", "3", "--set", "name=three", "-o", "elsewhere", "--progress", "none"]) == 0
    assert "three: 3 samples" in capsys.readouterr().out
    (folder,) = (here / "elsewhere").iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert record["spec"]["limit"] == 3


def test_environment_stands_between_flags_and_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGEKIT_LIMIT", "2")
    monkeypatch.setenv("JUDGEKIT_OUTPUT", "out")
    assert execute(["run", "--set", "limit=5", "--progress", "none"]) == 0
    (folder,) = (here / "out").iterdir()
    assert json.loads((folder / "record.json").read_text())["n_samples"] == 2


def test_a_dry_run_calls_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", "--dry-run", "--progress", "none"]) == 0
    assert re.search(r"generating mine +6 +0", capsys.readouterr().out)
    assert not (here / "runs").exists()
    assert not (here / ".judgekit").exists()
    execute(["run", "--progress", "none"])
    capsys.readouterr()
    assert execute(["run", "--dry-run", "--progress", "none"]) == 0
    assert re.search(r"generating mine +6 +6", capsys.readouterr().out)


def test_reports_are_made_again_from_the_record(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    execute(["run", "--progress", "none"])
    (folder,) = (here / "runs").iterdir()
    before = (folder / "summary.json").read_bytes()
    (folder / "summary.json").unlink()
    capsys.readouterr()
    assert execute(["report", str(folder)]) == 0
    assert (folder / "summary.json").read_bytes() == before
    assert execute(["list", "runs"]) == 0
    assert "complete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "code", "expected"),
    [
        (["rum"], 2, "no command is named 'rum'; did you mean 'run'?"),
        (["run", "none.yaml"], 2, "error: none.yaml: no such file; `judgekit init` writes one"),
        (
            ["run", "--set", "metrics.exact.type=exact_mtach"],
            2,
            "no metric is named 'exact_mtach'; did you mean 'exact_match'?",
        ),
        (["run", "--set", "data.pth=x"], 2, "unknown key 'data.pth'; did you mean 'path'?"),
        (["run", "--set", "data.path=gone.json"], 2, "gone.json: no such file"),
        (["run", "--limit", "0"], 2, "0 is not in the range"),
        (["report", "runs/none"], 2, "runs/none/record.json: no such file"),
        (["ledger", "stats"], 2, "ledger.sqlite: there is no ledger here"),
        (["run", "--set", "plugins.block=[nobody]"], 2, "no plugin is named 'nobody'"),
        (["run", "--set", "plugins.block=[responses]"], 2, "no backend is named 'responses'"),
        (["doctor", "olama"], 2, "no backend is named 'olama'; did you mean 'ollama'?"),
    ],
)
def test_errors_are_one_line_with_the_right_exit_code(
    here: Path, capsys: pytest.CaptureFixture[str], args: list[str], code: int, expected: str
) -> None:
    assert execute(args) == code
    err = capsys.readouterr().err
    assert expected in err
    assert "Traceback" not in err


def test_a_plugin_can_be_blocked_by_the_environment(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUDGEKIT_BLOCK_PLUGINS", "gpt2,html")
    assert execute(["plugins"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"gpt2 +blocked by", out)
    assert "reporter html" not in out


def test_validate_says_good_or_everything_that_is_wrong(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["validate"]) == 0
    assert "judgekit.yaml: good (1 model, 0 judges, 1 metric, 6 samples)" in capsys.readouterr().out
    assert execute(["validate", "--set", "against=x", "--set", "reports=[pdf]"]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 2


def test_the_schema_knows_plugin_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    judge = schema["$defs"]["JudgeConfig"]
    assert "ollama" in judge["properties"]["backend"]["enum"]
    ollama = next(rule for rule in judge["allOf"] if rule["if"]["properties"]["backend"] == {"const": "ollama"})
    assert "num_ctx" in ollama["then"]["properties"]


@pytest.mark.parametrize("template", ["score", "pairwise", "mmlu", "finetune"])
def test_init_writes_a_config_that_loads(here: Path, template: str, capsys: pytest.CaptureFixture[str]) -> None:
    from judgekit.config.load import load

    assert execute(["init", "new", "--template", template]) == 0
    spec = load(here / "new" / "judgekit.yaml")
    assert spec.models
    capsys.readouterr()
    assert execute(["init", "new", "--template", template]) == 2
    assert "is already there; nothing was written" in capsys.readouterr().err


def test_terminal_controls_never_reach_the_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "judgekit.yaml").write_text(CONFIG + '"\\e[31mred\\u202e": 1\n')
    assert execute(["validate"]) == 2
    err = capsys.readouterr().err
    assert "\\x1b[31mred\\u202e" in err
    assert "\x1b" not in err
    assert "\u202e" not in err


def test_an_incomplete_run_exits_3(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [dict(item) for item in ITEMS]
    del items[2]["model_response"]
    (here / "items.json").write_text(json.dumps(items))
    assert execute(["run", "--progress", "none"]) == 3
    out = capsys.readouterr().out
    assert out.startswith("INCOMPLETE: planned calls were not answered.\n  1 × generating mine: ")
    assert "has no 'model_response' for the sample" in out
    assert "1 error" in out
