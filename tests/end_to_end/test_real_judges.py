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


def test_the_embedded_judge(shared_data: Path, tmp_path: Path) -> None:
    gguf()
    estimate = judged(shared_data, tmp_path, {"backend": "transformers", "model": "smollm2", "control_items": 0})
    assert estimate["counts"] == {"scored": 110}


def test_llama_cpp_in_process(shared_data: Path, tmp_path: Path) -> None:
    gguf()
    judge = {"backend": "local", "prompt": "score/integer", "max_new_tokens": 8, "control_items": 0}
    judged(shared_data, tmp_path, judge)


def test_the_openai_dialect_over_the_real_model(shared_data: Path, tmp_path: Path) -> None:
    judge = {"backend": "openai", "base_url": f"{llama_url()}/v1", "model": "smollm2", "prompt": "score/integer"}
    judged(shared_data, tmp_path, judge | {"max_new_tokens": 8, "control_items": 0})


def test_the_ollama_dialect_over_the_real_model(shared_data: Path, tmp_path: Path) -> None:
    """The server is an emulation: it speaks Ollama's native dialect over the same model under llama.cpp."""
    with OllamaEmulation(Llama(llama_url())) as server:
        judge = {"preset": "book", "host": server.url, "num_ctx": 1024, "max_new_tokens": 8, "control_items": 0}
        judged(shared_data, tmp_path, judge)
