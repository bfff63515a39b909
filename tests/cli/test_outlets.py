"""`judgekit gate` and `judgekit run` as a CI job starts them: files, annotations, summaries, exit codes; offline."""

import json
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml

from judgekit.cli import execute
from judgekit.testing import ChatServer, closed_port

CONFIG = """\
name: stored
data: {path: items.json}
models: {mine: {backend: responses, path: items.json}}
metrics: {exact: {type: exact_match}}
reports: [json, junit]
"""
JUDGED = """\
name: judged
data: {path: items.json}
models: {mine: {backend: responses, path: items.json}}
judges:
  main: {backend: openai, base_url: "URL", model: m, prompt: score/integer, max_new_tokens: 8, control_items: 0,
         retries: 0}
metrics: {quality: {type: score, judge: main}}
reports: [json, junit]
"""
FILES = {"junit": "j.xml", "junit-items": "ji.xml", "markdown": "m.md", "gitlab": "g.json", "openmetrics": "m.txt",
         "summary": "s.json"}  # fmt: skip
OPTIONS = [part for option, file in FILES.items() for part in (f"--{option}", file)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    answers(tmp_path, 20)
    (tmp_path / "judgekit.yaml").write_text(CONFIG)
    return tmp_path


def answers(folder, right):
    items = [
        {"id": f"i{n}", "instruction": f"Say w{n}.", "output": f"w{n}", "model_response": f"w{n}" if n < right else "?"}
        for n in range(40)
    ]
    (folder / "items.json").write_text(json.dumps(items))


def run(*args):
    return execute(["run", "--progress", "none", *args])


def latest(here):
    return str(max((here / "runs").iterdir(), key=lambda path: path.stat().st_mtime))


def results(path):
    return [result for suite in JUnitXml.fromfile(str(path)) for case in suite for result in case.result]


@pytest.mark.parametrize(("least", "code", "kinds"), [("0.2", 0, []), ("0.9", 1, [Failure]), ("0.5", 3, [Error])])
def test_the_gate_writes_every_file(here, least, code, kinds):
    assert run() == 0
    assert execute(["gate", latest(here), "--min", least, *OPTIONS]) == code
    assert [type(result) for result in results(here / "j.xml")] == kinds
    assert len(list(JUnitXml.fromfile(str(here / "ji.xml")))) == 2
    outcome = {0: "PASS", 1: "FAIL", 3: "INCONCLUSIVE"}[code]
    assert outcome in (here / "m.md").read_text("utf-8").splitlines()[0]
    assert len(json.loads((here / "g.json").read_text())) == len(kinds)
    assert (here / "m.txt").read_text().endswith("# EOF\n")
    assert json.loads((here / "s.json").read_text())["gate"]["outcome"] == outcome


def test_a_baseline_of_another_instrument_is_an_error_in_every_file(here):
    run()
    assert execute(["baseline", "set", latest(here), "b.json"]) == 0
    assert execute(["gate", latest(here), "--baseline", "b.json", "--margin", "0.4", *OPTIONS]) == 0
    baseline = json.loads((here / "b.json").read_text())
    baseline["metrics"]["exact"]["instrument"] = {"metric type": "another"}
    (here / "b.json").write_text(json.dumps(baseline))
    assert execute(["gate", latest(here), "--baseline", "b.json", "--margin", "0.4", *OPTIONS]) == 2
    (error,) = results(here / "j.xml")
    assert isinstance(error, Error)
    assert "metric type" in error.text
    assert (here / "m.md").read_text("utf-8").startswith("## 🛑 ERROR")
    assert json.loads((here / "s.json").read_text())["gate"] is None


def test_no_earlier_pass_is_left_where_there_is_no_run(here):
    (here / "j.xml").write_text("<testsuites/>")
    assert execute(["gate", "runs/none", "--min", "0.5", *OPTIONS]) == 2
    assert not (here / "j.xml").exists()


def test_github_gets_annotations_and_a_summary_by_itself(here, monkeypatch, capfd):
    run()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "step.md"))
    assert execute(["gate", latest(here), "--min", "0.9", "--json"]) == 1
    assert (here / "step.md").read_text("utf-8").startswith("## ❌ FAIL")
    assert "::error" not in capfd.readouterr().err, "not in GitHub Actions"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (here / "step.md").write_text("what another step wrote\n")
    assert execute(["gate", latest(here), "--min", "0.9", "--json"]) == 1
    out, err = capfd.readouterr()
    assert json.loads(out)["outcome"] == "FAIL", "stdout is still JSON"
    assert err.splitlines()[-1].startswith("::error title=FAIL")
    assert (here / "step.md").read_text("utf-8").startswith("what another step wrote\n## ❌ FAIL")
    (here / "step.md").unlink()
    assert execute(["gate", latest(here), "--min", "0.9", "--github", "never"]) == 1
    assert "::error" not in capfd.readouterr().err
    assert not (here / "step.md").exists()


def test_a_run_with_a_gate_tells_github_and_one_without_does_not(here, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "step.md"))
    assert run() == 0
    assert not (here / "step.md").exists()
    assert run("--set", "gate={exact: {min: 0.9}}") == 1
    assert (here / "step.md").read_text("utf-8").startswith("## ❌ FAIL")
    (failure,) = results(Path(latest(here)) / "junit.xml")
    assert isinstance(failure, Failure)


def test_a_judge_that_dies_is_an_error_and_no_judge_at_all_is_no_run(here):
    items = json.loads((here / "items.json").read_text())
    del items[3]["model_response"]
    (here / "items.json").write_text(json.dumps(items))
    assert run("--set", "gate={exact: {min: 0.9}}") == 3, "an incomplete run is no regression"
    kinds = {type(result) for result in results(Path(latest(here)) / "junit.xml")}
    assert kinds == {Error}
    (here / "dead.yaml").write_text(JUDGED.replace("URL", f"http://127.0.0.1:{closed_port()}/v1"))
    assert run("dead.yaml") == 4


def test_a_file_that_cannot_be_written_is_a_storage_error(here, capsys):
    run()
    (here / "file").write_text("")
    assert execute(["gate", latest(here), "--min", "0.2", "--junit", "file/j.xml"]) == 6
    assert "cannot be written" in capsys.readouterr().err


# --- offline ----------------------------------------------------------------------------------------------------------


def test_offline_the_ledger_answers_and_the_server_is_not_needed(here, capsys):
    with ChatServer() as server:
        (here / "judgekit.yaml").write_text(JUDGED.replace("URL", server.url))
        assert run("--offline") == 3
        assert "offline: no reply to " in capsys.readouterr().err
        assert not server.counts()
        assert run() == 0
    record = (Path(latest(here)) / "record.json").read_bytes()
    assert run("--offline") == 0
    assert "0 calls made" in capsys.readouterr().out
    assert (Path(latest(here)) / "record.json").read_bytes() == record
    answers(here, 10)
    assert run("--offline") == 3, "other answers were never judged"
    assert run("--offline", "--fresh") == 2
