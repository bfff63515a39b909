"""Samples → Requests → Responses: every system answers its samples, in order, through the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import tee

from judgekit.calling import Caller
from judgekit.contracts import Backend
from judgekit.preparation import Prepared
from judgekit.records import Message, Request, Response, Sample, Sampling
from judgekit.templates import Prompts, Template, render_instruction, style_template

DEFAULT_MAX_NEW_TOKENS = 256


def answered_samples(prepared: Prepared, system: str) -> tuple[Sample, ...]:
    """The samples that some metric needs this system's responses to."""
    names = [
        metric.data.name
        for metric in prepared.metrics
        if "responses" in metric.metric.needs and system in metric.systems
    ]
    return tuple(sample for name in dict.fromkeys(names) for sample in prepared.datasets[name].samples)


def instruction_template(prepared: Prepared, system: str) -> Template:
    """The prompt that makes the system's requests of samples: its config's style, or its backend's own."""
    style = prepared.spec.models[system].style or prepared.models[system].default_style
    return style_template(style, prepared.prompts)


def generate(prepared: Prepared, system: str, caller: Caller) -> Iterator[Response]:
    """The system's responses, by sample and then by repeat."""
    spec, backend = prepared.spec.models[system], prepared.models[system]
    sampling = _sampling(spec.sampling, prepared.spec.seed)
    style = spec.style or backend.default_style
    repeats = prepared.repeats(system)
    plan = (
        (sample, repeat) for sample in answered_samples(prepared, system) for repeat in range(repeats)
    )
    asked, kept = tee(plan)
    requests = _requests(asked, sampling, style, backend, prepared.prompts)
    for (sample, repeat), reply in zip(kept, caller.calls("generate", requests), strict=True):
        yield Response(
            system=system,
            sample_id=sample.id,
            repeat=repeat,
            text=reply.text,
            status=reply.status,
            detail=reply.detail,
        )


def _sampling(sampling: Sampling, seed: int) -> Sampling:
    return sampling.model_copy(
        update={
            "seed": seed if sampling.seed is None else sampling.seed,
            "max_new_tokens": sampling.max_new_tokens or DEFAULT_MAX_NEW_TOKENS,
        }
    )


def _requests(
    plan: Iterable[tuple[Sample, int]], sampling: Sampling, style: str, backend: Backend, prompts: Prompts
) -> Iterator[tuple[Request, int, int]]:
    stored = "stored" in backend.capabilities
    seed = sampling.seed or 0
    for sample, repeat in plan:
        message = Message(role="user", content=render_instruction(style, sample, prompts))
        drawn = sampling.model_copy(update={"seed": seed + repeat})
        request = Request(messages=(message,), sampling=drawn, sample_id=sample.id if stored else "")
        yield request, repeat, 0
