"""A plugin that hangs, in Python or in C code, wherever a run calls it: Ctrl-C ends it, the second one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = """
import ctypes, os, sys, threading, time
import judgekit

def hang(place):
    if os.environ["HANGS_IN"] != place:
        return
    how = os.environ["HANGS"]
    print("hanging", file=sys.stderr, flush=True)
    if how == "python":
        while True:
            try:
                time.sleep(600)
            except Exception:
                pass
    elif how == "thread":
        stuck = threading.Thread(target=time.sleep, args=(600,))
        stuck.start()
        stuck.join()
    # A lock that is taken twice, in C code: no signal ends this wait. PyDLL keeps the interpreter's own lock meanwhile.
    library = {"c": ctypes.CDLL, "c, alone": ctypes.PyDLL}[how](None)
    lock = ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_lock(lock)

class Backend(judgekit.Backend):
    def __init__(self, *given):
        hang("constructor")
        super().__init__(*given)
    def check(self):
        hang("check")
        return []
    def generate(self, requests):
        hang("generate")
        return [judgekit.Reply(text="7") for _ in requests]

class Length(judgekit.Metric):
    series = {"value": judgekit.Scale(label="characters", low=0, high=1000)}
    def rows(self, study):
        hang("rows")
        for system in study.systems:
            for sample, response in study.responses(system):
                yield judgekit.Row(metric="", system=system, sample_id=sample.id, status="scored", value=1.0)

@judgekit.hookimpl
def judgekit_backends():
    hang("backends")
    return {"stuck": Backend}

@judgekit.hookimpl
def judgekit_metrics():
    return {"length": Length}

@judgekit.hookimpl
def judgekit_run_finished(record):
    hang("run_finished")
"""
CONFIG = """
name: stuck
data: {loader: instructions, path: items.json}
models: {one: {backend: stuck}}
metrics: {length: {type: length}}
reports: [json]
"""


def start(folder: Path, place: str, how: str, **environment: str) -> subprocess.Popen[str]:
    """A run with such a plugin, once it hangs."""
    (folder / "stuck.py").write_text(PLUGIN)
    known = folder / "stuck-1.0.dist-info"
    known.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1.0\n")
    (known / "entry_points.txt").write_text("[judgekit]\nstuck = stuck\n")
    (folder / "items.json").write_text('[{"instruction": "How many?", "output": "7"}]')
    (folder / "judgekit.yaml").write_text(CONFIG)
    process = subprocess.Popen(
        [sys.executable, "-m", "judgekit", "run", "judgekit.yaml", "--progress", "none"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "HANGS_IN": place, "HANGS": how, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    while "hanging" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    return process


@pytest.mark.parametrize("how", ["python", "thread", "c", "c, alone"])
@pytest.mark.parametrize("place", ["backends", "constructor", "check", "generate", "rows", "run_finished"])
def test_ctrl_c_ends_what_hangs(tmp_path: Path, place: str, how: str) -> None:
    process = start(tmp_path, place, how)
    for patience in (1, 1, 10):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
    process.kill()
    _, said = process.communicate()
    assert process.returncode in (130, -signal.SIGINT), said
    assert "Traceback" not in said
