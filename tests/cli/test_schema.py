"""`judgekit schema`: a JSON schema with the options of every plugin."""

import json

from judgekit.cli import execute


def test_the_schema_knows_plugin_options(capsys):
    assert execute(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    judge = schema["$defs"]["JudgeConfig"]
    assert "ollama" in judge["properties"]["backend"]["enum"]
    ollama = next(rule for rule in judge["allOf"] if rule["if"]["properties"]["backend"] == {"const": "ollama"})
    assert "num_ctx" in ollama["then"]["properties"]
