"""`judgekit plugins new NAME` and `judgekit plugins check MODULE`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import click

import judgekit
from judgekit_authoring.scaffold import PARTS, write_plugin


@click.command("new")
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where its folder goes [default: here].",
)
def new(name: str, into: Path, **parts: bool) -> None:
    """Write a plugin that installs, is typed, and passes its contract tests: a folder NAME with a package of that name.

    Without a choice of what is in it, it has a backend.
    """
    chosen = [part for part in PARTS if parts[part]] or ["backend"]
    folder = write_plugin(name, chosen, into)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            click.echo(path.relative_to(into))
    click.echo(
        f"\nnext: pip install -e {folder} && judgekit plugins check {name} && python -m pytest {folder}", err=True
    )


for _part in reversed(PARTS):
    new = click.option(f"--{_part}", is_flag=True, help=f"With a {_part}.")(new)


@click.command("check")
@click.argument("module")
def check(module: str) -> int:
    """Try what the plugin in MODULE offers by the contract tests, without pytest. Ends with 2 where one fails.

    MODULE is one that can be imported from here, such as `judgekit_mine`. What needs options or files is tried by tests
    of the plugin's own (judgekit.testing.BackendContract and others).
    """
    from judgekit.testing import check_plugin

    failed = 0
    rows = []
    for what, rule in check_plugin(_imported(module)):
        failed += rule.result == "failed"
        rows.append((what, rule.name, rule.result, rule.said))
    judgekit.print_table(module, ("what", "rule", "result", "what to do"), rows)
    click.echo(f"{failed} failed of {judgekit.counted(len(rows), 'rule')}", err=True)
    return 2 if failed else 0


def _imported(name: str) -> ModuleType:
    """The module. Raises UsageError where it cannot be imported."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.split(".")[0] != error.name.split(".")[0]:
            raise judgekit.UsageError(f"{name} needs {error.name}, which is not installed") from error
        raise judgekit.UsageError(f"no module is named {name}: is it installed, or in this folder?") from error
    except Exception as error:
        raise judgekit.UsageError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
