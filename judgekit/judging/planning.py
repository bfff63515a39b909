"""A judge's part of the config → the prompts of its tasks, how they are to grade, and all that is wrong with it.

A mode is the name of a shipped prompt, without its folder: `mode: geval` scores by score/geval. So a mode is a file,
and `judgekit list prompts` lists them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from judgekit.config.blocks import JudgeConfig, ModelConfig
from judgekit.contracts import Backend
from judgekit.errors import ConfigError, JudgekitError
from judgekit.judging.judge import Caller, LLMJudge
from judgekit.judging.panel import Combine, Panel, panel_series
from judgekit.judging.questions import CONVERSATION
from judgekit.judging.readings import Grading, Reading, Setting, Task, reading_for, task_of
from judgekit.prompting.templates import SUFFIX, Prompts, Template
from judgekit.records import Scale
from judgekit.results import Problem
from judgekit.text import did_you_mean, one_of

TASKS: tuple[Task, ...] = ("score", "pairwise")
DEFAULT_PROMPTS: Mapping[Task, str] = {"score": "score/reason_json", "pairwise": "pairwise/reason_json"}
CONVERSATION_PROMPTS: Mapping[Task, str] = {"score": "score/conversation", "pairwise": "pairwise/conversation"}
DOES: Mapping[Task, str] = {"score": "score", "pairwise": "compare"}


@dataclass(frozen=True)
class PlannedJudge:
    """A judge's backend, and the settings of the tasks that some metric gives it."""

    name: str
    config: JudgeConfig
    backend: Backend
    settings: Mapping[Task, Setting]

    @property
    def templates(self) -> dict[Task, Template]:
        return {task: setting.template for task, setting in self.settings.items()}

    @property
    def prompts(self) -> list[Template]:
        """Every template that its calls are made by."""
        written = [setting.writing for setting in self.settings.values() if setting.writing is not None]
        return [*self.templates.values(), *written]

    def reading(self, task: Task) -> Reading:
        return reading_for(task, self.settings[task])

    def series(self, task: Task) -> Mapping[str, Scale]:
        """What its verdicts' value means, and their further series."""
        return self.reading(task).series

    def planned(self, task: Task) -> tuple[int, str]:
        """The most requests that a question takes, without a re-ask; and what to know about them."""
        requests, note = self.reading(task).planned
        return requests, note + ("; once more for its steps" if self.settings[task].writing else "")

    def ask_through(self, caller: Caller) -> LLMJudge:
        return LLMJudge(self.name, caller, {}, backend=self.config.backend, settings=self.settings)


@dataclass(frozen=True)
class PlannedPanel:
    """A panel, and the judges that it asks."""

    name: str
    members: Mapping[str, PlannedJudge]
    combine: Combine

    def series(self, task: Task) -> Mapping[str, Scale]:
        return panel_series(self.members, next(iter(self.members.values())).series(task)["value"])

    def planned(self, task: Task) -> tuple[int, str]:
        each = [member.planned(task) for member in self.members.values()]
        notes = "; ".join(dict.fromkeys(note for _, note in each))
        return sum(requests for requests, _ in each), f"{len(each)} judges; {notes}"

    def of(self, judges: Mapping[str, LLMJudge]) -> Panel:
        return Panel(self.name, {name: judges[name] for name in self.members}, self.combine)


def plan_judge(
    name: str,
    config: JudgeConfig,
    backend: Backend,
    asked: Collection[Task],
    prompts: Prompts,
    found: list[Problem],
    talks: Collection[Task] = (),
) -> PlannedJudge:
    """The judge with the settings of the tasks it is asked for; what is wrong with them goes to `found`. `talks` are
    the tasks for which it is shown conversations."""
    place = f"judges.{name}"
    settings: dict[Task, Setting] = {}
    for task in TASKS:
        if task in asked:
            try:
                template = template_of(prompts, config, backend, task, talk=task in talks)
                setting = setting_of(name, config, backend, template, prompts)
                found += _problems(place, config, backend, task, reading_for(task, setting))
                settings[task] = setting
            except JudgekitError as error:
                found.append(_error("" if error.place else place, str(error), error.exit_code))
    planned = PlannedJudge(name, config, backend, settings)
    if settings and len(settings) == len(set(asked) & set(TASKS)):
        found += (_error(place, message) for message in unused(config, planned.templates))
    return planned


