"""A judge's part of the config → the prompts of its tasks, how they are to grade, and all that is wrong with it.

A mode is the name of a shipped prompt, without its folder: `mode: geval` scores by score/geval. So a mode is a file,
and `judgekit list prompts` lists them. The name of a reading is a mode too: its own prompt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from pydantic import JsonValue

from judgekit.config.blocks import GRADING, JudgeConfig, ModelConfig
from judgekit.config.load import build_options
from judgekit.contracts import Backend, Options
from judgekit.errors import ConfigError, JudgekitError, PromptError
from judgekit.judging.judge import Caller, LLMJudge
from judgekit.judging.panel import Combine, Panel, panel_series
from judgekit.judging.questions import CONVERSATION, GRADING_VARIABLES, Grading, Setting, Task
from judgekit.judging.readings import DOES, Planned, Reading, Readings, blamed
from judgekit.plugins import broken
from judgekit.prompting.templates import SUFFIX, Prompts, Template
from judgekit.records import Scale
from judgekit.results import Problem
from judgekit.text import did_you_mean, one_of

TASKS: tuple[Task, ...] = ("score", "pairwise")


@dataclass(frozen=True)
class PlannedJudge:
    """A judge's backend, and its readings for the tasks that some metric gives it."""

    name: str
    config: JudgeConfig
    backend: Backend
    readings: Mapping[Task, Reading]

    @property
    def settings(self) -> dict[Task, Setting]:
        return {task: reading.setting for task, reading in self.readings.items()}

    @property
    def templates(self) -> dict[Task, Template]:
        return {task: reading.setting.template for task, reading in self.readings.items()}

    @property
    def prompts(self) -> list[Template]:
        """Every template that its calls are made by."""
        writing = [setting.writing for setting in self.settings.values() if setting.writing is not None]
        return [*self.templates.values(), *writing]

    @property
    def written(self) -> list[Template]:
        """Every template to which it writes a reply."""
        measured = [one.setting.template for one in self.readings.values() if one.kind != "generate"]
        return [template for template in self.prompts if template not in measured]

    @property
    def own_keys(self) -> dict[str, JsonValue]:
        """The identities of its readings, such as `stars.sign` and `stars.code`: they say how it grades."""
        readings = self.readings.values()
        return {f"{one.name}.{key}": value for one in readings for key, value in one.identity().items()}

    def reading(self, task: Task) -> Reading:
        return self.readings[task]

    def series(self, task: Task) -> Mapping[str, Scale]:
        """What its verdicts' value means, and their further series."""
        return self.readings[task].series

    def planned(self, task: Task) -> Planned:
        """The most requests that a question takes, without a re-ask; and what to know about them."""
        requests, note = self.readings[task].planned
        return Planned(requests, note + ("; once more for its steps" if self.settings[task].writing else ""))

    def ask_through(self, caller: Caller) -> LLMJudge:
        return LLMJudge(self.name, caller, self.readings, self.config.backend)


@dataclass(frozen=True)
class PlannedPanel:
    """A panel, and the judges that it asks."""

    name: str
    members: Mapping[str, PlannedJudge]
    combine: Combine

    def series(self, task: Task) -> Mapping[str, Scale]:
        return panel_series(self.members, next(iter(self.members.values())).series(task)["value"])

    def planned(self, task: Task) -> Planned:
        each = [member.planned(task) for member in self.members.values()]
        notes = "; ".join(dict.fromkeys(note for _, note in each))
        return Planned(sum(requests for requests, _ in each), f"{len(each)} judges; {notes}")

    def of(self, judges: Mapping[str, LLMJudge]) -> Panel:
        return Panel(self.name, {name: judges[name] for name in self.members}, self.combine)


