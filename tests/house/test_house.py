"""The house's own rules: imports flow one way, every folder is shipped, and the public names are what is visible."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from judgekit.text import DISTRIBUTION
from measures import (
    DOORS,
    core,
    fullest,
    functions,
    imports,
    lines,
    modules,
    names_of,
    ring,
    room,
    to_read,
    top_level,
    tree,
)
from sample_path import returns, sample_path

# A room imports only rooms above it: first the kernel, which everyone may import, then the packages.
DIRECTION = [
    *("doors", "text", "errors", "secrets", "records", "thoughts", "files", "results", "contracts"),
    *("hookspecs", "plugins", "run_folder"),
    *("prompting", "statistics", "data", "config", "judging", "regression", "agreement"),
    *("calls", "pipeline", "testing", "api", "cli", "__main__"),
]
GROUPS = ("judgekit", "pytest11")  # of entry points: judgekit's plugins, and the one for pytest
HTTP = {"judgekit.calls.http", "judgekit.calls.deadlines", "judgekit.data.downloads"}
LARGE = {"cli": 30, "statistics": 30}  # many small files, each about one command or one method


def test_a_room_imports_only_rooms_above_it() -> None:
    unknown = {room(module) for module in modules()} - {*DIRECTION, "judgekit"}
    assert not unknown, "rooms that the list above does not know"
    wrong = [
        f"{one.by} imports {one.of}"
        for one in imports()
        if one.by not in DOORS and room(one.of) != "judgekit"
        if room(one.by) != room(one.of) and DIRECTION.index(room(one.of)) >= DIRECTION.index(room(one.by))
    ]
    assert not wrong


def test_a_door_opens_onto_its_own_room_and_those_above() -> None:
    wrong = [
        f"{door} exports {name} of {home}"
        for door in DOORS[1:]
        for name, home in names_of(door).items()
        if DIRECTION.index(room(home)) > DIRECTION.index(room(door))
    ]
    assert not wrong


def test_no_ring_of_imports() -> None:
    assert not ring()


def test_a_house_that_one_can_take_in() -> None:
    """The figures that `python tests/house/measures.py` prints, with their limits."""
    assert top_level() <= 26
    crowded = {package: count for package, count in fullest().items() if count > LARGE.get(package, 18)}
    assert not crowded
    assert not [f"{module}: {lines(path)} lines" for module, path in modules().items() if lines(path) > 450]
    assert not [f"{where}: {length} lines" for where, length, _ in functions() if length > 60]
    assert not [f"{where}: {count} parameters" for where, _, count in functions() if count > 10]
    assert sum(lines(path) for module, path in modules().items() if room(module) != "testing") <= MOST_LINES
    assert sum(one.inside for one in imports()) <= 140
    assert to_read("judgekit.cli.run") <= MOST_TO_READ


MOST_LINES = 23_384  # the aim is 20,200
MOST_TO_READ = 18_800  # the aim is 12,000


def test_a_samples_way_is_straight(tmp_path: Path) -> None:
    rooms = sample_path(tmp_path)
    assert set(rooms) == {"pipeline", "prompting", "calls"}
    assert returns(rooms) <= 3, " → ".join(rooms)


def test_only_calls_and_downloads_speak_http() -> None:
    for module, path in modules().items():
        if module not in HTTP:
            text = path.read_text("utf-8")
            assert "import httpx" not in text, path
            assert "import httpcore" not in text, path


def test_texts_are_cut_at_one_place() -> None:
    """secrets.shortened scrubs first. Hashes may be cut anywhere."""
    cut = re.compile(r"\[: ?\w+( - \d)?\](\}|\)? \+ \")…")
    for folder in (core(), *(Path(__import__(name).__file__ or "").parent for name in plugin_packages())):
        for path in folder.rglob("*.py"):
            if path.name == "secrets.py":
                continue
            for line in path.read_text("utf-8").splitlines():
                assert not cut.search(line.replace("[:12]", "")), f"{path.name}: {line}"


@pytest.mark.parametrize("door", DOORS)
def test_what_a_door_exports_is_what_is_visible(door: str) -> None:
    package = importlib.import_module(door)
    assert package.__all__ == sorted(names_of(door))
    assert dir(package) == package.__all__
    for name, home in names_of(door).items():
        assert getattr(package, name) is getattr(importlib.import_module(home), name)
        assert f"{door}.{name}" not in modules(), f"a module {door}.{name} would take the name's place"
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        package.Nonsense  # noqa: B018


def test_the_root_is_small_enough_to_learn() -> None:
    assert len(names_of("judgekit")) <= 75


def test_plugins_import_only_public_names(checkout: Path) -> None:
    """Tested on the installed packages, so that it holds for the wheel too."""
    public = {door: set(names_of(door)) | {"__version__"} for door in DOORS}
    for name in plugin_packages():
        folder = Path(__import__(name).__file__ or "").parent
        for path in folder.glob("*.py"):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "judgekit":
                    assert node.module in DOORS, f"{path} imports from {node.module}"
                    private = {alias.name for alias in node.names} - public[node.module]
                    assert not private, f"{path} imports {private} from {node.module}"
                elif isinstance(node, ast.Import):
                    packages = [alias.name for alias in node.names if alias.name.split(".")[0] == "judgekit"]
                    assert set(packages) <= set(DOORS), f"{path} imports {packages}"
                elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in DOORS:
                    door = ast.unparse(node.value)
                    assert node.attr in public[door] or f"{door}.{node.attr}" in DOORS, f"{path}: {door}.{node.attr}"


def plugin_packages() -> list[str]:
    points = [point for group in GROUPS for point in importlib.metadata.entry_points(group=group)]
    return sorted(point.value for point in points if point.dist is not None and point.dist.name == DISTRIBUTION)


def test_folders_are_packages_are_entry_points(checkout: Path) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))
    shipped = set(project["tool"]["setuptools"]["packages"])
    points = {package for group in GROUPS for package in project["project"]["entry-points"][group].values()}
    assert {name for name in shipped if name.startswith("judgekit_")} == points == set(plugin_packages())
    folders = {f"judgekit.{path.name}" for path in core().iterdir() if (path / "__init__.py").is_file()}
    assert {"judgekit", "judgekit.prompts", "judgekit.reports", *folders} == shipped - points
    if (checkout / "plugins").is_dir():  # away from the checkout, the installed wheel is what is tested
        assert {
            path.name for path in (checkout / "plugins").iterdir() if path.is_dir() and path.name != "__pycache__"
        } == points


def test_help_is_light() -> None:
    heavy = {"torch", "scipy", "numpy", "httpx", "httpcore", "pydantic", "transformers", "rich"}
    code = (
        "import sys\nfrom judgekit.cli import execute\nassert execute(['--help']) == 0\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
