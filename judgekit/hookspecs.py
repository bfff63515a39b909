"""The contract: every hook of judgekit, in the order of a run's life.

A plugin is a module with functions of these names, marked `@judgekit.hookimpl` and named by an entry point in
the group `judgekit`. Hooks return values (no register callbacks), so a clash of names is an error with two
known owners. Import heavy libraries inside the classes' methods: `judgekit --help` loads every plugin module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.resources.abc import Traversable

    import click

    from judgekit.config.blocks import RunConfig
    from judgekit.contracts import Backend, DataLoader, Executor, Metric, Reporter, Trainer
    from judgekit.judging.readings import Reading
    from judgekit.records import Row, Sample
    from judgekit.results import Problem, RunRecord, RunView, Section

hookspec = pluggy.HookspecMarker("judgekit")
hookimpl = pluggy.HookimplMarker("judgekit")


@hookspec
def judgekit_commands(app: click.Group) -> None:
    """Add commands to the command line, for example `judgekit gpt2 finetune`."""


@hookspec
def judgekit_datasets() -> Mapping[str, type[DataLoader]]:  # type: ignore[empty-body]
    """Data loaders by name: what `data: {loader: NAME}` means."""


@hookspec
def judgekit_backends() -> Mapping[str, type[Backend]]:  # type: ignore[empty-body]
    """Backends by name: what `models:` and `judges:` entries with `backend: NAME` are served by."""


@hookspec
def judgekit_readings() -> Mapping[str, type[Reading]]:  # type: ignore[empty-body]
    """Readings by name: how a judge is asked, and how its replies are read, by a prompt whose comment on top says
    `reading: NAME`. For example `{"stars": Stars}`, a class of judgekit.judging.Reading."""


@hookspec
def judgekit_trainers() -> Mapping[str, type[Trainer]]:  # type: ignore[empty-body]
    """Trainers by name: what a `train:` entry with `trainer: NAME` runs."""


@hookspec
def judgekit_metrics() -> Mapping[str, type[Metric]]:  # type: ignore[empty-body]
    """Metrics by name: what a `metrics:` entry with `type: NAME` measures."""


@hookspec
def judgekit_prompts() -> Mapping[str, Traversable]:  # type: ignore[empty-body]
    """Folders of Jinja2 templates by prefix: `PREFIX/file.j2` names a template in the config."""


@hookspec
def judgekit_executors() -> Mapping[str, type[Executor]]:  # type: ignore[empty-body]
    """Executors by name: where `executor: NAME`, or `--executor NAME`, has calls carried out."""


@hookspec
def judgekit_check(  # type: ignore[empty-body]
    config: RunConfig, trainers: Mapping[str, Trainer], samples: Mapping[str, Sequence[Sample]]
) -> Sequence[Problem]:
    """Preflight: problems of the whole config that no single part can see. `trainers` are those of the `train:` block
    by name, `samples` those that the run reads, by their place in the config ("data", "metrics.NAME.data")."""


@hookspec
def judgekit_run_started(run_id: str, config: RunConfig) -> None:
    """A run begins. Watchers cannot change anything."""


@hookspec
def judgekit_progress(stage: str, done: int, total: int, note: str) -> None:
    """A stage moved on: training, generating, judging. `total` is 0 where it is not known."""


@hookspec
def judgekit_row_done(row: Row) -> None:
    """A row was measured."""


@hookspec
def judgekit_run_finished(record: RunRecord) -> None:
    """A run ended and its record is on disk."""


@hookspec
def judgekit_report_sections(run: RunView) -> Sequence[Section]:  # type: ignore[empty-body]
    """Sections for every report: a chart is a Vega-Lite dict, with a sentence and its data table; its `place` says
    which part of the report it belongs to."""


@hookspec
def judgekit_reporters() -> Mapping[str, Reporter]:  # type: ignore[empty-body]
    """Reporters by name: pure functions (run, sections) → {file name: bytes}, or such pairs one after the other."""
