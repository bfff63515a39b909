"""Judges and readings of the installed plugins, made without a run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from judgekit.judging.judge import Caller, LLMJudge
from judgekit.judging.questions import Setting, Task
from judgekit.judging.readings import Reading, Readings
from judgekit.plugins import Catalogue, build_manager
from judgekit.prompting.templates import Template
from judgekit.records import Sampling


@cache
def readings() -> Readings:
    return Readings(Catalogue(build_manager(only=("readings",))))


def reading_for(task: Task, setting: Setting) -> Reading:
    return readings().on(task, setting)


def llm_judge(
    name: str,
    caller: Caller,
    templates: Mapping[Task, Template],
    sampling: Sampling | None = None,
    *,
    schema: bool = False,
    backend: str = "",
    settings: Mapping[Task, Setting] | None = None,
) -> LLMJudge:
    """A judge by its prompts, or by whole settings, by task."""
    asked = {task: Setting(name, template, sampling or Sampling(), schema) for task, template in templates.items()}
    asked |= settings or {}
    return LLMJudge(name, caller, {task: reading_for(task, setting) for task, setting in asked.items()}, backend)