def _problems(place: str, config: JudgeConfig, backend: Backend, task: Task, reading: Reading) -> Iterator[Problem]:
    if reading.kind not in backend.capabilities:
        prompt = reading.setting.template.name
        yield _error(place, f"the prompt {prompt} needs {reading.needs}, which backend {config.backend} has not")
    if reading.setting.writing is not None and "generate" not in backend.capabilities:
        yield _error(
            place, f"is to write evaluation steps, and backend {config.backend} writes nothing: give steps: […]"
        )
    if task == "pairwise" and reading.order_free:
        yield _warning(place, "reads each of two responses on its own: both orders agree by construction")
    levels = reading.setting.scale[1] - reading.setting.scale[0]
    if reading.setting.template.front.reading == "expected_score" and levels > 9:
        yield _warning(
            place,
            "an expected score over numbers of several digits: a model that writes them digit by digit captures little "
            "of its probability; scale: [1, 5] or [0, 9] is safer",
        )


def check_repeats(place: str, judge: PlannedJudge, repeats: int) -> Iterator[Problem]:
    """Judge repeats that cannot differ would be counted as noise that is not there."""
    if repeats == 1:
        return
    readings = [judge.reading(task) for task in judge.settings]
    if any(reading.measured for reading in readings):
        what = "log-likelihoods" if any(reading.anchored for reading in readings) else "probabilities"
        yield _error(place, f"its {repeats} judge repeats cannot differ: {what} are exact")
    elif judge.config.sampling.temperature == 0:
        yield _error(place, f"its {repeats} judge repeats cannot differ at temperature 0")


def judging_itself(place: str, judge: str, config: JudgeConfig, models: Mapping[str, ModelConfig]) -> Iterator[Problem]:
    same = [name for name, model in models.items() if _answers(model) == _answers(config)]
    if same:
        member = f"its member {judge} " if place != f"judges.{judge}" else ""
        yield _warning(
            place, f"{member}judges itself: models.{same[0]} is the same model; a model prefers its own answers"
        )


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
    found: list[Problem],
) -> PlannedPanel | None:
    """The panel; None, and the problems in `found`, where it cannot be asked for these tasks."""
    place, wrong = f"judges.{name}", len(found)
    members = config.panel or ()
    for member in members:
        if member == name:
            found.append(_error(place, "a panel cannot be a member of itself"))
        elif member not in specs:
            found.append(_error(place, f"no judge is named {member!r}{did_you_mean(member, specs)}"))
        elif specs[member].panel is not None:
            found.append(_error(place, f"its member {member!r} is a panel too: name the judges themselves"))
    if twice := next((member for member in members if members.count(member) > 1), None):
        found.append(_error(place, f"{twice!r} is a member twice: one vote each"))
    elif len(members) < 2:
        found.append(_error(place, "a panel has two members at least"))
    if "value" in members:
        found.append(_error(place, "a member cannot be named 'value': that is the panel's own verdict"))
    if len(found) > wrong or not all(member in judges for member in members):
        return None  # a member that could not be built has its own problem
    panel = PlannedPanel(name, {member: judges[member] for member in members}, config.combine or "mean")
    for task in TASKS:
        if task in asked:
            found += (_error(place, message) for message in _unlike(panel, task))
    return panel if len(found) == wrong else None


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
    fine = [name for name, member in members.items() if member.reading(task).continuous]
    if panel.combine == "vote" and task == "score" and fine:
        yield f"combine: vote counts equal scores, and {fine[0]} is read by probabilities: use mean"


def _error(where: str, message: str, exit_code: int = 2) -> Problem:
    return Problem(severity="error", where=where, message=message, exit_code=exit_code)


def _warning(where: str, message: str) -> Problem:
    return Problem(severity="warning", where=where, message=message)


def template_of(prompts: Prompts, config: JudgeConfig, backend: Backend, task: Task, *, talk: bool = False) -> Template:
    """The judge's prompt for a task: the config's, else the backend's, else the default. A prompt given without its
    task is for the task that its reading belongs to; a mode is for the tasks that have it. With `talk` there are
    conversations to be shown, which not every prompt does.

    Raises PromptError, ConfigError.
    """
    if talk:
        own = config.mode is not None or task_named(config.prompt, task, prompts)
        template = template_of(prompts, config, backend, task) if own else prompts.get(CONVERSATION_PROMPTS[task])
        if CONVERSATION[task] not in template.variables:
            said = f"the prompt {template.name} shows single responses, and the samples are conversations"
            others = [mode for mode in modes(prompts, task) if mode.startswith("conversation")]
            raise ConfigError(f"{said}; these show them: mode: {', '.join(others)}")
        return template
    if config.mode is not None:
        return _mode(prompts, config, task)
    given = config.prompt
    if isinstance(given, str):
        template = prompts.get(given)
        if task_of(template) == task:
            return template
        given = None
    return prompts.get((given or {}).get(task) or backend.default_prompts.get(task) or DEFAULT_PROMPTS[task])


