"""Judges of a config, planned with their backends: for a run, for single answers, and for commands of plugins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from judgekit.calls.caller import Caller
from judgekit.config.blocks import JudgeConfig
from judgekit.contracts import Backend
from judgekit.judging.judge import LLMJudge
from judgekit.judging.panel import Panel
from judgekit.judging.planning import TASKS, PlannedJudge, PlannedPanel, plan_judge, plan_panel
from judgekit.judging.questions import Task
from judgekit.judging.readings import Readings
from judgekit.prompting.templates import Prompts

if TYPE_CHECKING:
    from judgekit.pipeline.prepared import Problems

J = TypeVar("J")
P = TypeVar("P")
BuildBackend = Callable[[JudgeConfig, str], Backend | None]  # None: it could not be built, and the problem is noted


@dataclass(frozen=True)
class JudgeSet(Generic[J, P]):
    """Judges, and the panels of them."""

    single: dict[str, J] = field(default_factory=dict)
    panels: dict[str, P] = field(default_factory=dict)

    def __getitem__(self, name: str) -> J | P:
        return self.panels[name] if name in self.panels else self.single[name]


AskedJudges = JudgeSet[LLMJudge, Panel]


class Judges(JudgeSet[PlannedJudge, PlannedPanel]):
    """Those that were planned."""

    def ask_through(self, callers: Mapping[str, Caller]) -> AskedJudges:
        """The judges, asked through the callers (by the judges' names)."""
        single = {name: judge.ask_through(callers[name]) for name, judge in self.single.items()}
        return AskedJudges(single, {name: panel.of(single) for name, panel in self.panels.items()})


def plan_judges(
    configs: Mapping[str, JudgeConfig],
    tasks: Mapping[str, Collection[Task]],
    build: BuildBackend,
    prompts: Prompts,
    readings: Readings,
    problems: Problems,
    talks: Mapping[str, Collection[Task]] | None = None,
) -> Judges:
    """The judges with a place in `tasks`, each for the tasks it is given there and those of the panels that it is a
    member of; then the panels. `talks`: the tasks for which a judge is shown conversations.
    """
    given = _with_members(configs, tasks)
    shown = _with_members(configs, talks or {})
    judges = Judges()
    for name in (name for name in configs if name in given and configs[name].panel is None):
        label = f"judges.{name}"
        if (backend := build(configs[name], label)) is not None:
            with problems.collecting(label):
                judges.single[name] = plan_judge(
                    name, configs[name], backend, given[name], prompts, readings, problems.noted, shown.get(name, ())
                )
    for name in (name for name in configs if name in tasks and configs[name].panel is not None):
        asked = [task for task in TASKS if task in given[name]]
        if panel := plan_panel(name, configs[name], configs, judges.single, asked, problems.noted):
            judges.panels[name] = panel
    return judges


def _with_members(configs: Mapping[str, JudgeConfig], tasks: Mapping[str, Collection[Task]]) -> dict[str, set[Task]]:
    """The tasks of each judge, with those that its panels pass on to it."""
    passed_on = {name: set(given) for name, given in tasks.items()}
    for name, given in tasks.items():
        for member in configs[name].panel or ():
            if member in configs:
                passed_on.setdefault(member, set()).update(given)
    return passed_on
