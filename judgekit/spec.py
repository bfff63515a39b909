"""judgekit.yaml + `--set` overrides → one frozen RunSpec. Unknown keys are refused with a "did you mean".

Keys that belong to a plugin (a backend's `model`, a loader's `path`, …) are kept in `options`; the plugin's own
Options model checks them when the part is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from judgekit.errors import ConfigError
from judgekit.plugins import did_you_mean
from judgekit.records import Sampling
from judgekit.statistics import Method

MAX_BYTES = 1 << 20
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]{0,99}$")]


class Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Part(Block):
    """A piece that a plugin builds: the plugin's name under its own key, and the plugin's options."""

    options: dict[str, JsonValue] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        """Sort the keys: ours, the common keys of sampling, and the plugin's, which go to `options`."""
        if not isinstance(value, dict):
            return value
        own = set(cls.model_fields) - {"options", "sampling"}
        drawn = set(Sampling.model_fields) if "sampling" in cls.model_fields else set()
        sorted_keys: dict[str, Any] = {key: item for key, item in value.items() if key in own}
        if drawn:
            sorted_keys["sampling"] = {"temperature": 0.0} | {key: value[key] for key in value if key in drawn}
        sorted_keys["options"] = {key: item for key, item in value.items() if key not in own | drawn}
        return sorted_keys

    @model_serializer(mode="wrap")
    def _flatten(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Back to the shape of the YAML file, so that the spec in a record can be run again."""
        tree: dict[str, Any] = inner(self)
        options, sampling = tree.pop("options"), tree.pop("sampling", {})
        drawn = {key: item for key, item in sampling.items() if item not in (None, [], ())}
        return {**{key: item for key, item in tree.items() if item is not None}, **drawn, **options}


class DataSpec(Part):
    loader: str = "instructions"


class TrainSpec(Part):
    trainer: str


class SampledPart(Part):
    """A part served by a backend, with the common keys of how tokens are drawn."""

    backend: str
    sampling: Sampling = Sampling(temperature=0.0)


class ModelSpec(SampledPart):
    """A system under test. `style` names the prompt under prompts/instruction/; None: the backend's own."""

    style: str | None = None
    repeats: int | None = Field(None, ge=1)


class JudgeSpec(SampledPart):
    """A judge. `prompt` names a template for its task, or templates by task; None: the backend's own.

    `control_items`: how many samples each control arm of the judge card reads.
    """

    prompt: str | dict[str, str] | None = None
    control_items: int = Field(20, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "preset" not in value:
            return value
        preset = value["preset"]
        if preset not in PRESETS:
            raise ValueError(f"no judge preset is named {preset!r}{did_you_mean(str(preset), PRESETS)}")
        return {**PRESETS[preset], **{key: item for key, item in value.items() if key != "preset"}}


# The judge of the book's chapter 7: llama3 by Ollama, asked for the integer only.
PRESETS: dict[str, dict[str, JsonValue]] = {
    "book": {
        "backend": "ollama",
        "model": "llama3",
        "seed": 123,
        "temperature": 0.0,
        "num_ctx": 2048,
        "prompt": {"score": "score/book.j2"},
    }
}


class MetricSpec(Part):
    """A metric. `data` replaces the run's samples for this metric alone; `models`: None means all."""

    type: str
    judge: str | None = None
    data: DataSpec | None = None
    models: tuple[str, ...] | None = None


class Repeats(Block):
    generation: int = Field(1, ge=1)
    judge: int = Field(1, ge=1)


class StatisticsSpec(Block):
    confidence: float = Field(0.95, gt=0.5, lt=1)
    interval: Method = "auto"
    cluster: Literal["category"] | None = None
    resamples: int = Field(9999, ge=99)


class PluginsSpec(Block):
    block: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None


class RunSpec(Block):
    """The whole run, resolved. Relative paths start from the config's folder."""

    name: Name
    data: DataSpec
    train: dict[Name, TrainSpec] = {}
    models: dict[Name, ModelSpec] = Field(min_length=1)
    judges: dict[Name, JudgeSpec] = {}
    metrics: dict[Name, MetricSpec] = Field(min_length=1)
    against: str | None = None
    repeats: Repeats = Repeats()
    statistics: StatisticsSpec = StatisticsSpec()
    reports: tuple[str, ...] = ("html", "json")
    seed: int = Field(0, ge=0, le=2**63 - 1)
    limit: int | None = Field(None, ge=1)
    plugins: PluginsSpec = PluginsSpec()


def load(path: Path, overrides: Iterable[str] = (), flags: Mapping[str, JsonValue] | None = None) -> RunSpec:
    """Read a config file. `overrides` are "dotted.key=YAML value"; `flags` are top-level dotted keys already parsed.

    Raises ConfigError with file and line: missing, too large, not YAML, duplicate or unknown keys, wrong types.
    """
    tree, lines = _read(path)
    for override in overrides:
        key, value = parse_override(override)
        _assign(tree, key.split("."), value)
    for key, value in (flags or {}).items():
        _assign(tree, key.split("."), value)
    try:
        return RunSpec.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, path, lines) from None


def parse_override(override: str) -> tuple[str, JsonValue]:
    """The key and value of "dotted.key=YAML value". Raises ConfigError."""
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override!r}: write it as key.path=value")
    return key, _parse_yaml(text, Path(f"--set {key}"))[0]


