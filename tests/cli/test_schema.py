"""`judgekit schema`: a JSON schema with the options of every plugin."""

from __future__ import annotations

import json

import pytest

from judgekit.cli import execute


def test_the_schema_knows_plugin_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    judge = schema["$defs"]["JudgeConfig"]
    assert "ollama" in judge["properties"]["backend"]["enum"]
    ollama = next(rule for rule in judge["allOf"] if rule["if"]["properties"]["backend"] == {"const": "ollama"})
    assert "num_ctx" in ollama["then"]["properties"]
