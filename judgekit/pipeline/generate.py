"""Samples → Requests → Responses: every system answers its samples, in order, through the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, product, starmap

from judgekit.calls.caller import Caller
from judgekit.contracts import Backend
from judgekit.pipeline.prepared import Prepared
from judgekit.prompting.requests import RequestMaker
from judgekit.records import Reply, Response, Sample, Sampling
from judgekit.thoughts import Thoughts

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
    """How a sample is put to this system: its config's style, or its backend's own."""
    return prepared.config.models[system].style or prepared.models[system].default_style


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

    @property
    def answers(self) -> list[str]:
        return [reply.text for reply in self.replies]

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
            raw=tuple(reply.whole for reply in self.replies) if any(reply.raw for reply in self.replies) else (),
            status=last.status,
            detail=f"{turn}{last.detail}" if turn else last.detail,
        )


def without_thoughts(response: Response, thoughts: Thoughts) -> Response:
    """A stored response, perhaps of a version that kept thoughts, as it would be today."""
    answers = tuple(thoughts.part(text).answer for text in response.answers)
    if answers == response.answers:
        return response
    text, *turns = answers
    return response.model_copy(update={"text": text, "turns": tuple(turns), "raw": response.raw or response.answers})


def takes_turns(backend: Backend) -> bool:
    """Whether the backend reads several messages as the turns of a conversation."""
    return "chat" in backend.capabilities and not backend.lacks("chat")


def generate(prepared: Prepared, system: str, caller: Caller) -> Iterator[Response]:
    """The system's responses, by sample and then by repeat.

    Single questions stream through the caller. Conversations are held some at a time: every one of them is asked its
    first turn, then its second with the system's own answer to the first before it, and so on.
    """
    samples, repeats = answered_samples(prepared, system), range(prepared.repeats(system))
    backend, style, sampling = prepared.models[system], style_of(prepared, system), _sampling(prepared, system)
    chat, stored = takes_turns(backend), "stored" in backend.capabilities
    several = any(sample.turns for sample in samples)
    maker = RequestMaker.of(style, sampling, prepared.prompts, chat=chat, stored=stored)
    if not several:
        replies = caller.calls("generate", starmap(maker.call, product(samples, repeats)))
        for (sample, repeat), reply in zip(product(samples, repeats), replies, strict=True):
            yield Talk(sample, repeat, [reply]).response(system)
        return
    talks = starmap(Talk, product(samples, repeats))
    held = max(WINDOW, caller.batch)
    while window := list(islice(talks, held)):
        while under_way := [talk for talk in window if not talk.over]:
            replies = caller.calls(
                "generate", [maker.call(talk.sample, talk.repeat, talk.answers) for talk in under_way]
            )
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
