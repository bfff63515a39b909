"""Prompt templates: one Jinja2 file each, with its settings in a comment on top.

    {#- for: what the prompt asks, of whom
        idea: where it comes from
        reading: how the reply is read (integer, reason_json, likelihood_ratio, …)
        scale: 0..100
        tokens: 512
        needs: reference
        rubric:
          0: what a reply on this level is like
          100: and on this
        steps: steps/geval
        pattern: how a reply writes its verdict, as a regular expression with one group
        tie: the letter that the prompt gives a tie -#}
    The prompt begins here.

A style (`styles`), which writes conversations, may say what its format has around an answer: `lead` before it, `end`
behind it, and what stands `between` two turns. What begins with a quotation mark is a JSON string.

A prompt of several turns marks each by a comment of its own: `{#- system -#}`, `{#- user -#}`, `{#- assistant -#}`.
Turns are cut in the source, before anything is filled in, so that no value can open one.

One newline at the very end belongs to the file and not to the prompt: a prompt that must end in a newline ends in
two. A prompt is a single file without includes, so the sha256 of its source says all about it. Templates run in
Jinja's immutable sandbox with plain values only, and rendered text is never rendered again: `{{7*7}}` in a response
stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
import traceback
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import chain
from pathlib import Path
from types import CodeType
from typing import Any, cast

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError
from pydantic import JsonValue

from judgekit.errors import PromptError
from judgekit.prompting.sandbox import REFUSALS, Sandbox, bounded
from judgekit.records import Message, Role
from judgekit.text import did_you_mean

Plain = JsonValue | tuple[str, ...]
SUFFIX = ".j2"


_ENVIRONMENT = Sandbox(undefined=jinja2.StrictUndefined, autoescape=False)


@dataclass(frozen=True)
class Front:
    """The comment on top of a template.

    `scale` is the range that the prompt asks for, `tokens` the most that a reply to it may take, and `needs` is
    "reference" where the prompt makes no sense without a reference answer. `rubric` says what levels of the scale
    mean, where the config says nothing else, and `steps` names the prompt by which the judge writes evaluation steps.
    `pattern` and `tie` say how a reply writes its verdict. `lead`, `end` and `between` are those of a style.
    """

    purpose: str = ""
    idea: str = ""
    reading: str = ""
    scale: tuple[float, float] | None = None
    tokens: int | None = None
    needs: str = ""
    rubric: Mapping[int, str] = field(default_factory=dict)
    steps: str = ""
    pattern: str = ""
    tie: str = ""
    lead: str = ""
    end: str = ""
    between: str = "\n\n"


@dataclass(frozen=True)
class Template:
    """A compiled prompt. `sha256` is that of its source, comments included; `place` names the file in errors."""

    name: str
    place: str
    sha256: str
    front: Front
    variables: Mapping[str, int]  # what it reads from its context, each with its first line
    turns: tuple[tuple[Role, CodeType], ...]

    def expect(self, known: Collection[str]) -> None:
        """Refuse a template that names a variable outside `known`, before anything is rendered."""
        for variable, line in sorted(self.variables.items(), key=lambda item: item[1]):
            if variable not in known:
                hint = did_you_mean(variable, known) or f"; known here: {', '.join(sorted(known))}"
                raise PromptError(f"unknown variable {variable!r}{hint}", path=self.place, line=line)

    def messages(self, **context: Plain) -> tuple[Message, ...]:
        """The prompt, turn by turn. Raises PromptError with file and line when the template fails."""
        values = {name: _plain(value) for name, value in context.items()}
        return tuple(Message(role=role, content=self._fill(code, values)) for role, code in self.turns)

    def render(self, **context: Plain) -> str:
        """The prompt as one text: its turns, joined by a blank line (nearly every prompt has one turn)."""
        return "\n\n".join(message.content for message in self.messages(**context))

    def _fill(self, code: CodeType, values: dict[str, Any]) -> str:
        template = jinja2.Template.from_code(_ENVIRONMENT, code, dict(_ENVIRONMENT.globals))
        try:
            with bounded():
                return template.render(values)
        except REFUSALS as error:
            frames = traceback.walk_tb(error.__traceback__)
            lines = [line for frame, line in frames if frame.f_code.co_filename == self.place]
            line = lines[-1] if lines else None
            raise PromptError(f"{type(error).__name__}: {error}", path=self.place, line=line) from error


class Prompts:
    """All templates of a run by name: the built-in ones, the plugins' folders by prefix, the user's own files.

    `score/integer` and `PREFIX/file` (with or without `.j2`) name shipped templates; any other name that ends
    in `.j2` is a path relative to the folder of the config.
    """

    def __init__(self, folders: Mapping[str, Traversable] | None = None, where: Path = Path()) -> None:
        self._folders = dict(folders or {})
        self.where = where
        builtin = {entry.name for entry in _builtin_folder().iterdir() if entry.is_dir()}
        if clash := sorted(builtin & set(self._folders)):
            raise PromptError(f"a plugin offers prompts under the prefix '{clash[0]}', which is built in")

    def names(self) -> list[str]:
        """Names of all shipped templates, built-in and from plugins, sorted."""
        plugins = (_walk(folder, f"{prefix}/") for prefix, folder in self._folders.items())
        return sorted([*_walk(_builtin_folder(), ""), *chain.from_iterable(plugins)])

    def get(self, name: str) -> Template:
        """The template of that name. Raises PromptError when there is none, or when it does not compile."""
        if (shipped := self._shipped(name.removesuffix(SUFFIX))) is not None:
            return shipped
        if name.endswith(SUFFIX) and (path := self.where / Path(name).expanduser()).is_file():
            return parse(_read(path, name), name, str(path))
        hint = did_you_mean(name, self.names())
        raise PromptError(f"unknown prompt '{name}'{hint or '; `judgekit list prompts` names them all'}")

    def _shipped(self, name: str) -> Template | None:
        prefix, _, rest = name.partition("/")
        if prefix in self._folders:
            return _template_in(self._folders[prefix], rest, name, f"{name}{SUFFIX}")
        return builtin(name)


def parse(source: str, name: str, place: str) -> Template:
    """Compile a template from its source. Raises PromptError with the line for bad syntax or a bad comment."""
    turns: list[tuple[Role, CodeType]] = []
    variables: dict[str, int] = {}
    for role, text in _turns(source, place):
        try:
            with bounded():
                tree = _ENVIRONMENT.parse(text, name, place)
                code = _ENVIRONMENT.compile(text, name, place)
        except jinja2.TemplateSyntaxError as error:
            raise PromptError(error.message or "bad syntax", path=place, line=error.lineno) from error
        except SecurityError as error:
            raise PromptError(str(error), path=place) from None
        for other in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
            raise PromptError("a prompt is a single file: it cannot include another", path=place, line=other.lineno)
        undeclared = meta.find_undeclared_variables(tree) - set(_ENVIRONMENT.globals)
        for node in tree.find_all(nodes.Name):
            if node.name in undeclared:
                variables.setdefault(node.name, node.lineno)
        turns.append((role, code))
    digest = hashlib.sha256(source.encode("utf-8")).hexdigest()
    return Template(name, place, digest, _front(source, place), variables, tuple(turns))


_TURN = re.compile(r"[ \t]*\{#-[ \t]*(system|user|assistant)[ \t]*-#\}")


def _turns(source: str, place: str) -> Iterator[tuple[Role, str]]:
    """(role, source) of each turn. Each starts with a comment of as many lines as stand above it in the file, so
    that Jinja counts lines as the file does."""
    marks = list(_TURN.finditer(source))
    if not marks:
        yield "user", source
        return
    if _COMMENT.sub("", source[: marks[0].start()]).strip():
        raise PromptError("text before the first turn", path=place, line=source.count("\n", 0, marks[0].start()) + 1)
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        above = source.count("\n", 0, mark.end())
        text = source[mark.end() : after.start() if after else len(source)]
        # the whitespace before the next mark belongs to the file, as `{#-` says
        yield cast("Role", mark[1]), "{#" + "\n" * above + "-#}" + (text.rstrip() if after else text)


_COMMENT = re.compile(r"\A\{#-?(.*?)-?#\}", re.DOTALL)
_LITERALS = ("pattern", "lead", "end", "between")
_FIELDS = (
    "for",
    "idea",
    "reading",
    "scale",
    "tokens",
    "needs",
    "rubric",
    "steps",
    "pattern",
    "tie",
    "lead",
    "end",
    "between",
)
_FIELD = re.compile(rf"\s*({'|'.join(_FIELDS)}):\s*(.*?)\s*")
_LIKE_A_FIELD = re.compile(r"\s*([a-z_]+):\s.*")
_LEVEL = re.compile(r"(-?[0-9]+):\s*(.*)")
_SCALE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)")


def _front(source: str, place: str) -> Front:
    fields = _fields(source, place)
    scale = _scale(fields["scale"], place) if "scale" in fields else None
    rubric = _rubric(fields["rubric"], place) if "rubric" in fields else {}
    if rubric:
        low, high = min(rubric), max(rubric)
        scale = scale or (float(low), float(high))
        if scale != (low, high):
            raise PromptError(f"the rubric has levels {low} to {high}, the scale other ends", path=place)
    tokens = fields.get("tokens", "1")
    if not tokens.isdecimal() or int(tokens) < 1:
        raise PromptError(f"'tokens' is a number of tokens, not '{tokens}'", path=place)
    if fields.get("needs", "reference") != "reference":
        raise PromptError(f"a prompt can need a 'reference', not '{fields['needs']}'", path=place)
    texts = {key: text for key, text in fields.items() if key in ("idea", "reading", "needs", "steps", "tie")}
    literals = {key: _literal(text, place) for key, text in fields.items() if key in _LITERALS}
    limit = int(tokens) if "tokens" in fields else None
    return Front(purpose=fields.get("for", ""), scale=scale, tokens=limit, rubric=rubric, **texts, **literals)


def _literal(text: str, place: str) -> str:
    """A text as it stands, or (within quotation marks) as a JSON string."""
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        raise PromptError(f"not a JSON string: {text}", path=place) from None


def _fields(source: str, place: str) -> dict[str, str]:
    """The fields of the comment on top. One may run over several lines; those of a rubric stay apart."""
    comment = _COMMENT.match(source)
    fields: dict[str, str] = {}
    last = ""
    for number, line in enumerate(comment[1].splitlines() if comment else (), start=1):
        if match := _FIELD.fullmatch(line):
            last = match[1]
            if last in fields:
                raise PromptError(f"'{last}' twice in the comment on top", path=place, line=number)
            fields[last] = match[2]
        elif (like := _LIKE_A_FIELD.fullmatch(line)) and (hint := did_you_mean(like[1], _FIELDS)):
            raise PromptError(f"unknown key '{like[1]}' in the comment on top{hint}", path=place, line=number)
        elif last and line.strip():
            fields[last] += f"\n{line.strip()}" if last == "rubric" else f" {line.strip()}"
    return fields


def _scale(text: str, place: str) -> tuple[float, float]:
    scale = _SCALE.fullmatch(text)
    if scale is None or not float(scale[1]) < float(scale[2]):
        raise PromptError(f"a scale is written low..high, such as 0..100, not '{text}'", path=place)
    return float(scale[1]), float(scale[2])


def _rubric(text: str, place: str) -> dict[int, str]:
    """Levels by number, the lowest first. A line without a number continues the level above it."""
    rubric: dict[int, str] = {}
    for line in filter(None, text.splitlines()):
        level = _LEVEL.fullmatch(line)
        if level and int(level[1]) in rubric:
            raise PromptError(f"the rubric has the level {level[1]} twice", path=place)
        if level:
            rubric[int(level[1])] = level[2]
        elif rubric:
            rubric[list(rubric)[-1]] += f" {line}"
        else:
            raise PromptError(f"a rubric has lines like '1: what a reply on it is like', not '{line}'", path=place)
    if len(rubric) < 2 or not all(rubric.values()):
        raise PromptError("a rubric has two levels at least, each with its description", path=place)
    return dict(sorted(rubric.items()))


def _builtin_folder() -> Traversable:
    return files("judgekit.prompts")


@cache
def builtin(name: str) -> Template | None:
    """The built-in template of that name, if there is one."""
    return _template_in(_builtin_folder(), name, name, f"prompts/{name}{SUFFIX}")


def _template_in(folder: Traversable, inside: str, name: str, place: str) -> Template | None:
    """The template in a folder of prompts, by its name inside; None where there is none, or the name leads out."""
    *parents, last = inside.split("/")
    file = folder.joinpath(*parents, last + SUFFIX)
    led_out = ".." in parents or inside.startswith("/")
    return None if led_out or not file.is_file() else parse(_read(file, name), name, place)


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
