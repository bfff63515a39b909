"""A folder with items, stored answers and a config, as the commands find it."""

import json

import pytest

ITEMS = [
    {"instruction": f"Say {word}.", "output": word, "model_response": word if n % 2 else "?"}
    for n, word in enumerate("abcdef")
]
CONFIG = """\
name: stored
data: {path: items.json}
models:
  mine: {backend: responses, path: items.json}
metrics:
  exact: {type: exact_match}
reports: [json]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "items.json").write_text(json.dumps(ITEMS))
    (tmp_path / "judgekit.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path
