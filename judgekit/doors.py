"""Doors: packages whose names are public. A stub beside `__init__.py` lists them, for type checkers and readers;
they are resolved on first use, so that importing a door loads nothing."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def open_door(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's `__getattr__`, `__dir__` and `__all__`, from the imports in its stub (`__init__.pyi`)."""
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text("utf-8"))
    home = {alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    names = sorted(home)

    def resolve(name: str) -> Any:
        module = home.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(module), name)
        setattr(sys.modules[package], name, value)
        return value

    return resolve, lambda: names, names
