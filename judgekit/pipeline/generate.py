"""Samples → Requests → Responses: every system answers its samples, in order, through the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from judgekit.calls.caller import Caller
from judgekit.contracts import Backend
from judgekit.pipeline.prepared import Prepared
from judgekit.prompting.messages import prompt_messages
from judgekit.prompting.styles import Style, style_named
from judgekit.prompting.templates import Prompts
from judgekit.records import Call, Reply, Request, Response, Sample, Sampling

DEFAULT_MAX_NEW_TOKENS = 256
WINDOW = 256  # conversations under way at once


def answered_samples(prepared: Prepared, system: str) -> tuple[Sample, ...]:
    """The samples that some metric needs this system's responses to."""
    names = [
        planned.data.name
        for planned in prepared.metrics
        if "responses" in planned.metric.needs and system in planned.systems
    ]
    return tuple({sample.id: sample for name in names for sample in prepared.datasets[name].samples}.values())


def is_instructed(prepared: Prepared, system: str) -> bool:
    """Whether some metric has the system asked instructions."""
    return any(
        system in planned.systems and planned.metric.needs & {"responses", "prompt"} for planned in prepared.metrics
    )


def style_of(prepared: Prepared, system: str) -> str:
    return prepared.config.models[system].style or prepared.models[system].default_style


def asked_in(prepared: Prepared, system: str) -> Style:
    """How a sample is put to this system: its config's style, or its backend's own."""
    return style_named(style_of(prepared, system), prepared.prompts)


@dataclass
class Talk:
    """What one sample is asked in one repeat, and the replies so far: one, or one a turn of the user."""

    sample: Sample
    repeat: int
    replies: list[Reply] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether nothing more is asked: every turn has its answer, or one of them failed."""
        failed = bool(self.replies) and self.replies[-1].status != "complete"
        return failed or len(self.replies) > len(self.sample.turns)

    def response(self, system: str) -> Response:
        first, *further = self.replies
        last = self.replies[-1]
        turn = f"turn {len(self.replies)}: " if self.sample.turns and last.status != "complete" else ""
        return Response(
            system=system,
            sample_id=self.sample.id,
            repeat=self.repeat,
            text=first.text,
            turns=tuple(reply.text for reply in further),
            status=last.status,
            detail=f"{turn}{last.detail}" if turn else last.detail,
        )


@dataclass(frozen=True)
class Asking:
    """How a system is asked: its style, how tokens are drawn, and what its backend can do."""

    style: str
    sampling: Sampling
    prompts: Prompts
    chat: bool
    stored: bool

    @classmethod
    def of(cls, prepared: Prepared, system: str) -> Asking:
        backend = prepared.models[system]
        sampling, chat = _sampling(prepared, system), takes_turns(backend)
        end = "" if chat else asked_in(prepared, system).end.strip()
        if end and end not in sampling.stop:  # the model was taught to write it, and no answer contains it
            sampling = sampling.model_copy(update={"stop": (*sampling.stop, end)})
        return cls(
            style=style_of(prepared, system),
            sampling=sampling,
            prompts=prepared.prompts,
            chat=chat,
            stored="stored" in backend.capabilities,
        )

    def call(self, talk: Talk) -> Call:
        """The call for the turn that is next. Repeat r draws with seed + r. A backend that looks
        responses up is told the sample's id."""
        answers = [reply.text for reply in talk.replies]
        request = Request(
            messages=prompt_messages(self.style, talk.sample, answers, self.prompts, chat=self.chat),
            sampling=self.sampling.model_copy(update={"seed": (self.sampling.seed or 0) + talk.repeat}),
            sample_id=talk.sample.id if self.stored else "",
        )
        return Call(request, talk.repeat)


def takes_turns(backend: Backend) -> bool:
    """Whether the backend reads several messages as the turns of a conversation."""
    return "chat" in backend.capabilities and not backend.lacks("chat")


def talks_of(prepared: Prepared, system: str) -> Iterator[Talk]:
    """All that the system is asked, by sample and then by repeat; nothing has been answered yet."""
    for sample in answered_samples(prepared, system):
        for repeat in range(prepared.repeats(system)):
            yield Talk(sample, repeat)


def generate(prepared: Prepared, system: str, caller: Caller) -> Iterator[Response]:
    """The system's responses, by sample and then by repeat.

    Single questions stream through the caller. Conversations are held some at a time: every one of them is asked its
    first turn, then its second with the system's own answer to the first before it, and so on.
    """
    asking = Asking.of(prepared, system)
    if not any(sample.turns for sample in answered_samples(prepared, system)):
        replies = caller.calls("generate", (asking.call(talk) for talk in talks_of(prepared, system)))
        for talk, reply in zip(talks_of(prepared, system), replies, strict=True):
            talk.replies.append(reply)
            yield talk.response(system)
        return
    talks = talks_of(prepared, system)
    held = max(WINDOW, getattr(caller, "batch", 1))
    while window := list(islice(talks, held)):
        while under_way := [talk for talk in window if not talk.over]:
            replies = caller.calls("generate", [asking.call(talk) for talk in under_way])
            for talk, reply in zip(under_way, replies, strict=True):
                talk.replies.append(reply)
        yield from (talk.response(system) for talk in window)


def _sampling(prepared: Prepared, system: str) -> Sampling:
    sampling = prepared.config.models[system].sampling
    return sampling.model_copy(
        update={
            "seed": prepared.config.seed if sampling.seed is None else sampling.seed,
            "max_new_tokens": sampling.max_new_tokens or DEFAULT_MAX_NEW_TOKENS,
        }
    )