def plan_judge(
    name: str,
    config: JudgeConfig,
    backend: Backend,
    asked: Collection[Task],
    prompts: Prompts,
    readings: Readings,
    problems: list[Problem],
    talks: Collection[Task] = (),
) -> PlannedJudge:
    """The judge with its readings for the tasks it is asked for; what is wrong with them goes to `problems`. `talks`
    are the tasks for which it is shown conversations."""
    place = f"judges.{name}"
    planned: dict[Task, Reading] = {}
    tasks = [task for task in TASKS if task in asked]
    for task in tasks:
        try:
            template = template_of(prompts, readings, config, backend, task, talk=task in talks)
            reading = readings.on(task, setting_of(name, config, backend, template, prompts, readings))
            problems += _problems(place, config, backend, task, reading)
            planned[task] = reading
        except JudgekitError as error:
            problems.append(_error("" if error.place else place, str(error), error.exit_code))
    judge = PlannedJudge(name, config, backend, planned)
    if planned and len(planned) == len(tasks):
        problems += (_error(place, message) for message in unused(judge, prompts, readings))
    return judge


def _problems(place: str, config: JudgeConfig, backend: Backend, task: Task, reading: Reading) -> Iterator[Problem]:
    if reading.kind not in backend.capabilities:
        prompt = reading.setting.template.name
        yield _error(place, f"the prompt {prompt} needs {reading.needs}, which backend {config.backend} has not")
    if reading.setting.writing is not None and "generate" not in backend.capabilities:
        said = f"is to write evaluation steps, and backend {config.backend} writes nothing: give steps: […]"
        yield _error(place, said)
    if task == "pairwise" and reading.order_free:
        yield _warning(place, "reads each of two responses on its own: both orders agree by construction")
    with blamed(reading.plugin, reading.name):
        yield from (_warning(place, message) for message in reading.warnings())


def check_repeats(place: str, judge: PlannedJudge, repeats: int) -> Iterator[Problem]:
    """Judge repeats that cannot differ would be counted as noise that is not there."""
    said, readings = f"its {repeats} judge repeats cannot differ", judge.readings.values()
    if repeats > 1 and any(reading.measured for reading in readings):
        what = "log-likelihoods" if any(reading.anchored for reading in readings) else "probabilities"
        yield _error(place, f"{said}: {what} are exact")
    elif repeats > 1 and judge.config.sampling.temperature == 0:
        yield _error(place, f"{said} at temperature 0")


def judging_itself(place: str, judge: str, config: JudgeConfig, models: Mapping[str, ModelConfig]) -> Iterator[Problem]:
    same = [name for name, model in models.items() if _answers(model) == _answers(config)]
    if same:
        who = f"its member {judge} judges itself" if place != f"judges.{judge}" else "judges itself"
        yield _warning(place, f"{who}: models.{same[0]} is the same model; a model prefers its own answers")


def _answers(part: JudgeConfig | ModelConfig) -> object:
    """What answers, whatever serves it and however it is asked: the model by its name, or all that the config says."""
    name = part.options.get("model") or part.options.get("checkpoint")
    return str(name).casefold().removesuffix(":latest") if name else (part.backend, part.options)


def plan_panel(
    name: str,
    config: JudgeConfig,
    specs: Mapping[str, JudgeConfig],
    judges: Mapping[str, PlannedJudge],
    asked: Collection[Task],
    problems: list[Problem],
) -> PlannedPanel | None:
    """The panel; None, and the problems in `problems`, where it cannot be asked for these tasks."""
    place, wrong, members = f"judges.{name}", len(problems), config.panel or ()
    for member in members:
        if member == name:
            problems.append(_error(place, "a panel cannot be a member of itself"))
        elif member not in specs:
            problems.append(_error(place, f"no judge is named {member!r}{did_you_mean(member, specs)}"))
        elif specs[member].panel is not None:
            problems.append(_error(place, f"its member {member!r} is a panel too: name the judges themselves"))
    if twice := next((member for member in members if members.count(member) > 1), None):
        problems.append(_error(place, f"{twice!r} is a member twice: one vote each"))
    elif len(members) < 2:
        problems.append(_error(place, "a panel has two members at least"))
    if "value" in members:
        problems.append(_error(place, "a member cannot be named 'value': that is the panel's own verdict"))
    if len(problems) > wrong or not all(member in judges for member in members):
        return None  # a member that could not be built has its own problem
    panel = PlannedPanel(name, {member: judges[member] for member in members}, config.combine or "mean")
    problems += (_error(place, message) for task in TASKS if task in asked for message in _unlike(panel, task))
    return panel if len(problems) == wrong else None


