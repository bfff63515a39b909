"""The command line as a person meets it: outputs, one-line errors, exit codes."""

import re
import subprocess
import sys

import pytest

from judgekit.cli import COMMANDS, execute


def test_help_names_every_command(capsys):
    assert execute(["--help"]) == 0
    text = capsys.readouterr().out
    for name in [*COMMANDS, "gpt2"]:
        assert re.search(rf"^  {name} ", text, re.MULTILINE), name


@pytest.mark.parametrize(
    "name", [*COMMANDS, "ledger stats", "ledger prune", "gpt2 pretrain", "gpt2 finetune", "gpt2 generate"]
)
def test_every_command_has_help(name, capsys):
    assert execute([*name.split(), "--help"]) == 0
    assert "Usage: judgekit" in capsys.readouterr().out


def test_reports_are_made_again_from_the_record(here, capsys):
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
def test_errors_are_one_line_with_the_right_exit_code(here, capsys, args, code, expected):
    assert execute(args) == code
    err = capsys.readouterr().err
    assert expected in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["plugins"], ["list", "metrics"], ["--help"]])
def test_a_reader_that_goes_away_is_told_nothing(words):
    command = [sys.executable, "-m", "judgekit", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(30) == 141
