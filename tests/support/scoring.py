"""The job of drills and benchmarks: score stored responses with a judge behind a loopback server."""

from __future__ import annotations

import json
import sys
from pathlib import Path

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