def task_named(prompt: str | dict[str, str] | None, task: Task, prompts: Prompts) -> bool:
    """Whether the config names a prompt for the task."""
    if isinstance(prompt, str):
        return task_of(prompts.get(prompt)) == task
    return task in (prompt or {})


def modes(prompts: Prompts, task: Task) -> list[str]:
    """The modes that there are for a task."""
    names = [name.partition("/") for name in prompts.names()]
    return [rest for folder, _, rest in names if folder == task and "/" not in rest]


def _mode(prompts: Prompts, config: JudgeConfig, task: Task) -> Template:
    mode = config.mode if isinstance(config.mode, str) else (config.mode or {}).get(task)
    if mode is None:
        raise ConfigError(f"mode names none to {DOES[task]} by: write it as {{{task}: …}}")
    mine, every = modes(prompts, task), sorted({name for known in TASKS for name in modes(prompts, known)})
    if mode in mine:
        return prompts.get(f"{task}/{mode}")
    if mode in every:
        raise ConfigError(f"the mode {mode!r} does not {DOES[task]}; these do: {', '.join(mine)}")
    raise ConfigError(f"no mode is named {mode!r}{one_of(mode, every)}")


def grading_of(config: JudgeConfig) -> Grading:
    return Grading(
        scale=config.scale,
        rubric=dict(sorted((config.rubric or {}).items())),
        criterion=config.criterion or "",
        steps=config.steps or (),
        criteria=config.criteria or {},
        weights=config.weights or {},
        floor=config.floor,
    )


def setting_of(name: str, config: JudgeConfig, backend: Backend, template: Template, prompts: Prompts) -> Setting:
    """All that the judge's questions by one prompt have in common.

    Raises ConfigError where the prompt shows what neither it nor the config gives.
    """
    can = backend.capabilities
    grading = grading_of(config)
    if "scale" not in shown_by(template) and grading.scale is not None and grading.scale != template.front.scale:
        grading = replace(grading, scale=None)  # it is for the judge's other prompt
    setting = Setting(name, template, config.sampling, "schema" in can, "logprobs" in can, grading)
    if "rubric" in template.variables and not setting.rubric:
        raise ConfigError("the prompt shows a rubric, and there is none: give rubric: {1: …, 5: …}")
    if "steps" in template.variables and not grading.steps:
        if not template.front.steps:
            raise ConfigError("the prompt shows evaluation steps, and there are none: give steps: […]")
        writing = prompts.get(template.front.steps)
        writing.expect(frozenset({"low", "high", "rubric", "criterion", "criteria", "attempt"}))
        return replace(setting, writing=writing)
    return setting


def shown_by(template: Template) -> frozenset[str]:
    """Which of the config's keys on grading the prompt makes use of."""
    variables = template.variables
    used = {key for key in ("rubric", "criterion", "steps", "criteria") if key in variables}
    if template.front.steps:
        used.add("criterion")
    laid = template.front.reading in ("yes_no", "likelihood_ratio")  # shares, laid on any scale
    if laid or variables.keys() & {"low", "high", "rubric"}:
        used.add("scale")
    if template.front.reading == "criteria":
        used |= {"criteria", "weights"}
    if template.front.reading in ("expected_score", "yes_no", "preference"):
        used.add("floor")
    return frozenset(used)


def unused(config: JudgeConfig, templates: Mapping[Task, Template]) -> Iterator[str]:
    """What the config says of how to grade and no prompt of the judge shows, in words."""
    used = frozenset[str]().union(*(shown_by(template) for template in templates.values()))
    names = " and ".join(template.name for template in templates.values())
    for key in ("scale", "rubric", "criterion", "steps", "criteria", "weights", "floor"):
        if getattr(config, key) is None or key in used:
            continue
        if key == "scale":
            own = {template.front.scale or (0.0, 100.0) for task, template in templates.items() if task == "score"}
            if config.scale in own:
                continue
            ends = ", ".join(f"{low:g}..{high:g}" for low, high in own) or "no scale at all"
            yield f"scale: the prompt {names} is written for {ends}; the simplest mode that takes a scale is grade"
        else:
            yield f"{key}: the prompt {names} makes no use of it{_MODE_FOR[key]}"


_MODE_FOR: Mapping[str, str] = {
    "rubric": "; mode: rubric does",
    "criterion": "; mode: geval, grade, rubric, yes_no and reference_free do",
    "steps": "; mode: geval does",
    "criteria": "; mode: criteria does",
    "weights": "; mode: criteria does",
    "floor": "; it is for judges read by probabilities (mode: geval, yes_no, preference)",
}