def _unlike(panel: PlannedPanel, task: Task) -> Iterator[str]:
    """Why the members' verdicts cannot be combined, in words."""
    for name, member in panel.members.items():
        prompt, setting = member.config.prompt, member.settings.get(task)
        if setting and isinstance(prompt, str) and setting.template.name not in (prompt, prompt.removesuffix(SUFFIX)):
            yield f"its member {name} does not {DOES[task]}: its prompt is {prompt}"
    members = {name: member for name, member in panel.members.items() if task in member.settings}
    scales = {name: member.settings[task].scale for name, member in members.items()}
    if task == "score" and len(set(scales.values())) > 1:
        said = ", ".join(f"{name} {low:g}..{high:g}" for name, (low, high) in scales.items())
        yield f"its members score on other scales: {said}"
    fine = [name for name, member in members.items() if member.readings[task].continuous]
    if panel.combine == "vote" and task == "score" and fine:
        yield f"combine: vote counts equal scores, and {fine[0]} is read by probabilities: use mean"


def _error(where: str, message: str, exit_code: int = 2) -> Problem:
    return Problem(severity="error", where=where, message=message, exit_code=exit_code)


def _warning(where: str, message: str) -> Problem:
    return Problem(severity="warning", where=where, message=message)


def template_of(
    prompts: Prompts, readings: Readings, config: JudgeConfig, backend: Backend, task: Task, *, talk: bool = False
) -> Template:
    """The judge's prompt for a task: the config's, else the backend's, else that of the default reading. A prompt given
    without its task is for the task that its reading belongs to; a mode is for the tasks that have it. With `talk`
    there are conversations to be shown, which not every prompt does.

    Raises PromptError, ConfigError.
    """
    if config.mode is not None:
        template = _mode(prompts, readings, config, task, talk)
    elif isinstance(config.prompt, str) and readings.task_of(prompts.get(config.prompt)) == task:
        template = prompts.get(config.prompt)
    elif named := config.prompt.get(task) if isinstance(config.prompt, dict) else None:
        template = prompts.get(named)
    elif talk:
        template = prompts.get(readings.default(task).conversation_prompt)
    else:
        template = prompts.get(backend.default_prompts.get(task) or readings.default(task).default_prompt)
    if talk and CONVERSATION[task] not in template.variables:
        said = f"the prompt {template.name} shows single responses, and the samples are conversations"
        others = [mode for mode in modes(prompts, task) if mode.startswith("conversation")]
        raise ConfigError(f"{said}; these show them: mode: {', '.join(others)}")
    return template


def modes(prompts: Prompts, task: Task) -> list[str]:
    """The modes that there are for a task by a shipped prompt."""
    inside = [name.removeprefix(f"{task}/") for name in prompts.names() if name.startswith(f"{task}/")]
    return [mode for mode in inside if "/" not in mode]


def _prompt_of_mode(prompts: Prompts, readings: Readings, task: Task, talk: bool = False) -> dict[str, str]:
    """The prompt of each mode that there is for a task: the shipped ones, then those of other readings."""
    shipped = {mode: f"{task}/{mode}" for mode in modes(prompts, task)}
    return shipped | {
        name: (talk and one.conversation_prompt) or one.default_prompt
        for name in readings.names(task)
        if name not in shipped and (one := readings.classes[name]).default_prompt not in ("", *shipped.values())
    }


def _mode(prompts: Prompts, readings: Readings, config: JudgeConfig, task: Task, talk: bool) -> Template:
    mode = config.mode if isinstance(config.mode, str) else (config.mode or {}).get(task)
    if mode is None:
        raise ConfigError(f"mode names none to {DOES[task]} by: write it as {{{task}: …}}")
    mine = _prompt_of_mode(prompts, readings, task, talk)
    if mode in mine:
        return prompts.get(mine[mode])
    every = sorted({name for known in TASKS for name in _prompt_of_mode(prompts, readings, known)})
    if mode in every:
        raise ConfigError(f"the mode {mode!r} does not {DOES[task]}; these do: {', '.join(mine)}")
    raise ConfigError(f"no mode is named {mode!r}{one_of(mode, every)}")


