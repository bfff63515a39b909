"""Samples → Requests → Responses: every system answers its samples, in order, through the ledger."""

from __future__ import annotations

from collections.abc import Iterator

from judgekit.calling import Caller
from judgekit.preparation import Prepared
from judgekit.records import Message, Request, Response, Sample, Sampling
from judgekit.templates import Template, render_instruction, style_template

DEFAULT_MAX_NEW_TOKENS = 256


def answered_samples(prepared: Prepared, system: str) -> tuple[Sample, ...]:
    """The samples that some metric needs this system's responses to."""
    names = [
        planned.data.name
        for planned in prepared.metrics
        if "responses" in planned.metric.needs and system in planned.systems
    ]
    return tuple(sample for name in dict.fromkeys(names) for sample in prepared.datasets[name].samples)


def is_instructed(prepared: Prepared, system: str) -> bool:
    """Whether some metric has the system asked instructions."""
    return any(
        system in planned.systems and planned.metric.needs & {"responses", "prompt"} for planned in prepared.metrics
    )


def style_of(prepared: Prepared, system: str) -> str:
    return prepared.spec.models[system].style or prepared.models[system].default_style


def instruction_template(prepared: Prepared, system: str) -> Template:
    """The prompt that a sample becomes for this system: its config's style, or its backend's own."""
    return style_template(style_of(prepared, system), prepared.prompts)


def requests_of(prepared: Prepared, system: str) -> Iterator[tuple[Request, int, int]]:
    """(request, repeat, attempt 0) of every response the system owes, by sample and then by repeat.

    Repeat r draws with seed + r. A backend that looks responses up is told the sample's id.
    """
    sampling = _sampling(prepared, system)
    stored = "stored" in prepared.models[system].capabilities
    for sample in answered_samples(prepared, system):
        prompt = render_instruction(style_of(prepared, system), sample, prepared.prompts)
        for repeat in range(prepared.repeats(system)):
            yield (
                Request(
                    messages=(Message(role="user", content=prompt),),
                    sampling=sampling.model_copy(update={"seed": (sampling.seed or 0) + repeat}),
                    sample_id=sample.id if stored else "",
                ),
                repeat,
                0,
            )


def generate(prepared: Prepared, system: str, caller: Caller) -> Iterator[Response]:
    """The system's responses, by sample and then by repeat."""
    replies = caller.calls("generate", requests_of(prepared, system))
    owed = (
        (sample.id, repeat)
        for sample in answered_samples(prepared, system)
        for repeat in range(prepared.repeats(system))
    )
    for (sample_id, repeat), reply in zip(owed, replies, strict=True):
        yield Response(
            system=system,
            sample_id=sample_id,
            repeat=repeat,
            text=reply.text,
            status=reply.status,
            detail=reply.detail,
        )


def _sampling(prepared: Prepared, system: str) -> Sampling:
    sampling = prepared.spec.models[system].sampling
    return sampling.model_copy(
        update={
            "seed": prepared.spec.seed if sampling.seed is None else sampling.seed,
            "max_new_tokens": sampling.max_new_tokens or DEFAULT_MAX_NEW_TOKENS,
        }
    )
