"""The example project, copied and run as a user runs it, with its real embedded judge."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from junitparser import JUnitXml

from judgekit.testing import closed_port
from tables import each

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A copy in which everything was judged once, and the baseline set by this machine's judge."""
    source = Path(__file__).resolve().parents[2] / "examples" / "ci"
    folder = tmp_path_factory.mktemp("example") / "ci"
    shutil.copytree(source, folder)
    committed = json.loads((folder / "baseline.json").read_text())
    (folder / "baseline.json").unlink()
    assert judgekit(folder, "run").returncode == 2, "a gate without its baseline is no pass"
    made = judgekit(folder, "baseline", "set", str(only_run(folder)), "baseline.json")
    assert made.returncode == 0, made.stderr
    mine = json.loads((folder / "baseline.json").read_text())
    for metric in ("quality", "exact"):
        theirs = committed["metrics"][metric]["systems"]["assistant"]["items"]
        assert mine["metrics"][metric]["systems"]["assistant"]["items"] == pytest.approx(theirs, abs=0.5)
        assert mine["metrics"][metric]["dataset"] == committed["metrics"][metric]["dataset"]
    assert run_pytest(folder).returncode == 0, "the score in the tests is in the ledger too"
    shutil.rmtree(folder / "runs")
    return folder


@pytest.fixture
def project(example, tmp_path):
    shutil.copytree(example, tmp_path / "ci")
    return tmp_path / "ci"


def start(folder, *command, **environment):
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=os.environ | environment, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip


def judgekit(folder, *command, **environment):
    return start(folder, "judgekit", *command, **environment)


def run_pytest(folder, *arguments):
    return start(folder, "pytest", "-p", "no:cacheprovider", "--junitxml=pytest.xml", *arguments)


def only_run(folder):
    (found,) = (folder / "runs").iterdir()
    return found.relative_to(folder)


def worsen(folder):
    answers = json.loads((folder / "answers.json").read_text())
    worse = [answer | {"answer": "I do not know."} for answer in answers]
    (folder / "answers.json").write_text(json.dumps(worse))


FILES = ["--junit=junit.xml", "--markdown=summary.md", "--gitlab=codequality.json", "--openmetrics=metrics.txt"]


def gate(folder, **environment):
    return judgekit(folder, "gate", str(only_run(folder)), "--baseline", "baseline.json", *FILES, **environment)


def test_the_same_answers_pass_everywhere_also_offline_and_among_workers(project):
    summary = project / "step.md"
    ran = judgekit(project, "run", GITHUB_STEP_SUMMARY=str(summary))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert summary.read_text("utf-8").startswith("## ✅ PASS")
    assert gate(project).returncode == 0
    suite = JUnitXml.fromfile(str(project / "junit.xml"))
    assert (suite.tests, suite.failures, suite.errors) == (4, 0, 0)
    assert json.loads((project / "codequality.json").read_text()) == []
    assert 'judgekit_gate_pass{metric="quality"' in (project / "metrics.txt").read_text()
    assert run_pytest(project).returncode == 0
    assert run_pytest(project, "--judgekit-offline").returncode == 0
    assert judgekit(project, "run", "--offline").returncode == 0
    found = run_pytest(project, "--judgekit-offline", "-n", "2")
    assert found.returncode == 0, found.stdout
    assert "3 passed" in found.stdout
    assert len(list((project / "runs").iterdir())) == 1


def test_worse_answers_are_a_failure_everywhere(project):
    worsen(project)
    assert judgekit(project, "run").returncode == 1
    found = gate(project, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(project / "step.md"))
    assert found.returncode == 1
    assert found.stderr.count("::error title=FAIL") == 2
    assert (project / "step.md").read_text("utf-8").startswith("## ❌ FAIL")
    suite = JUnitXml.fromfile(str(project / "junit.xml"))
    assert (suite.failures, suite.errors) == (2, 0)
    assert len(json.loads((project / "codequality.json").read_text())) == 2
    tested = run_pytest(project)
    assert tested.returncode == 1
    assert "2 failed, 1 passed" in tested.stdout
    assert "Traceback" not in tested.stdout


def test_another_judge_or_unjudged_answers_are_no_pass(project):
    worsen(project)
    assert judgekit(project, "run", "--offline").returncode == 3
    tested = run_pytest(project, "--judgekit-offline")
    assert tested.returncode == 3, "nothing was shown, so nothing failed"
    assert "1 passed, 2 errors" in tested.stdout
    changed = judgekit(project, "run", "--set", "judges.main.chat=false")
    assert changed.returncode == 2
    assert "baseline" in changed.stderr


def test_a_dead_judge_is_neither_a_failure_nor_a_pass(project):
    config = (project / "judgekit.yaml").read_text()
    url = f"http://127.0.0.1:{closed_port()}/v1"
    dead = f'{{backend: openai, base_url: "{url}", model: gone, retries: 0, control_items: 6}}'
    (project / "judgekit.yaml").write_text(
        config.replace("{backend: transformers, model: smollm2, control_items: 6}", dead)
    )
    assert dead in (project / "judgekit.yaml").read_text()
    assert judgekit(project, "run").returncode == 4
    tested = run_pytest(project)
    assert tested.returncode == 4
    assert "3 errors" in tested.stdout
    suite = JUnitXml.fromfile(str(project / "pytest.xml"))
    assert (suite.failures, suite.errors) == (0, 3)


@each(
    ("vendor.github-workflows", ".github/workflows/judge.yml", ()),
    ("vendor.gitlab-ci", ".gitlab-ci.yml", ("--data-transform", "gitlab-ci")),
)
def test_the_workflow_files_are_what_their_systems_read(schema, file, more, example):
    found = start(example, "check_jsonschema", "--builtin-schema", schema, *more, file)
    assert found.returncode == 0, found.stdout
