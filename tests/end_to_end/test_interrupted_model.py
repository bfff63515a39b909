"""Ctrl-C while llama.cpp, inside the process, is in the middle of a call: a real model, real signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from judgekit.calls.caller import Caller
from judgekit.calls.ledger import Ledger
from real_model import gguf

CONFIG = """\
name: stopped
data: {loader: instructions, path: items.json}
models:
  stored: {backend: responses, path: items.json, field: response}
judges:
  main: {backend: local, n_ctx: 8192, threads: 1, prompt: score/integer, max_new_tokens: 4, control_items: 0}
metrics:
  quality: {type: score, judge: main}
reports: [json]
"""
GRACE = 1.0  # seconds for calls under way, here
# The command itself; each call is told of as it is sent.
TELLING = f"""
import sys
from judgekit import Http
from judgekit.calls.caller import Caller
from judgekit.cli import main
Caller.grace = {GRACE}
post = Http.post
def telling(*args):
    print("a call", file=sys.stderr, flush=True)
    return post(*args)
Http.post = telling
main(sys.argv[1:])
"""
WORDS = 6000  # of the second prompt: more than a machine reads in a few seconds with one thread


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run whose first call is committed and whose second is being computed."""
    gguf()
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) is not installed")
    items = [{"instruction": text, "input": "", "output": "2", "response": "2"} for text in ("1 + 1?", "is " * WORDS)]
    (tmp_path / "items.json").write_text(json.dumps(items))
    (tmp_path / "judgekit.yaml").write_text(CONFIG)
    command = ["run", str(tmp_path / "judgekit.yaml"), "-o", str(tmp_path / "runs"), "--home", str(tmp_path)]
    command = [sys.executable, "-c", TELLING, *command, "--progress", "none"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            read_until(process, "a call")
            read_until(process, "a call")
            time.sleep(1)
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    while words not in (line := process.stderr.readline()):
        assert line, f"it ended before it said {words!r}"


def test_ctrl_c_once_ends_the_call_and_says_how_to_go_on(busy: subprocess.Popen[str], tmp_path: Path) -> None:
    start = time.monotonic()
    busy.send_signal(signal.SIGINT)
    _, err = busy.communicate(timeout=60)
    seconds = time.monotonic() - start
    assert busy.returncode == 130
    assert "stopping: calls under way may end" in err
    assert err.endswith("the same command goes on from there\n")
    assert "Traceback" not in err
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        kept = ledger.stats().entries
    assert kept == 2 + 1, "the responses and the judge's first reply; the second was waited for in vain"
    assert Caller.grace < 5, "5 s is the promise"
    assert seconds < GRACE + 2, "a busy machine takes a little longer to end a process"


@pytest.mark.parametrize("later", [0, pytest.param(GRACE + 0.2, marks=pytest.mark.slow, id="as-the-model-is-stopped")])
def test_ctrl_c_twice_ends_at_once(busy: subprocess.Popen[str], later: float) -> None:
    busy.send_signal(signal.SIGINT)
    read_until(busy, "stopping")
    time.sleep(later)
    busy.send_signal(signal.SIGINT)
    assert busy.wait(timeout=2) == 130, "the grace for calls under way is longer than this"