def setting_of(
    name: str, config: JudgeConfig, backend: Backend, template: Template, prompts: Prompts, readings: Readings
) -> Setting:
    """All that the judge's questions by one prompt have in common.

    Raises ConfigError where the prompt shows what neither it nor the config gives, and for a reading's own keys that
    are not as they should be; PluginError where one of these is a key of the backend too.
    """
    can, given = backend.capabilities, {key: getattr(config, key) for key in GRADING}
    if "scale" not in shown_by(template, readings) and config.scale != template.front.scale:
        given["scale"] = None  # it is for the judge's other prompt
    given["rubric"] = dict(sorted((config.rubric or {}).items()))
    grading = Grading(**{key: value for key, value in given.items() if value is not None})
    options, writing = _own_options(name, config, backend, template, readings), None
    if "rubric" in template.variables and not (grading.rubric or template.front.rubric):
        raise ConfigError("the prompt shows a rubric, and there is none: give rubric: {1: …, 5: …}")
    if "steps" in template.variables and not grading.steps:
        if not template.front.steps:
            raise ConfigError("the prompt shows evaluation steps, and there are none: give steps: […]")
        writing = prompts.get(template.front.steps)
        writing.expect(GRADING_VARIABLES - {"steps"} | {"attempt"})
    return Setting(name, template, config.sampling, "schema" in can, "logprobs" in can, grading, writing, options)


def _own_options(name: str, config: JudgeConfig, backend: Backend, template: Template, readings: Readings) -> Options:
    """The own keys of the prompt's reading, checked."""
    reading = readings.of(template)
    if taken := [key for key in reading.Options.model_fields if key in backend.Options.model_fields]:
        said = f"its key {taken[0]!r} is one of the backend {config.backend} already"
        raise broken(readings.owner(template), f"its reading {template.front.reading!r}", ValueError(said))
    own = {key: value for key, value in config.options.items() if key in reading.Options.model_fields}
    return build_options(reading.Options, own, f"judges.{name}")


def shown_by(template: Template, readings: Readings) -> frozenset[str]:
    """Which of the config's keys on grading the prompt makes use of, by itself or by its reading."""
    shown = template.variables.keys()
    used = shown & {"rubric", "criterion", "steps", "criteria"}
    used |= {"criterion"} if template.front.steps else set()
    used |= {"scale"} if shown & {"low", "high", "rubric"} else set()
    return readings.of(template).keys | used


def unused(judge: PlannedJudge, prompts: Prompts, readings: Readings) -> Iterator[str]:
    """What the config says of how to grade and no prompt of the judge makes use of, in words."""
    config, templates = judge.config, judge.templates
    used = frozenset[str]().union(*(shown_by(template, readings) for template in templates.values()))
    names = " and ".join(template.name for template in templates.values())
    own = [templates["score"].front.scale or (0.0, 100.0)] if "score" in templates else []
    for key in (key for key in GRADING if getattr(config, key) is not None and key not in used):
        if key != "scale":
            yield f"{key}: the prompt {names} makes no use of it{_modes_for(key, prompts, readings)}"
        elif config.scale not in own:
            ends = ", ".join(f"{low:g}..{high:g}" for low, high in own) or "no scale at all"
            yield f"scale: the prompt {names} is written for {ends}; the simplest mode that takes a scale is grade"
    own_keys = {key for reading in judge.readings.values() for key in reading.Options.model_fields}
    for key in config.options:
        if key not in judge.backend.Options.model_fields and key not in own_keys:
            said = f"{key}: the prompt {names} makes no use of it{did_you_mean(key, own_keys)}"
            yield f"{said}; the reading {readings.own_keys[key]} does"


def _modes_for(key: str, prompts: Prompts, readings: Readings) -> str:
    """Which modes make use of a key, in words."""
    takers: dict[str, None] = {}
    for mode, prompt in (pair for task in TASKS for pair in _prompt_of_mode(prompts, readings, task).items()):
        with suppress(PromptError):  # another plugin's broken prompt, where this is only a hint
            if "." not in mode and key in shown_by(prompts.get(prompt), readings):
                takers[mode] = None
    return f"; mode: {', '.join(takers)} {'do' if len(takers) > 1 else 'does'}" if takers else ""
