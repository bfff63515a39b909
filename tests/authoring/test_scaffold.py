"""`judgekit plugins new` and `check`: what is written installs, is typed, runs, and passes its contract tests."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import judgekit
from judgekit.cli import execute
from judgekit.testing import check_plugin
from judgekit_authoring.scaffold import PARTS, write_plugin


def run(*command: str, here: Path, paths: list[Path], **environment: str) -> subprocess.CompletedProcess[str]:
    searched = os.pathsep.join(map(str, paths))
    return subprocess.run(
        [sys.executable, "-P", "-m", *command],
        cwd=here,
        env=os.environ | {"PYTHONPATH": searched, "NO_COLOR": "1", "COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin with every part."""
    return write_plugin("judgekit_mine", PARTS, tmp_path_factory.mktemp("new"))


def test_it_installs_is_listed_and_runs(whole: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(whole)]
    subprocess.run(install, check=True, timeout=120)
    listed = run("judgekit", "plugins", here=tmp_path, paths=[target])
    assert "judgekit-mine 0.1.0" in listed.stdout
    (tmp_path / "items.txt").write_text("What is it?\tIt is it.\nAnd that?\tThat too.\n", "utf-8")
    config = {
        "name": "mine",
        "data": {"loader": "mine", "path": "items.txt"},
        "train": {"words": {"trainer": "mine", "path": "items.txt"}},
        "models": {"loud": {"backend": "mine"}},
        "judges": {"stars": {"backend": "mine", "mode": "mine", "control_items": 1}},
        "metrics": {"words": {"type": "mine"}, "rated": {"type": "score", "judge": "stars"}},
        "reports": ["mine", "json"],
    }
    (tmp_path / "judgekit.yaml").write_text(json.dumps(config), "utf-8")
    done = run("judgekit", "run", here=tmp_path, paths=[target])
    assert done.returncode == 3, done.stderr
    assert "not 1 to 5 times ★" in done.stderr + done.stdout, "the loud one is no judge"
    (record,) = (tmp_path / "runs").glob("*/record.json")
    assert "words value loud" in (record.parent / "mine.txt").read_text("utf-8")
    counted = run("judgekit", "mine", str(record.parent), here=tmp_path, paths=[target])
    assert counted.stdout == "4 rows\n"


def test_it_passes_its_own_tests_and_is_typed(whole: Path, checkout: Path) -> None:
    tested = run("pytest", "-q", "-p", "no:cacheprovider", "tests", here=whole, paths=[whole])
    assert tested.returncode == 0, tested.stdout
    if not (checkout / "judgekit").is_dir():
        pytest.skip("typed against the checkout, and this is none")
    sources = os.pathsep.join(map(str, (checkout, checkout / "plugins")))
    typed = run("mypy", "--strict", "judgekit_mine", here=whole, paths=[], MYPYPATH=sources)
    assert typed.returncode == 0, typed.stdout


def test_it_is_checked_without_pytest(whole: Path) -> None:
    checked = run("judgekit", "plugins", "check", "judgekit_mine", here=whole, paths=[])
    assert checked.returncode == 0, checked.stdout
    assert "0 failed of" in checked.stderr
    assert "give `options`: path" in checked.stdout
    source = whole / "judgekit_mine" / "backend.py"
    sound = source.read_text("utf-8")
    try:
        source.write_text(sound.replace("for request in requests]", "for request in requests[1:]]"), "utf-8")
        faulty = run("judgekit", "plugins", "check", "judgekit_mine", here=whole, paths=[])
    finally:
        source.write_text(sound, "utf-8")
    assert faulty.returncode == 2
    assert "generate returns 0 replies" in " ".join(faulty.stdout.split())


@pytest.mark.parametrize("part", PARTS)
def test_each_part_alone(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(write_plugin(f"judgekit_only_{part}", [part], tmp_path)))
    checked = list(check_plugin(importlib.import_module(f"judgekit_only_{part}")))
    assert checked
    assert not [one for one in checked if one.rule.result == "failed"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My-Plugin", "names no package"),
        ("class", "names no package"),
        ("judgekit_metrics", "is taken"),
        ("json", "is taken"),
        ("there", "is there already"),
    ],
)
def test_a_name_that_cannot_be(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(judgekit.UsageError, match=said):
        write_plugin(name, ["backend"], tmp_path)


def test_what_is_no_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "broken_one.py").write_text("import nothing_of_that_name\n")
    for module, said in (
        ("statistics", "statistics is no plugin: no function of it is marked @judgekit.hookimpl"),
        ("nowhere_at_all", "no module is named nowhere_at_all: is it installed, or in this folder?"),
        ("broken_one", "broken_one needs nothing_of_that_name, which is not installed"),
    ):
        assert execute(["plugins", "check", module]) == 2
        assert said in capsys.readouterr().err


def test_a_listing_is_still_a_listing(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["plugins"]) == 0
    assert "judgekit_threads" not in capsys.readouterr().out
    assert execute(["plugins", "--help"]) == 0
    out = capsys.readouterr().out
    assert "new" in out
    assert "check" in out
