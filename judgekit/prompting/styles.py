"""Styles, which turn a conversation into the text that a model reads and learns. Training and evaluation render it
here.

A style is a template of one turn, `prompts/instruct/<style>.j2`: it writes everything from the end of the last answer
to the beginning of the next, from `instruction` and `input`; in the first turn (`first`) also from `system`. Its front
matter says what stands before an answer (`lead`), what ends it (`end`) and what follows before the next turn
(`between`). The style `chat_template:PATH` is a tokenizer's own chat template: its folder, or the file.

The text comes in spans. Those of the assistant are learnt: each answer with its lead and end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple, Protocol

from judgekit.errors import PromptError
from judgekit.prompting.chat_templates import ChatTemplate, chat_template_files, read_chat_template
from judgekit.prompting.templates import SUFFIX, Prompts, Template, builtin
from judgekit.records import Sample
from judgekit.text import did_you_mean

FOLDER = "instruct/"  # of the prompts that are styles
CHAT_TEMPLATE = "chat_template:"
VARIABLES = frozenset({"instruction", "input", "choices", "category", "metadata", "system", "first"})


class Span(NamedTuple):
    """A piece of a rendered conversation; `learn`: it is to be learnt. Joined, the spans are the text."""

    text: str
    learn: bool


class Style(Protocol):
    """`lead` is what a model writes before its answer, `end` what it writes after it: empty where only the model's own
    end of text ends the answer. `tools`: it writes tools and their calls as Hermes and Qwen do, within the messages."""

    name: str
    sha256: str
    lead: str
    end: str
    tools: bool

    def turn(self, sample: Sample, first: bool = True) -> str:
        """One turn of the user as the content of a message, for a server that adds a chat format of its own."""

    def spans(self, sample: Sample, answers: Sequence[str]) -> list[Span]:
        """The conversation with these answers to its first turns, up to where the next answer would begin."""


class TurnStyle:
    """A style whose template writes one turn."""

    def __init__(self, template: Template) -> None:
        template.expect(VARIABLES)
        self._template = template
        self.name, self.sha256 = template.name, template.sha256
        self.lead, self.end = template.front.lead, template.front.end
        self.tools = self.end == "<|im_end|>"

    def turn(self, sample: Sample, first: bool = True) -> str:
        return self._turn(sample, "", first)

    def spans(self, sample: Sample, answers: Sequence[str]) -> list[Span]:
        first, *later = turns_of(sample)[: len(answers) + 1]
        # A format without a system message has it in front of the first turn.
        head = f"{sample.system}\n\n" if sample.system and "system" not in self._template.variables else ""
        asked = [head + self._turn(first, sample.system, True)]
        asked += [self._template.front.between + self._turn(turn, "", False) for turn in later]
        learnt = [self.lead + answer + self.end for answer in answers]
        texts = chain.from_iterable(zip_longest(asked, learnt))
        return [Span(text, number % 2 == 1) for number, text in enumerate(texts) if text is not None]

    def _turn(self, turn: Sample, system: str, first: bool) -> str:
        return self._template.render(
            instruction=turn.instruction,
            input=turn.input,
            choices=turn.choices,
            category=turn.category or "",
            metadata=turn.metadata,
            system=system,
            first=first,
        )


class ChatStyle:
    """A tokenizer's own chat template. An input follows its instruction after a blank line."""

    def __init__(self, name: str, template: ChatTemplate) -> None:
        self._template = template
        self.name, self.sha256 = name, template.sha256
        self.lead, self.end, self.tools = template.lead, template.end, template.tools

    def turn(self, sample: Sample, first: bool = True) -> str:
        return f"{sample.instruction}\n\n{sample.input}" if sample.input else sample.instruction

    def spans(self, sample: Sample, answers: Sequence[str]) -> list[Span]:
        asked = [self.turn(turn) for turn in turns_of(sample)[: len(answers) + 1]]
        pieces = self._template.pieces(sample.system, asked, answers)
        return [Span(text, number % 2 == 1) for number, text in enumerate(pieces) if text]


def style_named(name: str, prompts: Prompts | None = None) -> Style:
    """The style of that name. `prompts` adds a run's own: a name with a slash, or one that ends in `.j2`, is that of
    any template. Raises PromptError for an unknown style, and for a chat template that cannot be read."""
    if name.startswith(CHAT_TEMPLATE):
        where = Path() if prompts is None else prompts.where
        return ChatStyle(name, read_chat_template(where / Path(name.removeprefix(CHAT_TEMPLATE)).expanduser()))
    any_prompt = "/" in name or name.endswith(SUFFIX)
    if any_prompt and prompts is not None:
        return TurnStyle(prompts.get(name))
    template = builtin(name if any_prompt else f"{FOLDER}{name}")
    if template is None:
        styles = [known.removeprefix(FOLDER) for known in Prompts().names() if known.startswith(FOLDER)]
        hint = did_you_mean(name, styles) or f"; there are {', '.join(styles)}, and {CHAT_TEMPLATE}FOLDER"
        raise PromptError(f"unknown instruction style '{name}'{hint}")
    return TurnStyle(template)


def style_files(name: str, where: Path = Path()) -> list[Path]:
    """The files that a style of the user's own is read from; none for a shipped one. Raises PromptError for a chat
    template that is not there."""
    if name.startswith(CHAT_TEMPLATE):
        return chat_template_files(where / Path(name.removeprefix(CHAT_TEMPLATE)).expanduser())
    path = where / Path(name).expanduser()
    return [path] if name.endswith(SUFFIX) and path.is_file() else []


def render_instruction(style: str, sample: Sample, prompts: Prompts | None = None) -> str:
    """The prompt that a system under test gets for a sample's first turn: without its system message, in a style that
    is a template of one turn. The reference answer is not in its context. Raises PromptError for an unknown style."""
    named = style_named(style, prompts)
    if isinstance(named, ChatStyle):
        return render_prompt(style, sample, (), prompts)
    return named.turn(sample)


def render_prompt(style: str, sample: Sample, answers: Sequence[str] = (), prompts: Prompts | None = None) -> str:
    """The conversation as one text, up to where the answer after these begins. Raises as `render_instruction` does."""
    return "".join(span.text for span in style_named(style, prompts).spans(sample, answers))


def render_training(style: str, sample: Sample, prompts: Prompts | None = None) -> list[Span]:
    """The conversation with its references as answers, up to its first turn without one. The prompt of each answer is
    what evaluation renders. Raises as `render_instruction` does."""
    answers = []
    for reference in sample.references:
        if reference is None:
            break
        answers.append(reference)
    return style_named(style, prompts).spans(sample, answers)


def turns_of(sample: Sample) -> list[Sample]:
    """The sample's turns, each as a sample of one turn."""
    bare = {"input": "", "turns": (), "turn_references": ()}
    return [sample, *(sample.model_copy(update={"instruction": turn, **bare}) for turn in sample.turns)]
