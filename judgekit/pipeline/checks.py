"""Checks that no part of a run can make alone: what the config, the samples and the backends say of each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import product

from judgekit.calls.caller import Caller
from judgekit.config.blocks import ModelConfig
from judgekit.contracts import Backend
from judgekit.data.groups import check_groups, clusters
from judgekit.errors import PromptError
from judgekit.judging.planning import TASKS, PlannedPanel
from judgekit.judging.questions import Question
from judgekit.judging.readings import requests_of
from judgekit.pipeline.generate import answered_samples
from judgekit.pipeline.prepared import Prepared, Problems, check_backend, data_label, uses
from judgekit.records import Call, Message, Request, Sample, Sampling


def check_budget(prepared: Prepared, problems: Problems) -> None:
    """A cap in tokens or money needs the most that each call can take; in money, its price too."""
    budget = prepared.config.budget
    if budget is None or (budget.tokens is None and budget.usd is None):
        return
    for label, backend in prepared.backends.items():
        if backend.free:
            continue
        price = prepared.parts[label].price
        if budget.usd is not None and price is None:
            known = "price: {input: …, output: …}, in USD a million tokens; 0 and 0 if it costs nothing"
            problems.add(label, f"budget.usd is set, and what this costs is not known: add {known}")
        judge = prepared.judges.single.get(label.removeprefix("judges.")) if label.startswith("judges.") else None
        if judge is None or judge.config.sampling.max_new_tokens is not None:
            continue
        if budget.tokens is None and price is not None and price.output == 0:
            continue  # however long a reply gets
        for template in judge.written:
            if template.front.tokens is None:
                message = f"a budget needs the most that a reply can take, and {template.name} sets none"
                problems.add(label, f"{message}: add max_new_tokens")


def check_fields(prepared: Prepared, problems: Problems) -> None:
    """The fields of the samples that the statistics are by must be there."""
    settings = prepared.config.statistics
    measured = {planned.data.name: planned.data.samples for planned in prepared.metrics}
    named = {data_label(name): samples for name, samples in measured.items()}
    for samples in measured.values() if settings.cluster is not None else ():
        problems.attempt("statistics.cluster", clusters, samples, settings.cluster or "")
    for field_name in settings.by if measured else ():
        with problems.collecting("statistics.by"):
            for wrong, message in check_groups(named, field_name):
                (problems.add if wrong else problems.warn)("statistics.by", message)


def check_prompts(prepared: Prepared, problems: Problems) -> None:
    """What a judge's prompt shows must be there, before anything is asked: the prompt is tried on one sample of each
    kind, which is the fields that it has."""
    for planned in prepared.metrics:
        asked = planned.metric.needs & set(TASKS)
        if not asked or planned.judge not in {*prepared.judges.single, *prepared.judges.panels}:
            continue
        judge = prepared.judges[planned.judge or ""]
        kinds = {frozenset(sample.metadata): sample for sample in planned.data.samples[::-1] if not sample.turns}
        for one in judge.members.values() if isinstance(judge, PlannedPanel) else [judge]:
            tasks = [task for task in TASKS if task in asked and task in one.readings]
            for task, sample in product(tasks, kinds.values()):
                try:
                    requests_of(one.reading(task), Question.of(sample, ["…"] if task == "score" else ["…", "…"]))
                except PromptError as error:
                    there = ", ".join(map(repr, sample.metadata)) or "none"
                    had = f"the sample {sample.id!r}, whose metadata are: {there}"
                    problems.add(f"judges.{one.name}", f"{error}; tried on {had}")
                    break


def check_stored(prepared: Prepared, problems: Problems) -> None:
    """Stored responses are matched by the samples' ids: a system that does not know a sample is no match for it."""
    for system, backend in prepared.models.items():
        with problems.collecting(f"models.{system}"):
            known = backend.known_ids()
            if known is None:
                continue
            samples = {sample.id: sample for sample in answered_samples(prepared, system)}
            _check_is_no_reference(system, backend, list(samples.values()), problems)
            if missing := [sample_id for sample_id in samples if sample_id not in known]:
                others = sorted(set(known) - set(samples))
                having = f"; it has others, such as {_some(others)}" if others else ""
                problems.add(
                    f"models.{system}",
                    f"knows nothing of {len(missing)} of the {len(samples)} samples, such as {_some(missing)}{having}. "
                    "Responses are matched by id (or by instruction and input), never by position",
                )


