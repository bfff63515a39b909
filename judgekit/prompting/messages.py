"""The messages that put a sample, or a conversation so far, to a model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from judgekit.prompting.styles import style_named, turns_of
from judgekit.prompting.templates import Prompts
from judgekit.records import Message, Sample


def prompt_messages(
    style: str, sample: Sample, answers: Sequence[str], prompts: Prompts | None, *, chat: bool
) -> tuple[Message, ...]:
    """The messages to a system after its `answers` to the sample's first turns.

    With `chat` the turns are messages, every turn of the user rendered in the style. Without, they are one text, the
    same that training renders, with its edges; whitespace at the end of an answer is left out.
    """
    named = style_named(style, prompts)
    if not chat:
        said = [answer.removeprefix(named.lead).rstrip() for answer in answers]
        texts = [span.text for span in named.spans(sample, said)]
        edges = tuple(accumulate(map(len, texts[:-1])))
        return (Message(role="user", content="".join(texts), cuts=edges),)
    asked = [named.turn(turn, number == 0) for number, turn in enumerate(turns_of(sample)[: len(answers) + 1])]
    messages = [Message(role="system", content=sample.system)] if sample.system else []
    for prompt, answer in zip(asked, answers, strict=False):
        messages += [Message(role="user", content=prompt), Message(role="assistant", content=answer)]
    return (*messages, Message(role="user", content=asked[-1]))
