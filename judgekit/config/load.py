"""The config file and its `--set` overrides as one frozen RunConfig. Unknown keys are refused with a "did you mean".

Keys that belong to a plugin (a backend's `model`, a loader's `path`, …) are kept in `options`; the plugin's own
Options model checks them when the part is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, JsonValue, ValidationError

from judgekit.config.blocks import Block, GateConfig, GateRule, JudgeConfig, Name, RunConfig
from judgekit.config.plain_yaml import Lines, parse_yaml
from judgekit.errors import ConfigError
from judgekit.files import ordinary
from judgekit.text import did_you_mean

MAX_BYTES = 1 << 20
M = TypeVar("M", bound=BaseModel)


class _Judges(Block):
    judges: dict[Name, JudgeConfig]


def load(path: Path, overrides: Iterable[str] = (), flags: Mapping[str, JsonValue] | None = None) -> RunConfig:
    """Read a config file. `overrides` are "dotted.key=YAML value"; `flags` are top-level dotted keys already parsed.

    Raises ConfigError with file and line: missing, too large, not YAML, duplicate or unknown keys, wrong types.
    """
    tree, lines = _read(path)
    for key, value in chain(map(parse_override, overrides), (flags or {}).items()):
        _assign(tree, key, value)
    return _checked(RunConfig, tree, path, lines)


def load_judges(path: Path) -> dict[str, JudgeConfig]:
    """The `judges:` block of a config file; the rest is not checked. Raises ConfigError with file and line."""
    tree, lines = _read(path)
    if not tree.get("judges"):
        raise ConfigError("has no judges: block", path=path)
    return _checked(_Judges, {"judges": tree["judges"]}, path, lines).judges


def parse_override(override: str, option: str = "--set") -> tuple[str, JsonValue]:
    """The key and value of "dotted.key=YAML value". Raises ConfigError."""
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"{option} {override!r}: write it as key.path=value")
    return key, parse_yaml(text, Path(f"{option} {key}"))[0]


def read_overrides(overrides: Iterable[str], option: str = "--set") -> dict[str, JsonValue]:
    """All "dotted.key=YAML value" of a command line as one tree. Raises ConfigError."""
    tree: dict[str, JsonValue] = {}
    for override in overrides:
        _assign(tree, *parse_override(override, option))
    return tree


def _read(path: Path) -> tuple[dict[str, Any], Lines]:
    try:
        if ordinary(path).stat().st_size > MAX_BYTES:
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
    tree, lines = parse_yaml(text, path)
    if not isinstance(tree, dict):
        raise ConfigError(f"should be a mapping of keys, not {type(tree).__name__}", path=path)
    return tree, lines


def _assign(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *keys, last = dotted.split(".")
    for key in keys:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {dotted}: {key!r} is a value, not a mapping")
    tree[last] = value


def _checked(model: type[M], tree: Mapping[str, Any], path: Path, lines: Lines) -> M:
    """The tree as this model. Raises ConfigError with all problems in the author's words, those that stand on a line
    of the file first."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        problems = [(_line(problem["loc"], lines), explain_problem(problem, model)) for problem in error.errors()]
    problems.sort(key=lambda item: (item[0] is None, item[0] or 0))
    raise ConfigError("; ".join(text for _, text in problems), path=path, line=problems[0][0])


def _line(loc: Iterable[Any], lines: Lines) -> int | None:
    """The line of the key at `loc`, or of the nearest key around it."""
    place = tuple(str(key) for key in loc if key not in ("sampling", "options"))
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place)


def explain_problem(problem: Any, model: type[BaseModel], prefix: str = "") -> str:
    """One pydantic problem as "key: fault"."""
    loc = (str(key) for key in problem["loc"] if key not in ("sampling", "options"))
    where = ".".join(filter(None, (prefix, *loc)))
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
        if get_origin(here) is dict:
            here = get_args(here)[1]
        elif isinstance(here, type) and issubclass(here, BaseModel) and str(key) in here.model_fields:
            here = here.model_fields[str(key)].annotation
        elif here is GateConfig:
            here = GateRule
        else:
            return []
        if get_origin(here) is UnionType:  # X | None
            here = next((one for one in get_args(here) if one is not NoneType), here)
    if isinstance(here, type) and issubclass(here, BaseModel):
        return [field.alias or name for name, field in here.model_fields.items()]
    return []


def build_options(model: type[M], options: Mapping[str, JsonValue], where: str) -> M:
    """A plugin's options, or a block of the config, checked. Raises ConfigError naming the key under `where` (for
    example "judges.main")."""
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        raise ConfigError("; ".join(explain_problem(problem, model, where) for problem in error.errors())) from None
