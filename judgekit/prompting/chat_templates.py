"""A tokenizer's own chat template: read from its files, rendered in a sandbox, and cut at the edges of the answers.

Such a template writes a whole conversation at once, and does not say which part of it is an answer. It is therefore
rendered twice, once with marks in the place of the answers. The text that it writes after every answer, at any place of
the conversation, is the end of an answer."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from judgekit.errors import PromptError
from judgekit.prompting.sandbox import REFUSALS, Sandbox, bounded, bounded_filter

CONFIG, TEMPLATE = "tokenizer_config.json", "chat_template.jinja"
_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")
_NO_MARK = "this chat template does not write what the assistant says as it stands"
# Templates that print today's date get one and the same: the same conversation, the same text.
_DATES = {"%Y-%m-%d": "2024-07-26", "%B %d, %Y": "July 26, 2024"}


class _Generation(Extension):
    """`{% generation %}`, by which some templates mark the assistant's text: ignored."""

    tags = {"generation"}  # noqa: RUF012 (as jinja2 declares it)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """One chat template. `end` is what ends an answer; `lead` is what stands before one, and not in its prompt."""

    def __init__(self, source: str, special: Mapping[str, str], place: str) -> None:
        self.place, self._special = place, dict(special)
        self.tools = "<tool_call>" in source
        content = json.dumps([source, self._special], sort_keys=True)
        self.sha256 = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
        try:
            with bounded():
                self._template = _environment().from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise PromptError(error.message or "bad syntax", path=place, line=error.lineno) from None
        except SecurityError as error:
            raise PromptError(str(error), path=place) from None
        self.lead, self.end = self._around()

    def pieces(self, system: str, asked: Sequence[str], answers: Sequence[str]) -> list[str]:
        """The conversation in pieces, by turns read and learnt; the last turn may be without an answer. Answers are as
        the template shows them: some trim them, and some cut the thoughts of all but the last.

        Raises PromptError where the template refuses the conversation, or changes an answer otherwise.
        """
        told = self._told(system, asked, answers)
        whole, between = self._render(told), self._split(told)
        said = next((each for each in _shown(answers) if _joined(between, each) == whole), None)
        if said is None:
            raise PromptError(_NO_MARK, path=self.place)
        pieces = [between[0]]
        for answer, after in zip(said, between[1:], strict=True):
            if not after.startswith(self.end):
                raise PromptError(f"not every answer ends with {self.end!r} in this chat template", path=self.place)
            lead = self.lead if pieces[-1].endswith(self.lead) else ""  # some have it in the last turn alone
            pieces[-1] = pieces[-1].removesuffix(lead)
            pieces += [lead + answer + self.end, after.removeprefix(self.end)]
        return pieces

    def _around(self) -> tuple[str, str]:
        """The texts that lead an answer and end it, from an empty conversation."""
        asked, answers = ["Hello.", "Hello again."], ["Yes.", "No."]
        _, middle, last = self._split(self._told("", asked, answers))
        shared = next((at for at, pair in enumerate(zip(middle, last, strict=False)) if pair[0] != pair[1]), len(last))
        end = last[:shared]
        if end not in (middle, last) and end.rfind("<") > end.rfind(">"):
            end = end[: end.rfind("<")]  # the beginning of two different special tokens
        prompt = self._render(self._told("", asked[:1], []))
        before = self._split(self._told("", asked[:1], answers[:1]))[0]
        if not before.startswith(prompt):
            raise PromptError("this chat template asks for an answer otherwise than it begins one", path=self.place)
        return before.removeprefix(prompt), end.rstrip()

    def _told(self, system: str, asked: Sequence[str], answers: Sequence[str]) -> list[dict[str, str]]:
        """The messages. Templates that refuse system messages, or leave them out, get them before the first turn."""
        told = []
        for user, answer in zip_longest(asked, answers):
            said = (("user", user), ("assistant", answer))
            told += [{"role": role, "content": content} for role, content in said if content is not None]
        if not system:
            return told
        with_system = [{"role": "system", "content": system}, *told]
        with suppress(PromptError):
            if system.strip() in self._render(with_system):
                return with_system
        return [{"role": "user", "content": f"{system}\n\n{asked[0]}"}, *told[1:]]

    def _split(self, told: Sequence[Mapping[str, str]]) -> list[str]:
        """The texts that the template writes around the answers: one more than there are answers."""
        content = json.dumps(list(told)).encode()
        mark = f"mark{hashlib.sha256(content).hexdigest()[:16]}"
        answers = sum(message["role"] == "assistant" for message in told)
        marked = [{**message, "content": mark} if message["role"] == "assistant" else message for message in told]
        pieces = self._render(marked).split(mark)
        if len(pieces) != answers + 1:
            raise PromptError(_NO_MARK, path=self.place)
        return pieces

    def _render(self, told: Sequence[Mapping[str, str]]) -> str:
        """The text: up to where an answer begins, if the user spoke last."""
        try:
            with bounded():
                return self._template.render(
                    messages=[dict(message) for message in told],
                    add_generation_prompt=told[-1]["role"] == "user",
                    **self._special,
                )
        except REFUSALS as error:
            raise PromptError(f"the chat template refuses the conversation: {error}", path=self.place) from None


