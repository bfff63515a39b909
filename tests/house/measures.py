"""The house in numbers: what a reader has to take in. `python tests/house/measures.py` prints the table.

Measured on the source of the installed package: no import, no run. A room is a package of judgekit, or a module beside
the packages (the kernel).
"""

from __future__ import annotations

import ast
import graphlib
import importlib.util
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

DOORS = ("judgekit", "judgekit.data", "judgekit.judging", "judgekit.statistics", "judgekit.testing")


class Import(NamedTuple):
    """One import of a module of judgekit: by which module, of which, and whether it stands inside a function."""

    by: str
    of: str
    inside: bool


@cache
def core() -> Path:
    spec = importlib.util.find_spec("judgekit")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@cache
def modules() -> dict[str, Path]:
    """Every module of the core by its dotted name; folders of templates, which a wheel puts below it, are left out."""
    found = {}
    for path in sorted(core().rglob("*.py")):
        parts = path.relative_to(core()).with_suffix("").parts
        if parts[0] not in ("prompts", "reports"):
            found[".".join(("judgekit", *parts)).removesuffix(".__init__")] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


@cache
def imports() -> tuple[Import, ...]:
    """Every import between modules of the core, those inside functions too, those under TYPE_CHECKING not."""
    return tuple(one for module, path in modules().items() for one in _imports(module, path))


def _imports(module: str, path: Path) -> Iterator[Import]:
    typing_only, inside = set(), set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing_only |= {id(inner) for inner in ast.walk(node)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree(path)):
        if id(node) in typing_only:
            continue
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "judgekit":
            names = [
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in modules() else str(node.module)
                for alias in node.names
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "judgekit"]
        yield from (Import(module, name, id(node) in inside) for name in dict.fromkeys(names) if name != module)


def ring() -> list[str]:
    """Modules that import one another in a circle, the first also at the end; none if there is no such circle."""
    before: dict[str, set[str]] = {module: set() for module in modules()}
    for one in imports():
        if one.of != "judgekit":  # the root resolves its names on first use
            before[one.by].add(one.of)
    try:
        graphlib.TopologicalSorter(before).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def to_read(module: str) -> int:
    """Lines of the module and of all that it imports, directly and through others."""
    seen, ahead = {module}, [module]
    while ahead:
        by = ahead.pop()
        for one in imports():
            if one.by == by and one.of not in seen:
                seen.add(one.of)
                ahead.append(one.of)
    return sum(lines(modules()[name]) for name in seen)


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def top_level() -> int:
    """Modules and packages directly in judgekit/."""
    return len({path.relative_to(core()).parts[0] for path in modules().values()})


def fullest() -> dict[str, int]:
    """Modules by package."""
    return Counter(str(path.parent.relative_to(core())) for path in modules().values())


def functions() -> Iterator[tuple[str, int, int]]:
    """(where, lines, parameters) of every function."""
    for module, path in modules().items():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                one = node.args
                count = len(one.posonlyargs) + len(one.args) + len(one.kwonlyargs)
                first = (one.posonlyargs + one.args)[:1]
                count -= bool(first and first[0].arg in ("self", "cls"))
                yield f"{module}.{node.name}", (node.end_lineno or 0) - node.lineno + 1, count


def names_of(door: str) -> dict[str, str]:
    """The public names of a door, each with the module that it is defined in."""
    stub = core().joinpath(*door.split(".")[1:], "__init__.pyi")
    nodes = [node for node in tree(stub).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in nodes for alias in node.names}


def main() -> None:
    by_package = fullest()
    longest = max(functions(), key=lambda one: one[1])
    widest = max(functions(), key=lambda one: one[2])
    largest = max(modules().values(), key=lines)
    product = sum(lines(path) for module, path in modules().items() if room(module) != "testing")
    table = [
        ("modules and packages directly in judgekit/", top_level()),
        ("modules by package", ", ".join(f"{name} {count}" for name, count in sorted(by_package.items()))),
        ("lines of the core without testing/", product),
        ("largest file", f"{lines(largest)} {largest.relative_to(core())}"),
        ("longest function", f"{longest[1]} {longest[0]}"),
        ("widest signature", f"{widest[2]} {widest[0]}"),
        ("lines to read for cli.run", to_read("judgekit.cli.run")),
        ("own imports inside functions", sum(one.inside for one in imports())),
        ("ring of imports", ring()),
        ("names at the root", len(names_of("judgekit"))),
    ]
    for name, value in table:
        print(f"{name:<50} {value}")


if __name__ == "__main__":
    main()
