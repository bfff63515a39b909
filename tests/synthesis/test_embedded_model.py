"""The figure: 50 kept items from the embedded model in one run that is killed and started again, no call repeated.

By hand, to see the yields: `python -m pytest tests/synthesis/test_embedded_model.py -m slow -s`. It takes minutes on an
idle machine with two cores, and up to an hour on a busy one.
"""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from real_model import gguf

KEEP = 50
AGAIN = 5  # items that are made once more from nothing, without a kill
MODEL = ["--backend", "local", "--set", "threads=1", "--set", "temperature=0.6", "--form", "open", "--seed", "1"]


def command(work, home, into, keep, *more):
    ends = ["--home", str(home), "--into", str(into), "--keep", str(keep), "--progress", "none", *more]
    return [sys.executable, "-m", "judgekit", "data", *work, *ends]


def committed(home):
    """When each call in the ledger was committed, by its key."""
    path = home / "ledger.sqlite"
    if not path.is_file():
        return {}
    db = sqlite3.connect(path)
    try:
        return dict(db.execute("SELECT key, created_at FROM replies").fetchall())
    except sqlite3.OperationalError:  # its tables are still being made
        return {}
    finally:
        db.close()


def finish(command):
    """What a start says, and how many calls it made."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    calls = re.search(r"^([\d,]+) calls made", done.stdout, re.MULTILINE)
    assert calls is not None, done.stdout
    return done.stdout, int(calls[1].replace(",", ""))


def killed_and_started_again(work, folder, kill_after):
    home, into = folder / "home", folder / "made.json"
    process = subprocess.Popen(command(work, home, into, KEEP), start_new_session=True, stdout=subprocess.DEVNULL)
    while len(committed(home)) < kill_after:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = committed(home)
    assert not into.exists()

    said, calls = finish(command(work, home, into, KEEP))
    print(f"\nkilled after {len(before)} calls; {said}")
    after = committed(home)
    assert calls == len(after) - len(before), "a committed call was made again"
    assert {key: after[key] for key in before} == before
    items = json.loads(into.read_text("utf-8"))
    assert len(items) == KEEP

    made = into.read_bytes()
    shutil.copytree(home, folder / "copy")
    whole = folder / "whole.json"
    finish(command(work, folder / "copy", whole, KEEP, "--offline"))  # from beginning to end, of the same replies
    assert whole.read_bytes() == made
    few = folder / "few.json"
    _, calls = finish(command(work, folder / "nothing", few, AGAIN))
    assert calls
    assert json.loads(few.read_text("utf-8")) == items[:AGAIN]


@pytest.fixture
def seeds(checkout):
    gguf()
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) is not installed")
    return str(checkout / "examples" / "synthesis" / "seeds.json")


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_self_instruct(seeds, tmp_path):
    killed_and_started_again(["self-instruct", "--seeds", seeds, *MODEL, "--batch", "4"], tmp_path, 60)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_evolve(seeds, tmp_path):
    """The gain of a change by its words: asked, the model calls nearly every pair of tasks the same."""
    work = ["evolve", seeds, *MODEL, "--gain", "words", "--rounds", "8", "--batch", "8"]
    killed_and_started_again(work, tmp_path, 60)