def read_chat_template(path: Path) -> ChatTemplate:
    """The chat template of a tokenizer's folder, or in a file. Raises PromptError where there is none."""
    try:
        return _read(path, *((file, file.stat().st_mtime_ns) for file in chat_template_files(path)))
    except OSError as error:
        raise PromptError(f"cannot be read: {error.strerror}", path=path) from None


def chat_template_files(path: Path) -> list[Path]:
    """The files that the template at this place is read from, its own first. Raises PromptError for none."""
    folder = path if path.is_dir() else path.parent
    own = [folder / TEMPLATE] if path.is_dir() else [path]
    files = [file for file in (*own, folder / CONFIG) if file.is_file()]
    if not files or (not path.is_dir() and files[0] != path):
        raise PromptError(f"no chat template: neither a {TEMPLATE} nor a {CONFIG} is here", path=path)
    return files


@lru_cache(maxsize=32)
def _read(path: Path, *dated: tuple[Path, int]) -> ChatTemplate:
    """The template of these files, cached by when they were changed."""
    first, last = dated[0][0], dated[-1][0]
    try:
        config: dict[str, Any] = json.loads(last.read_text("utf-8")) if last.name == CONFIG else {}
        source = first.read_text("utf-8") if first.name != CONFIG else config.get("chat_template")
    except (OSError, ValueError) as error:
        raise PromptError(f"cannot be read: {error}", path=path) from None
    if isinstance(source, list):  # several, by name
        source = next((one.get("template") for one in source if one.get("name") == "default"), None)
    if not isinstance(source, str):
        raise PromptError("the tokenizer has no chat template", path=first)
    tokens = {name: config[name] for name in _SPECIAL if config.get(name) is not None}  # a text, or with its properties
    special = {name: str(token["content"] if isinstance(token, dict) else token) for name, token in tokens.items()}
    return ChatTemplate(source, special, str(first))


def _shown(answers: Sequence[str]) -> Iterator[list[str]]:
    """The answers in the ways in which templates show them: earlier ones, and the last one."""
    ways: list[Callable[[str], str]] = [str, str.strip, _thoughtless, lambda text: _thoughtless(text).strip()]
    for earlier, last in itertools.product(ways, ways):
        yield [*map(earlier, answers[:-1]), *map(last, answers[-1:])]


def _thoughtless(text: str) -> str:
    return text.split("</think>")[-1].lstrip("\n")


def _joined(between: Sequence[str], said: Sequence[str]) -> str:
    return between[0] + "".join(answer + after for answer, after in zip(said, between[1:], strict=True))


def _environment() -> Sandbox:
    """Jinja as `transformers` sets it up: the same whitespace and functions, without access to the machine."""
    environment = Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])

    def refuse(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    environment.filters["tojson"] = bounded_filter("tojson", partial(json.dumps, ensure_ascii=False))
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda form: _DATES.get(form, "26 Jul 2024")}
    return environment