LOOKED_AT = 20  # samples, for answers that are the references


def _check_is_no_reference(system: str, backend: Backend, samples: Sequence[Sample], problems: Problems) -> None:
    """A field that is read as the answer and as the reference makes any system perfect."""
    looked = samples[:LOOKED_AT] if "stored" in backend.capabilities else ()
    asked = [sample for sample in looked if sample.reference and not sample.turns]
    requests = [Request(messages=(Message(role="user", content="…"),), sample_id=sample.id) for sample in asked]
    said = [backend.generate([request])[0].text for request in requests]
    if len(asked) > 2 and all(text == sample.reference for text, sample in zip(said, asked, strict=True)):
        found = f"its answers to the first {len(asked)} samples are their references, word for word"
        advice = "say which is the reference by data.mapping: {output: NAME}, or {output: {value: null}} for none"
        problems.warn(f"models.{system}", f"{found}: if one field is read as both, {advice}")


def _some(ids: Sequence[str]) -> str:
    return ", ".join(repr(one) for one in ids[:3])


def check_model_repeats(label: str, model: ModelConfig, backend: Backend, repeats: int, problems: Problems) -> None:
    """Repeats that cannot differ would be counted as noise that is not there."""
    greedy = model.sampling.temperature == 0 or model.sampling.top_k == 1
    why = "stored responses are what they are" if "stored" in backend.capabilities else "temperature 0 or top_k 1"
    if repeats > 1 and (greedy or "stored" in backend.capabilities):
        problems.add(label, f"its {repeats} generation repeats cannot differ ({why}); set repeats: 1, or a temperature")


def check_backends(prepared: Prepared, products: Mapping[str, str], problems: Problems) -> None:
    """Ask every backend what would make all its calls fail; a model still to be trained is asked after training."""
    for label, backend in prepared.backends.items():
        if uses(backend, products.values()):
            problems.unchecked.append(
                f"whether {label} answers: it is asked after the training that makes its checkpoint"
            )
        else:
            check_backend(label, backend, problems)
    for label in by_tokens(prepared):
        if why := prepared.backends[label].lacks("logprobs"):
            problems.add(label, why, 4)


TRIAL = Request(
    messages=(Message(role="user", content="Answer with the letter A."),),
    sampling=Sampling(temperature=0.0, seed=0, max_new_tokens=1),
    top_logprobs=20,
)


def by_tokens(prepared: Prepared) -> list[str]:
    """The parts whose replies are read by the log-probabilities of their tokens."""
    labels = []
    for name, judge in prepared.judges.single.items():
        readings = [judge.reading(task) for task in judge.settings]
        if any(reading.measured and reading.kind == "generate" for reading in readings):
            labels.append(f"judges.{name}")
    for planned in prepared.metrics:
        able = {name: prepared.models[name].capabilities for name in planned.systems}
        labels += [f"models.{name}" for name in planned.metric.by_tokens(able)]
    return list(dict.fromkeys(labels))


def try_by_tokens(prepared: Prepared, callers: Mapping[str, Caller]) -> None:
    """Ask each server whose log-probabilities will be read for one token, where others are to be asked before it: it
    raises BackendError if it gives none. Any other trouble is left to the calls themselves, and so are backends that
    ask in batches: one of a single call takes hours."""
    waited_for = any(not backend.free for backend in prepared.models.values())
    for label in by_tokens(prepared) if waited_for else ():
        if not prepared.backends[label].free and prepared.backends[label].max_batch == 1:
            deque(callers[label].calls("generate", [Call(TRIAL)]), maxlen=0)
