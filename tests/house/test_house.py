"""The house's own rules: imports flow one way, every folder is shipped, the public names are what is visible."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import judgekit

# A room imports only rooms above it.
ROOMS = [
    "errors",
    "words",
    "records",
    "contracts",
    "hookspecs",
    "secret",
    "plugins",
    "fields",
    "objects",
    "rouge",
    "instructions",
    "conversations",
    "formats",
    "statistics",
    "spec",
    "templates",
    "chat_templates",
    "styles",
    "verdicts",
    "ledger",
    "deadlines",
    "admission",
    "limits",
    "retries",
    "turns",
    "transport",
    "budget",
    "calling",
    "usage",
    "rehearsal",
    "offline",
    "questions",
    "probabilities",
    "readings",
    "judging",
    "panels",
    "judges",
    "judge_card",
    "pair_card",
    "folder",
    "conversion",
    "downloads",
    "labels",
    "matching",
    "agreement",
    "baseline",
    "comparison",
    "floors",
    "rules",
    "gate",
    "gateplan",
    "gatelog",
    "selfcheck",
    "training",
    "lineage",
    "preparation",
    "asking",
    "rescoring",
    "generating",
    "planning",
    "measuring",
    "pooling",
    "itemwise",
    "redaction",
    "report",
    "run",
    "api",
    "cli",
    "__main__",
]
GROUPS = ("judgekit", "pytest11")  # of entry points: judgekit's plugins, and the one for pytest
# The contract names types of the rooms below it, for readers and type checkers alone.
TYPE_CHECKING_ONLY = {("hookspecs", "spec"), ("plugins", "records"), ("training", "plugins")}


@pytest.fixture(scope="module")
def core() -> Path:
    return Path(judgekit.__file__).parent


def imports_of(path: Path) -> Iterator[str]:
    """Rooms of the core that a file imports when it is loaded or run (not under TYPE_CHECKING)."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "judgekit":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (name.name.split(".")[1] for name in node.names if name.name.startswith("judgekit."))


def test_a_room_imports_only_rooms_above_it(core: Path) -> None:
    wrong = []
    for path in core.rglob("*.py"):
        parts = path.relative_to(core).with_suffix("").parts
        if parts == ("__init__",):
            continue
        room = parts[0]
        if room in ("prompts", "reports"):  # folders of templates, which a wheel puts below the package
            continue
        assert room in ROOMS, f"{path} is a room that the list above does not know"
        for imported in imports_of(path):
            if imported in ("__version__", room, "prompts"):
                continue
            if ROOMS.index(imported) >= ROOMS.index(room):
                wrong.append(f"{room} imports {imported}")
    assert not wrong


def test_only_the_transport_imports_http(core: Path) -> None:
    for path in core.rglob("*.py"):
        text = path.read_text("utf-8")
        # deadlines.py is the transport's clock; downloads.py streams public files to the disk
        if path.name not in ("transport.py", "deadlines.py", "downloads.py"):
            assert "import httpx" not in text, path
            assert "import httpcore" not in text, path


def test_texts_are_cut_at_one_place(core: Path) -> None:
    """secret.shortened scrubs first. Hashes may be cut anywhere."""
    cut = re.compile(r"\[: ?\w+( - \d)?\](\}|\)? \+ \")…")
    for folder in (core, *(Path(__import__(name).__file__ or "").parent for name in plugin_packages())):
        for path in folder.rglob("*.py"):
            if path.name == "secret.py":
                continue
            for line in path.read_text("utf-8").splitlines():
                assert not cut.search(line.replace("[:12]", "")), f"{path.name}: {line}"


def test_plugins_import_only_public_names_of_judgekit(checkout: Path) -> None:
    """Tested on the installed packages, so that it holds for the wheel too."""
    for name in plugin_packages():
        folder = Path(__import__(name).__file__ or "").parent
        for path in folder.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "judgekit":
                    assert node.module == "judgekit", f"{path.name} imports from {node.module}"
                    assert all(alias.name in judgekit.__all__ for alias in node.names), path
                elif isinstance(node, ast.Import):
                    assert not any(alias.name.startswith("judgekit.") for alias in node.names), path
                elif (
                    isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "judgekit"
                ):
                    assert node.attr in judgekit.__all__, f"{path.name} uses judgekit.{node.attr}"


def plugin_packages() -> list[str]:
    points = [point for group in GROUPS for point in importlib.metadata.entry_points(group=group)]
    return sorted(
        point.value for point in points if point.dist is not None and point.dist.name == judgekit.DISTRIBUTION
    )


def test_folders_are_packages_are_entry_points(checkout: Path) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))
    packages = {name for name in project["tool"]["setuptools"]["packages"] if name.startswith("judgekit_")}
    points = {package for group in GROUPS for package in project["project"]["entry-points"][group].values()}
    assert packages == points == set(plugin_packages())
    if (checkout / "plugins").is_dir():  # away from the checkout, the installed wheel is what is tested
        assert {
            path.name for path in (checkout / "plugins").iterdir() if path.is_dir() and path.name != "__pycache__"
        } == packages


def test_every_public_name_resolves_and_none_is_missing() -> None:
    assert judgekit.__all__ == sorted(judgekit.__all__)
    for name in judgekit.__all__:
        assert getattr(judgekit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        judgekit.Nonsense  # noqa: B018


def test_type_checkers_see_the_same_public_names(core: Path) -> None:
    tree = ast.parse((core / "__init__.py").read_text("utf-8"))
    branch = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in branch.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen | {"__version__"} == set(judgekit.__all__)


def test_help_is_light() -> None:
    heavy = {"torch", "scipy", "numpy", "httpx", "httpcore", "pydantic", "transformers", "rich"}
    code = (
        "import sys\nfrom judgekit.cli import execute\nassert execute(['--help']) == 0\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
