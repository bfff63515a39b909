"""The committed data files are what the committed generator makes."""

import os
import shutil
import subprocess
import sys

import pytest


def generate(folder, *flags, hash_seed="0"):
    return subprocess.run(
        [sys.executable, str(folder / "generate.py"), *flags],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.fixture
def copy(quickstart, tmp_path):
    target = tmp_path / "quickstart"
    target.mkdir()
    shutil.copy(quickstart / "generate.py", target)
    for folder in ("facts", "exampledata", "data"):
        shutil.copytree(quickstart / folder, target / folder)
    return target


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_check_accepts_the_committed_files(quickstart):
    done = generate(quickstart, "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_files_are_rewritten_byte_for_byte_whatever_the_hash_seed(copy, quickstart):
    shutil.rmtree(copy / "data")
    assert generate(copy, hash_seed="77").returncode == 0
    assert contents(copy / "data") == contents(quickstart / "data")


def test_check_names_a_file_that_differs_is_missing_or_is_too_many(copy):
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


def test_another_seed_draws_other_items(copy):
    before = contents(copy / "data")
    assert generate(copy, "--seed", "1").returncode == 0
    after = contents(copy / "data")
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)
