"""110 real answers through every judge backend, all over the same real model: each item scored or counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judgekit.cli import execute
from ollama_emulation import Llama, OllamaEmulation
from real_model import gguf, llama_url

pytestmark = [pytest.mark.slow, pytest.mark.shared, pytest.mark.timeout(1800)]

CONFIG = """\
name: book
data: {{loader: instructions, path: {path}}}
models:
  gpt2-medium: {{backend: responses, path: {path}, field: model_response}}
judges:
  main: {judge}
metrics:
  quality: {{type: score, judge: main}}
reports: [json]
"""


def judged(shared_data: Path, folder: Path, judge: dict[str, object]) -> dict[str, object]:
    """The estimate of a run of the whole file by that judge."""
    path = shared_data / "instructions" / "instruction-data-with-response.json"
    config = folder / "judgekit.yaml"
    config.write_text(CONFIG.format(path=path, judge=json.dumps(judge)))
    assert execute(["run", str(config), "-o", str(folder / "runs"), "--home", str(folder / "home"), "-j", "1"]) == 0
    (record,) = folder.glob("runs/*/record.json")
    (estimate,) = json.loads(record.read_text())["estimates"]
    assert sum(estimate["counts"].values()) == 110, "every item is scored or counted"
    assert set(estimate["counts"]) <= {"scored", "unparsed", "truncated"}
    print(judge, estimate["value"], estimate["interval"], estimate["counts"])
    return estimate


INTEGER = {"prompt": "score/integer", "max_new_tokens": 8}


@pytest.mark.parametrize("backend", ["transformers", "local", "openai"])
def test_a_judge_scores_or_counts_every_item(shared_data: Path, tmp_path: Path, backend: str) -> None:
    gguf()
    options = INTEGER | {"control_items": 0}
    if backend == "transformers":  # the embedded judge reads by likelihood
        options = {"model": "smollm2", "control_items": 0}
    elif backend == "openai":
        options |= {"base_url": f"{llama_url()}/v1", "model": "smollm2"}
    estimate = judged(shared_data, tmp_path, {"backend": backend} | options)
    assert backend != "transformers" or estimate["counts"] == {"scored": 110}


def test_the_ollama_dialect_over_the_real_model(shared_data: Path, tmp_path: Path) -> None:
    """The server is an emulation: it speaks Ollama's native dialect over the same model under llama.cpp."""
    with OllamaEmulation(Llama(llama_url())) as server:
        judge = {"preset": "book", "host": server.url, "num_ctx": 1024, "max_new_tokens": 8, "control_items": 0}
        judged(shared_data, tmp_path, judge)
