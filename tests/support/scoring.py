"""The job of drills and benchmarks: score stored responses with a judge behind a loopback server."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from judgekit.cli import execute

CONFIG = """\
name: scoring
data: {loader: instructions, path: items.json}
models:
  stored: {backend: responses, path: items.json, field: response}
judges:
  main: {backend: openai, base_url: URL, model: loopback, prompt: score/integer, temperature: 0, seed: 123,
         max_new_tokens: 8, control_items: 0}
metrics:
  quality: {type: score, judge: main}
reports: [json]
statistics: {resamples: 999}
"""


def prepare(folder: Path, url: str, calls: int, jobs: int) -> list[str]:
    """Write the config and `calls` items into the folder; the command that runs it."""
    items = [
        {
            "instruction": "Rewrite the sentence in the passive voice.",
            "input": f"The cat chased mouse {number}.",
            "output": f"Mouse {number} was chased by the cat.",
            "response": f"Mouse {number} was being chased by a cat.",
        }
        for number in range(calls)
    ]
    (folder / "items.json").write_text(json.dumps(items))
    (folder / "judgekit.yaml").write_text(CONFIG.replace("URL", url))
    command = [sys.executable, "-m", "judgekit", "run", str(folder / "judgekit.yaml"), "-j", str(jobs)]
    return [*command, "--progress", "none", "-o", str(folder / "runs"), "--home", str(folder / "home")]


def record(folder: Path) -> bytes:
    """The record of the folder's only run."""
    (path,) = folder.glob("runs/*/record.json")
    return path.read_bytes()


def in_process(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of `prepare`'s in this process, which has imported everything; what it wrote and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = execute(command[command.index("run") :])
    return subprocess.CompletedProcess(list(command), code, out.getvalue(), err.getvalue())
