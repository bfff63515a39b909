"""The committed data files are what the committed generator makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def generate(folder: Path, *flags: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "generate.py"), *flags],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.fixture
def copy(quickstart: Path, tmp_path: Path) -> Path:
    target = tmp_path / "quickstart"
    target.mkdir()
    shutil.copy(quickstart / "generate.py", target)
    for folder in ("facts", "exampledata", "data"):
        shutil.copytree(quickstart / folder, target / folder)
    return target


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_check_accepts_the_committed_files(quickstart: Path) -> None:
    done = generate(quickstart, "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_files_are_rewritten_byte_for_byte_whatever_the_hash_seed(copy: Path, quickstart: Path) -> None:
    shutil.rmtree(copy / "data")
    assert generate(copy, hash_seed="77").returncode == 0
    assert contents(copy / "data") == contents(quickstart / "data")


def test_check_names_a_file_that_differs_is_missing_or_is_too_many(copy: Path) -> None:
    data = copy / "data"
    (data / "pretrain.txt").write_bytes((data / "pretrain.txt").read_bytes()[:-1])
    (data / "instructions.json").unlink()
    (data / "stray.txt").write_text("no")
    done = generate(copy, "--check")
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stderr.splitlines()] == [
        "data/instructions.json",
        "data/pretrain.txt",
        "data/stray.txt",
    ]


def test_another_seed_draws_other_items(copy: Path) -> None:
    before = contents(copy / "data")
    assert generate(copy, "--seed", "1").returncode == 0
    after = contents(copy / "data")
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)
