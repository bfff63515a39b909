"""Outlets of the gate's verdict besides the terminal: files for CI systems, and GitHub's own places.

Each file is made by the reporter of that name. A file of an earlier gate is taken away first,
so that no CI system reads an old pass; where the gate ends in an error, the files say so.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from judgekit.errors import Interrupted, JudgekitError
from judgekit.files import storage_errors, write_atomically
from judgekit.plugins import Catalogue, aside, blocked_by_environment, build_manager

if TYPE_CHECKING:
    from judgekit.results import Gate, RunView

# Option → (reporter, help).
FILES = {
    "junit": ("junit", "JUnit XML: failure = quality, error = everything else that is no pass."),
    "junit_items": ("junit-items", "The same, with a case for every item."),
    "markdown": ("markdown", "A summary under 60 KB."),
    "gitlab": ("gitlab", "GitLab's code quality report."),
    "openmetrics": ("openmetrics", "OpenMetrics text, for GitLab's metrics report."),
    "summary": ("json", "summary.json."),
}


@dataclass(frozen=True)
class Outlets:
    """`files`: the path of each reporter's document. `github`: auto follows the environment."""

    files: Mapping[str, Path]
    github: str = "auto"

    @contextmanager
    def told(self, view: RunView) -> Iterator[Callable[[Gate], None]]:
        """Write the gate given to the block when it ends, or the error raised in it."""
        gates: list[Gate] = []
        try:
            yield gates.append
        except Interrupted:
            raise
        except JudgekitError as error:
            self.write(_with(view, None, str(error)))
            raise
        self.write(_with(view, gates[0] if gates else view.record.gate, ""))

    def clear(self) -> None:
        """Remove the files of an earlier gate. Raises StorageError."""
        for path in self.files.values():
            with storage_errors(path):
                path.unlink(missing_ok=True)

    def write(self, view: RunView) -> None:
        """Raises StorageError; PluginError where a reporter was blocked that is needed."""
        actions = os.environ.get("GITHUB_ACTIONS") == "true"
        annotated = self.github == "always" or (self.github == "auto" and actions)
        summary = os.environ.get("GITHUB_STEP_SUMMARY", "") if self.github != "never" else ""
        if not (self.files or annotated or summary):
            return
        catalogue = Catalogue(build_manager(block=blocked_by_environment()))

        def made(reporter: str) -> bytes:
            with aside():
                (content,) = dict(catalogue.get("reporters", reporter)(view, [])).values()
            return bytes(content)

        for reporter, path in self.files.items():
            write_atomically(path, made(reporter))
        if annotated:
            click.echo(made("github").decode(), nl=False, err=True)  # stderr: GitHub reads both, and stdout may be JSON
        if summary:
            _append(Path(summary), made("markdown"))


def _with(view: RunView, gate: Gate | None, trouble: str) -> RunView:
    from dataclasses import replace

    return replace(view, record=view.record.model_copy(update={"gate": gate, "gate_trouble": trouble}))


def _append(path: Path, content: bytes) -> None:
    """Append: a step's summary is shared by all its commands."""
    with storage_errors(path), path.open("ab") as file:
        file.write(content + b"\n")


def outlets(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets them as one argument, `outlets`."""

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        files = {reporter: given.pop(f"{option}_file") for option, (reporter, _) in FILES.items()}
        chosen = {reporter: path for reporter, path in files.items() if path is not None}
        github = given.pop("github")
        return function(**given, outlets=Outlets(chosen, github))

    kind = click.Path(path_type=Path, dir_okay=False)
    wrapped = click.option(
        "--github",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Annotations, and the summary to $GITHUB_STEP_SUMMARY; auto: in GitHub's own environment.",
    )(command)
    for option, (_, text) in reversed(FILES.items()):
        names = (f"--{option.replace('_', '-')}", f"{option}_file")
        wrapped = click.option(*names, type=kind, metavar="FILE", help=text)(wrapped)
    return wrapped
