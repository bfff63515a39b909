"""Whole runs with a judge on an emulated Ollama server, by the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from judgekit.cli import execute
from ollama_emulation import OllamaEmulation, Script, Spoken

SUPPORT = Path(__file__).parents[1] / "support"
CONFIG = """\
name: capitals
data: {loader: instructions, path: items.json}
models:
  ours: {backend: responses, path: items.json, field: model_response}
judges:
  main: JUDGE
metrics:
  quality: {type: score, judge: main}
reports: [json]
"""
ITEMS = [
    {"instruction": f"Name the capital of {land}.", "input": "", "output": city, "model_response": answer}
    for land, city, answer in [
        ("France", "Paris", "Paris"),
        ("Japan", "Tokyo", "It is Tokyo. " * 120),
        ("Peru", "Lima", "Lima"),
    ]
]


@pytest.fixture
def judged(tmp_path, capsys):
    """Runs a judge on the items → (exit code, record, rows by item, output)."""

    def run(server, **judge):
        options = {"backend": "ollama", "model": "llama3", "host": server.url, "retries": 0, "control_items": 0}
        (tmp_path / "items.json").write_text(json.dumps(ITEMS))
        (tmp_path / "judgekit.yaml").write_text(CONFIG.replace("JUDGE", json.dumps(options | judge)))
        places = ["-o", str(tmp_path / "runs"), "--home", str(tmp_path / "home")]
        code = execute(["run", str(tmp_path / "judgekit.yaml"), *places, "-j", "1"])
        output = "".join(capsys.readouterr())
        records = list(tmp_path.glob("runs/*/record.json"))
        rows = [json.loads(line) for path in tmp_path.glob("runs/*/rows.jsonl") for line in path.open()]
        return code, json.loads(records[0].read_text()) if records else {}, rows, output

    return run


@pytest.mark.parametrize(
    "server",
    [{}, {"drops": ["truncate", "shift"]}, {"version": "0.12.3"}],
    ids=["refused by the server", "cut by a server behind a gateway", "cut by an old server"],
)
def test_a_truncated_judge_prompt_is_a_truncated_verdict_and_never_a_score(judged, server):
    """The second item's prompt does not fit; the server says 85 to whatever it has read."""
    with OllamaEmulation(Script("85"), **server) as emulation:
        code, record, rows, _ = judged(emulation, prompt="score/integer", num_ctx=340)
    assert code == 0
    assert [row["status"] for row in rows] == ["scored", "truncated", "scored"]
    assert [row["value"] for row in rows] == [85.0, None, 85.0]
    assert record["estimates"][0]["counts"] == {"scored": 2, "truncated": 1}
    assert "num_ctx" in rows[1]["verdicts"][0]["detail"]


def test_weights_pulled_anew_during_a_run_are_an_error_and_between_runs_another_judge(judged):
    def pulled(*_):
        emulation.pulled = "anew"
        return "85"

    with OllamaEmulation(Script(pulled)) as emulation:
        code, _, _, output = judged(emulation, prompt="score/integer")
        assert code == 4
        assert "judges.main: its server serves another model than when the run began (digest was" in output
        asked = len(emulation.calls)
        code, _, rows, _ = judged(emulation, prompt="score/integer")
        assert (code, {row["status"] for row in rows}) == (0, {"scored"})
        assert len(emulation.calls) > asked + 3, "the replies of the other weights are not taken"


def test_a_prompt_read_by_probabilities_is_not_scored_where_it_was_cut(judged):
    with OllamaEmulation(Script("Yes"), drops=["truncate"]) as emulation:
        _, _, rows, _ = judged(emulation, prompt="score/yes_no", num_ctx=340)
    assert [row["status"] for row in rows] == ["scored", "truncated", "scored"]


def test_the_record_names_the_servers_version_and_the_models_digest(judged):
    with OllamaEmulation(Script("Yes")) as emulation:
        code, record, rows, _ = judged(emulation, prompt="score/yes_no")
    identity = record["identities"]["judges.main"]
    assert (identity["version"], len(identity["digest"])) == ("0.33.0", 64)
    assert code == 0
    assert {row["status"] for row in rows} == {"scored"}
    assert {chat["top_logprobs"] for chat in emulation.chats} == {20}


def test_log_probabilities_that_do_not_come_end_the_run(judged):
    with OllamaEmulation(Script("Yes"), version="0.12.4") as emulation:
        code, record, _, output = judged(emulation, prompt="score/yes_no")
    assert (code, record, emulation.chats) == (4, {}, [])
    assert "judges.main: the prompt is read by log-probabilities, which Ollama gives from 0.12.11 on" in output
    with OllamaEmulation(Script("Yes"), drops=["logprobs"]) as emulation:
        code, _, rows, output = judged(emulation, prompt="score/yes_no")
    assert (code, rows, len(emulation.chats)) == (4, [], 1)
    assert "Ollama gives them from 0.12.11 on, this is 0.33.0" in output


def test_log_probabilities_of_a_stubborn_thinker_are_read_from_its_answer(judged):
    spoken = Spoken("Yes", thinking="No, or rather: Yes? No.")
    with OllamaEmulation(Script(lambda *_: spoken), thinks=True, stubborn=True) as emulation:
        _, _, rows, _ = judged(emulation, prompt="score/yes_no")
    assert {row["status"] for row in rows} == {"scored"}
    assert {row["value"] for row in rows} == {rows[0]["value"]} != {0.0}


def test_doctor_by_the_command_line_against_a_server_of_its_own():
    script = [sys.executable, str(SUPPORT / "ollama_emulation.py"), "--reply", "85"]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().strip().removeprefix("http://127.0.0.1")
            environment = {**os.environ, "OLLAMA_HOST": f' "{address}/" ', "NO_COLOR": "1"}
            asked = [[], ["--set", "model=mistral"]]
            good, bad = (
                subprocess.run(
                    [sys.executable, "-m", "judgekit", "doctor", "ollama", *options],
                    capture_output=True,
                    text=True,
                    env=environment,
                )
                for options in asked
            )
        finally:
            server.terminate()
    assert good.stdout.splitlines() == [
        f"ok  server: http://127.0.0.1{address} answers",
        "ok  version: 0.33.0",
        "ok  model: llama3, digest 5a5947544aa8",
        "ok  context length: 8192 by the model, num_ctx is 4096",
        "ok  JSON schema: offered",
        "ok  log-probabilities: given with a reply of one token",
        "ollama: nothing amiss",
    ]
    assert good.returncode == 0
    assert bad.stdout.splitlines()[-1] == "BAD model: Ollama has no model 'mistral': get it with `ollama pull mistral`"
    assert bad.returncode == 4
