"""Contract tests for reporters, for sections of reports, and for commands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import click
from click.testing import CliRunner

from judgekit.results import RunView, Section
from judgekit.secrets import one_line
from judgekit.testing.contract import Contract, must, silent
from judgekit.testing.stored_runs import sample_run


class _OfRuns(Contract):
    """Tests of what is a function of a finished run. The run is a small one; override `run` to give another."""

    def run(self, where: Path) -> RunView:
        return sample_run(where)


class ReporterContract(_OfRuns):
    """Tests that every reporter passes: `make` is its function, of a run and its sections."""

    def test_files_are_bytes_by_name(self, tmp_path: Path) -> None:
        files = self._files(self.run(tmp_path))
        must(bool(files), "it writes no file")
        for name, content in files.items():
            path = PurePosixPath(name)
            fine = bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name
            must(fine, f"{name!r} is no name of a file within the run's folder")
            must(isinstance(content, bytes), f"{name} is {type(content).__name__}: encode it to bytes")

    def test_the_same_run_gives_the_same_bytes(self, tmp_path: Path) -> None:
        run = self.run(tmp_path)
        must(self._files(run) == self._files(run), "a second report of the same run differs: leave out clocks and sets")

    def _files(self, run: RunView) -> dict[str, Any]:
        with silent("the reporter"):
            given = type(self).make(run, [])
            return dict(given.items() if isinstance(given, Mapping) else given)


class SectionContract(_OfRuns):
    """Tests that what a plugin adds to reports passes: `make` is its hook, a function of the run."""

    def test_sections_are_sections(self, tmp_path: Path) -> None:
        for section in self._sections(self.run(tmp_path)):
            must(isinstance(section, Section), f"it gives judgekit.Section, not {one_line(repr(section), 80)}")
            must(bool(section.title.strip()), "a section has a title")
            if section.chart is not None:
                json.dumps(section.chart)
                must(section.table is not None, f"{section.title!r}: a chart has its table, for who cannot see it")

    def test_the_same_run_gives_the_same_sections(self, tmp_path: Path) -> None:
        run = self.run(tmp_path)
        must(self._sections(run) == self._sections(run), "a second look at the same run gives other sections")

    def _sections(self, run: RunView) -> Sequence[Any]:
        with silent("the hook"):
            return list(type(self).make(run=run))


class CommandsContract(Contract):
    """Tests that what a plugin adds to the command line passes: `make` is its hook, a function of the click group."""

    def test_commands_have_help(self) -> None:
        app = self._app()
        must(bool(app.commands), "it adds no command")
        for path, command in _all(app, ()):
            said = command.help or command.short_help
            must(bool(said), f"`judgekit {' '.join(path)}` has no help: write a docstring")
            done = CliRunner().invoke(app, [*path, "--help"])
            must(done.exit_code == 0, f"`judgekit {' '.join(path)} --help` ends with {done.exit_code}")

    def _app(self) -> click.Group:
        app = click.Group("judgekit")
        with silent("judgekit_commands"):
            type(self).make(app=app)
        return app


def _all(group: click.Group, path: tuple[str, ...]) -> Sequence[tuple[tuple[str, ...], click.Command]]:
    """Every command below the group, with the words that it is called by."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name, command in group.commands.items():
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += _all(command, (*path, name))
    return found
