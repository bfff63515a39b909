"""The name that judgekit is installed by: on the package index `judgekit` and `judgekit-eval` are other projects."""

from __future__ import annotations

import html
import importlib.metadata
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import judgekit
from judgekit.text import DISTRIBUTION

FOREIGN = ("judgekit", "judgekit-eval")
BINARY = {".gguf", ".gz", ".parquet", ".png", ".pyc", ".safetensors", ".sqlite", ".zip"}
SKIPPED = {".git", ".hypothesis", ".judgekit", ".venv", "__pycache__", "build", "dist", "runs"}
SKIPPED |= {f".{tool}_cache" for tool in ("mypy", "pytest", "ruff")}
COMMAND = re.compile(r"\bpip\b[^\n]*?\binstall\b([^\n`;|&<]*)")
REQUIREMENT = re.compile(r"""["']([\w.-]+)(?:\[[\w, .-]+\] *["']|\[[\w, .-]+\] *[<>=!~@]| *[<>=!~]=)""")
DEPENDENCIES = re.compile(r"^dependencies = \[(.*?)\]$", re.MULTILINE | re.DOTALL)


def normalised(name: str) -> str:
    """The name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named(word: str) -> str:
    """The project that a word of an install command or a requirement names, if it names one."""
    found = re.match(r"[A-Za-z0-9][\w.-]*", word.strip("\"'(,.)"))
    return normalised(found[0]) if found else ""


def foreign(text: str) -> list[str]:
    """What a text says that would install another project."""
    text = html.unescape(text)
    commands = [word for command in COMMAND.findall(text) for word in command.partition(" #")[0].split()]
    required = [word for listed in DEPENDENCIES.findall(text) for word in listed.split(",")]
    words = [*commands, *(word.strip() for word in required), *REQUIREMENT.findall(text)]
    return [word for word in words if named(word) in FOREIGN]


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for path in (Path(root) / name for name in files):
            if path.suffix not in BINARY:
                yield path, path.read_text("utf-8")


@pytest.fixture(scope="module")
def project(checkout: Path) -> dict[str, Any]:
    return tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("name", [*FOREIGN, "Judgekit_Eval"])
@pytest.mark.parametrize(
    "line",
    [
        "pip install {}",
        "run `pip install '{}[hf]'`, then go on",
        "python -m pip --quiet install --upgrade pytest {}",
        "pip install &#39;{}[all]==0.1.0&#39;",
        '["-m", "pip", "install", "{}"]',
        'all = ["{}[gpt2]"]',
        'dependencies = ["numpy", "{}"]',
        "needs = '{}>=0.1'",
    ],
)
def test_what_would_install_another_project_is_seen(line: str, name: str) -> None:
    assert len(foreign(line.format(name))) >= 1
    assert not foreign(line.format(DISTRIBUTION))
    assert not foreign(line.format("judgekit-shout"))


def test_nothing_here_installs_another_project(checkout: Path) -> None:
    seen = dict(texts(checkout))
    assert {checkout / name for name in ("README.md", "pyproject.toml", "examples/ci/.gitlab-ci.yml")} <= set(seen)
    wrong = {str(path.relative_to(checkout)): said for path, text in seen.items() if (said := foreign(text))}
    assert not wrong


def test_the_constant_is_the_project_that_is_installed(project: dict[str, Any]) -> None:
    assert project["name"] == DISTRIBUTION == normalised(DISTRIBUTION)
    assert DISTRIBUTION not in FOREIGN
    assert project["version"] == judgekit.__version__ == importlib.metadata.version(DISTRIBUTION)


def test_hints_name_the_project_and_extras_that_it_has(checkout: Path, project: dict[str, Any]) -> None:
    assert judgekit.install_hint("hf") == f"pip install '{project['name']}[hf]'"
    extras = set(project["optional-dependencies"])
    hinted = set()
    for path, text in texts(checkout):
        hinted |= set(re.findall(r"""install_hint\(["']([^"']+)["']\)""", text))
        for listed in re.findall(rf"{DISTRIBUTION}\[([\w, -]+)\]", text):
            assert set(listed.split(",")) <= extras, path
        if path.suffix == ".py" and path.relative_to(checkout).parts[0] in ("judgekit", "plugins"):
            assert DISTRIBUTION not in text or path.name == "text.py", f"{path}: say it by install_hint"
    assert {"hf"} <= hinted <= extras


def test_wheels_are_called_what_the_build_calls_them(checkout: Path) -> None:
    wheel = f"{DISTRIBUTION.replace('-', '_')}-*.whl"
    for name in ("README.md", "examples/ci/.gitlab-ci.yml", "examples/ci/.github/workflows/judge.yml"):
        found = re.findall(r"[\w*-]+\.whl", (checkout / name).read_text("utf-8"))
        assert found, name
        assert set(found) == {wheel}, name
