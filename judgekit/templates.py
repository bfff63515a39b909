"""Prompt templates: one Jinja2 file each, with a comment on top that says what it is for.

    {#- for: what the prompt asks, of whom
        idea: where it comes from
        reading: how the reply is read (integer, reason_json, likelihood_ratio, …)
        scale: 0..100 -#}
    The prompt begins here.

The prompt begins at the first non-blank character after that comment. One newline at the very end belongs to
the file and not to the prompt; a prompt that must end in a newline ends in two. A prompt is a single file
without includes, so the sha256 of its source says all about it. Templates run in Jinja's immutable sandbox
with plain values only, and rendered text is never rendered again: `{{7*7}}` in a response stays as it is.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import JsonValue

from judgekit.errors import PromptError
from judgekit.records import Sample

SUFFIX = ".j2"
INSTRUCTION_VARIABLES = frozenset({"instruction", "input", "choices", "category", "metadata"})


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
    # Both draw at random: the same sample must give the same prompt, or no reply is ever found again.
    del environment.globals["lipsum"]
    del environment.filters["random"]
    return environment


_ENVIRONMENT = _environment()


@dataclass(frozen=True)
class Front:
    """The comment on top of a template. `scale` is the range that the prompt asks for."""

    purpose: str = ""
    idea: str = ""
    reading: str = ""
    scale: tuple[float, float] | None = None


@dataclass(frozen=True)
class Template:
    """A compiled prompt. `sha256` is that of its source, comment included; `place` names the file in errors."""

    name: str
    place: str
    sha256: str
    front: Front
    variables: Mapping[str, int]  # what it reads from its context, each with its first line
    code: CodeType

    def expect(self, known: Iterable[str]) -> None:
        """Refuse a template that names a variable outside `known`, before anything is rendered."""
        known = set(known)
        for variable, line in sorted(self.variables.items(), key=lambda item: item[1]):
            if variable not in known:
                hint = did_you_mean(variable, known) or f"; known here: {', '.join(sorted(known))}"
                raise PromptError(f"unknown variable '{variable}'{hint}", path=self.place, line=line)

    def render(self, **context: JsonValue | tuple[str, ...]) -> str:
        """The prompt as text. Raises PromptError with file and line when the template fails."""
        values = {name: _plain(value) for name, value in context.items()}
        template = jinja2.Template.from_code(_ENVIRONMENT, self.code, dict(_ENVIRONMENT.globals))
        try:
            return template.render(values)
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise PromptError(f"{type(error).__name__}: {error}", path=self.place, line=self._line(error)) from error

    def _line(self, error: Exception) -> int | None:
        lines = [line for frame, line in traceback.walk_tb(error.__traceback__)
                 if frame.f_code.co_filename == self.place]
        return lines[-1] if lines else None


class Prompts:
    """All templates of a run by name: the built-in ones, the plugins' folders by prefix, the user's own files.

    `score/integer` and `PREFIX/file` (with or without `.j2`) name shipped templates; any other name that ends
    in `.j2` is a path relative to the folder of the config.
    """

    def __init__(self, folders: Mapping[str, Traversable] | None = None, where: Path = Path()) -> None:
        self._folders = dict(folders or {})
        self._where = where
        builtin = {entry.name for entry in _builtin_folder().iterdir() if entry.is_dir()}
        if clash := sorted(builtin & set(self._folders)):
            raise PromptError(f"a plugin offers prompts under the prefix '{clash[0]}', which is built in")

    def names(self) -> list[str]:
        """Names of all shipped templates, built-in and from plugins, sorted."""
        shipped = [*_walk(_builtin_folder(), "")]
        for prefix, folder in self._folders.items():
            shipped += _walk(folder, f"{prefix}/")
        return sorted(shipped)

    def get(self, name: str) -> Template:
        """The template of that name. Raises PromptError when there is none, or when it does not compile."""
        shipped = self._shipped(name.removesuffix(SUFFIX))
        if shipped is not None:
            return shipped
        if name.endswith(SUFFIX):
            path = self._where / Path(name).expanduser()
            if path.is_file():
                return parse(_read(path, name), name, str(path))
        hint = did_you_mean(name, self.names())
        raise PromptError(f"unknown prompt '{name}'{hint or '; `judgekit list prompts` names them all'}")

    def _shipped(self, name: str) -> Template | None:
        prefix, _, rest = name.partition("/")
        if prefix in self._folders:
            parts = rest.split("/")
            file = self._folders[prefix].joinpath(*parts[:-1], parts[-1] + SUFFIX)
            return None if ".." in parts or not file.is_file() else parse(_read(file, name), name, f"{name}{SUFFIX}")
        return _builtin(name)


def render_instruction(style: str, sample: Sample, prompts: Prompts | None = None) -> str:
    """The prompt that a system under test gets for a sample: `prompts/instruction/<style>.j2`, rendered.

    The reference answer is not in its context. `prompts` adds a run's own templates: a style with a slash, or one
    that ends in `.j2`, is the name of any template. Raises PromptError for an unknown style.
    """
    name = style if "/" in style or style.endswith(SUFFIX) else f"instruction/{style}"
    template = _builtin(name) if prompts is None else prompts.get(name)
    if template is None:
        styles = [known.partition("/")[2] for known in Prompts().names() if known.startswith("instruction/")]
        hint = did_you_mean(style, styles) or f"; there are {', '.join(styles)}"
        raise PromptError(f"unknown instruction style '{style}'{hint}")
    template.expect(INSTRUCTION_VARIABLES)
    return template.render(
        instruction=sample.instruction,
        input=sample.input,
        choices=sample.choices,
        category=sample.category or "",
        metadata=sample.metadata,
    )


def parse(source: str, name: str, place: str) -> Template:
    """Compile a template from its source. Raises PromptError with the line for bad syntax or a bad comment."""
    try:
        tree = _ENVIRONMENT.parse(source, name, place)
        code = _ENVIRONMENT.compile(source, name, place)
    except jinja2.TemplateSyntaxError as error:
        raise PromptError(error.message or "bad syntax", path=place, line=error.lineno) from error
    for other in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        raise PromptError("a prompt is a single file: it cannot include another", path=place, line=other.lineno)
    undeclared = meta.find_undeclared_variables(tree) - set(_ENVIRONMENT.globals)
    variables: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        if node.name in undeclared:
            variables.setdefault(node.name, node.lineno)
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
    return Template(name, place, digest, _front(source, place), variables, code)


_COMMENT = re.compile(r"\A\{#-?(.*?)-?#\}", re.DOTALL)
_FIELD = re.compile(r"\s*([a-z]+):\s*(.*?)\s*")
_SCALE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)")


def _front(source: str, place: str) -> Front:
    comment = _COMMENT.match(source)
    fields: dict[str, str] = {}
    last = ""
    for number, line in enumerate(comment[1].splitlines() if comment else (), start=1):
        field = _FIELD.fullmatch(line)
        if field and field[1] in ("for", "idea", "reading", "scale"):
            last = field[1]
            if last in fields:
                raise PromptError(f"'{last}' twice in the comment on top", path=place, line=number)
            fields[last] = field[2]
        elif last and line.strip():
            fields[last] += f" {line.strip()}"
    scale = None
    if "scale" in fields:
        match = _SCALE.fullmatch(fields["scale"])
        scale = (float(match[1]), float(match[2])) if match else None
        if scale is None or not scale[0] < scale[1]:
            raise PromptError(f"a scale is written low..high, such as 0..100, not '{fields['scale']}'", path=place)
    return Front(fields.get("for", ""), fields.get("idea", ""), fields.get("reading", ""), scale)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """"; did you mean 'x'?" for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def _builtin_folder() -> Traversable:
    return files("judgekit.prompts")


@cache
def _builtin(name: str) -> Template | None:
    parts = name.split("/")
    file = _builtin_folder().joinpath(*parts[:-1], parts[-1] + SUFFIX)
    if ".." in parts or name.startswith("/") or not file.is_file():
        return None
    return parse(_read(file, name), name, f"prompts/{name}{SUFFIX}")


def _read(file: Traversable | Path, name: str) -> str:
    try:
        return file.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"cannot read the prompt: {error}", path=name) from error


def _walk(folder: Traversable, prefix: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.name.startswith(("_", ".")):
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            yield prefix + entry.name.removesuffix(SUFFIX)


def _plain(value: Any) -> Any:
    """A copy made of plain values only: no object with methods of its own enters the sandbox."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"a prompt takes plain values, not {type(value).__name__}")
