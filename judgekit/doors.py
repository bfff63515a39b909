"""Doors: packages whose names are public. A stub beside `__init__.py` lists them, for type checkers and readers;
they are resolved on first use, so that importing a door loads nothing."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

OTHERS = ("data", "judging", "statistics", "testing")  # doors beside the root
# Names that the root had once, for the error of a plugin that was written for them.
RENAMED = {
    "Asker": "Client",
    "Descent": "data.Provenance",
    "Figure": "statistics.AgreementMeasure",
    "Loss": "data.DroppedField",
    "Model": "ModelClient",
    "Moved": "statistics.ItemChange",
    "Place": "statistics.ScoreKey",
    "RunSpec": "RunConfig",
    "Series": "Scale",
    "descents": "data.provenances",
    "variable": "environment_variable",
}
_NOT_IMPORTED = re.compile(r"cannot import name '(\w+)' from 'judgekit'")


def open_door(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's `__getattr__`, `__dir__` and `__all__`, from the imports in its stub (`__init__.pyi`)."""
    home = _homes(Path(file).with_suffix(".pyi"))
    names = sorted(home)

    def resolve(name: str) -> Any:
        module = home.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}{new_name(name)}")
        value = getattr(importlib.import_module(module), name)
        setattr(sys.modules[package], name, value)
        return value

    return resolve, lambda: names, names


def new_name(name: str) -> str:
    """The note "; it is judgekit.X now" for a name that the root had once, else nothing."""
    folder = Path(__file__).parent
    moved = [f"{door}.{name}" for door in OTHERS if name in _homes(folder / door / "__init__.pyi")]
    now = RENAMED.get(name) or next(iter(moved), "")
    return f"; it is judgekit.{now} now" if now else ""


def new_name_of(error: BaseException) -> str:
    """The same note for a failed `from judgekit import NAME` or a hook's argument, whose messages others write."""
    if "Argument(s) {'spec'} are declared" in str(error):
        return "; the argument is `config` now"
    match = _NOT_IMPORTED.search(str(error)) if isinstance(error, ImportError) else None
    return new_name(match[1]) if match else ""


def _homes(stub: Path) -> dict[str, str]:
    """The module that each public name is defined in."""
    nodes = ast.parse(stub.read_text("utf-8")).body
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}