Lines = dict[tuple[str, ...], int]


def _read(path: Path) -> tuple[dict[str, Any], Lines]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"larger than {MAX_BYTES} bytes; is this a config?", path=path)
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError("no such file; `judgekit init` writes one", path=path) from None
    except IsADirectoryError:
        raise ConfigError("is a folder; name the config file in it", path=path) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 text: {error.reason} at byte {error.start}", path=path) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=path) from None
    tree, lines = _parse_yaml(text, path)
    if not isinstance(tree, dict):
        raise ConfigError(f"should be a mapping of keys, not {type(tree).__name__}", path=path)
    return tree, lines


def _parse_yaml(text: str, path: Path) -> tuple[Any, Lines]:
    """YAML 1.2, safe: plain values, and the line of every key."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="rt")  # round-trip mode keeps lines; it constructs no Python objects
    try:
        loaded = yaml.load(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(
            str(error.problem).split(" with value")[0].replace("found ", ""), path=path, line=line
        ) from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(f"not YAML: {error.problem or error.context}", path=path, line=line) from None
    except RecursionError:
        raise ConfigError("not YAML: nested too deeply", path=path) from None
    except YAMLError as error:
        raise ConfigError(f"not YAML: {str(error).splitlines()[0]}", path=path) from None
    lines: Lines = {}
    return _plain(loaded, (), lines, path), lines


def _plain(node: Any, at: tuple[str, ...], lines: Lines, path: Path) -> Any:
    """ruamel's containers and scalars as plain Python values, noting each key's line."""
    if isinstance(node, dict):
        plain = {}
        for key, value in node.items():
            here = (*at, str(key))
            lines[here] = node.lc.key(key)[0] + 1  # type: ignore[attr-defined]
            plain[str(key)] = _plain(value, here, lines, path)
        return plain
    if isinstance(node, list):
        return [_plain(value, (*at, str(index)), lines, path) for index, value in enumerate(node)]
    if node is None or isinstance(node, bool):
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    raise ConfigError(f"{'.'.join(at)}: a {type(node).__name__} has no place here", path=path, line=lines.get(at))


def _assign(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        branch = tree.setdefault(key, {})
        if not isinstance(branch, dict):
            raise ConfigError(f"--set {'.'.join(keys)}: {key!r} is a value, not a mapping")
        tree = branch
    tree[keys[-1]] = value


def _explain(error: ValidationError, path: Path, lines: Lines) -> ConfigError:
    """All problems in the author's words, those that stand on a line of the file first."""
    found = [(_line(problem["loc"], lines), explain_problem(problem, RunSpec)) for problem in error.errors()]
    found.sort(key=lambda item: (item[0] is None, item[0] or 0))
    return ConfigError("; ".join(text for _, text in found), path=path, line=found[0][0])


def _line(loc: Iterable[Any], lines: Lines) -> int | None:
    """The line of the key at `loc`, or of the nearest key around it."""
    place = tuple(str(key) for key in loc if key not in ("sampling", "options"))
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place)


def explain_problem(problem: Any, model: type[BaseModel], prefix: str = "") -> str:
    """One pydantic problem as "key: what is wrong"."""
    loc = [str(key) for key in problem["loc"] if key not in ("sampling", "options")]
    where = ".".join([*([prefix] if prefix else []), *loc])
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, problem["loc"][:-1])
        return f"unknown key {where!r}{did_you_mean(str(problem['loc'][-1]), known)}"
    if problem["type"] == "missing":
        return f"{where!r} is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}"


def _fields_at(model: type[BaseModel], loc: Iterable[Any]) -> list[str]:
    """Field names (YAML keys) of the model nested at `loc`, as far as it can be followed."""
    here: Any = model
    for key in loc:
        field = here.model_fields.get(str(key)) if isinstance(here, type) and issubclass(here, BaseModel) else None
        if field is None:
            return []
        here = field.annotation
    if isinstance(here, type) and issubclass(here, BaseModel):
        return [field.alias or name for name, field in here.model_fields.items()]
    return []


def build_options(model: type[BaseModel], options: Mapping[str, JsonValue], where: str) -> BaseModel:
    """A plugin's options, checked. Raises ConfigError naming the key under `where` (for example "judges.main")."""
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        raise ConfigError("; ".join(explain_problem(problem, model, where) for problem in error.errors())) from None
