"""Output that cannot be written has an exit code of its own; a console of another encoding gets other signs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from judgekit.run_folder import RunFolder

CONFIG = """
name: towns
data: {path: data.json}
models:
  a: {backend: responses, path: data.json, field: a}
  b: {backend: responses, path: data.json, field: b}
metrics: {e: {type: exact_match}}
against: b
gate: {e: {min: 0.99}}
"""
ITEM = '{"id": "1", "instruction": "x", "output": "y", "a": "n", "b": "y"}'
DATA = f"[{ITEM}, {ITEM.replace('1', '2')}]"
PLUGIN = """
import sys
import judgekit
print("loaded")

@judgekit.hookimpl
def judgekit_reporters():
    print("offered")
    def report(view, sections):
        print("reported")
        return {"noisy.txt": b""}
    return {"noisy": report}

@judgekit.hookimpl
def judgekit_row_done(row):
    print("row")
"""


def judgekit(
    folder: Path, *given: str, stdout: int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-P", "-m", "judgekit", *given]
    return subprocess.run(
        command, cwd=folder, stdout=stdout, stderr=subprocess.PIPE, env=os.environ | environment, timeout=120
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose gate fails."""
    folder = tmp_path_factory.mktemp("towns")
    (folder / "judgekit.yaml").write_text(CONFIG)
    (folder / "data.json").write_text(DATA)
    assert judgekit(folder, "run", "--progress", "none").returncode == 1
    return folder


def run_of(folder: Path) -> str:
    (run,) = (folder / "runs").iterdir()
    return f"runs/{run.name}"


@pytest.mark.parametrize(
    "command", ["run", "gate RUN", "gate RUN --json", "list runs", "plugins", "--help", "ledger stats"]
)
def test_output_that_nobody_reads_or_that_has_no_room(folder: Path, command: str) -> None:
    given = command.replace("RUN", run_of(folder)).split()
    reader, writer = os.pipe()
    os.close(reader)
    unread = judgekit(folder, *given, stdout=writer)
    os.close(writer)
    assert unread.returncode == 141
    assert b"error" not in unread.stderr
    with Path("/dev/full").open("wb") as full:
        done = judgekit(folder, *given, stdout=full.fileno())
    assert done.returncode == 6
    assert b"error: standard output cannot be written: No space left" in done.stderr
    assert b"Traceback" not in unread.stderr + done.stderr


def test_standard_error_that_cannot_be_written_changes_nothing(folder: Path) -> None:
    shell = f"{sys.executable} -P -m judgekit run 2>/dev/full; echo $?"
    done = subprocess.run(["bash", "-c", shell], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "1"


def test_standard_output_that_is_closed(folder: Path) -> None:
    shell = f"{sys.executable} -P -m judgekit gate {run_of(folder)} >&-"
    done = subprocess.run(["bash", "-c", shell], cwd=folder, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.splitlines()) == (6, [done.stderr.strip()])


@pytest.mark.parametrize("encoding", ["euc-kr", "cp949", "cp1252", "ascii", "latin-1", "cp437", "gbk", "utf-16"])
def test_a_console_of_another_encoding(folder: Path, encoding: str) -> None:
    done = judgekit(folder, "run", PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    said = done.stdout.decode(encoding)
    assert "a - b" in said or "a − b" in said
    assert "FAIL" in said
    assert "?" not in said


def test_what_a_plugin_prints_goes_to_standard_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(PLUGIN)
    known = tmp_path / "noisy-1.0.dist-info"
    known.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n")
    (known / "entry_points.txt").write_text("[judgekit]\nnoisy = noisy\n")
    run = RunFolder(folder / run_of(folder)).record()
    done = judgekit(folder, "gate", f"runs/{run.run_id}", "--json", "--summary", "s.json", PYTHONPATH=str(tmp_path))
    assert done.stdout.startswith(b"{")
    assert b"loaded" in done.stderr
    assert b"offered" in done.stderr
    again = judgekit(folder, "run", PYTHONPATH=str(tmp_path))
    assert b"row" in again.stderr.splitlines()
    assert b"loaded" not in again.stdout
    assert b"row\n" not in again.stdout
