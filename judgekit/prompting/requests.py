"""Requests to a system under test: a sample, in the system's style, with how its tokens are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from judgekit.prompting.messages import prompt_messages
from judgekit.prompting.styles import style_named
from judgekit.prompting.templates import Prompts
from judgekit.records import Call, Request, Sample, Sampling


@dataclass(frozen=True)
class RequestMaker:
    """How a system is asked: its style, how tokens are drawn, and what its backend can do.

    `chat`: it reads several messages as turns. `stored`: it looks responses up, and is told the sample's id.
    """

    style: str
    sampling: Sampling
    prompts: Prompts
    chat: bool
    stored: bool

    @classmethod
    def of(cls, style: str, sampling: Sampling, prompts: Prompts, *, chat: bool, stored: bool) -> RequestMaker:
        """With the style's end among the stops: the model was taught to write it, and no answer contains it."""
        end = "" if chat else style_named(style, prompts).end.strip()
        if end and end not in sampling.stop:
            sampling = sampling.model_copy(update={"stop": (*sampling.stop, end)})
        return cls(style, sampling, prompts, chat, stored)

    def call(self, sample: Sample, repeat: int, answers: Sequence[str] = ()) -> Call:
        """The call for the turn that comes after these answers of the system. Repeat r draws with seed + r."""
        request = Request(
            messages=prompt_messages(self.style, sample, answers, self.prompts, chat=self.chat),
            sampling=self.sampling.model_copy(update={"seed": (self.sampling.seed or 0) + repeat}),
            sample_id=sample.id if self.stored else "",
        )
        return Call(request, repeat)
