"""Self-Instruct: "Self-Instruct: Aligning Language Models with Self-Generated Instructions" (Wang et al., 2023).

From a few seed tasks and what was kept before, a model writes new tasks; says whether each asks for one of a few fixed
labels; and writes an example, for such a task the label first, so that not all get the same one. What is too near to an
earlier task, or no task for a model of text, is left out, and counted by its reason.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import judgekit
from judgekit_synthesis import filters, reading
from judgekit_synthesis.making import Fields, Form, Maker, prompt_name
from judgekit_synthesis.novelty import Novelty

STOPS = ("\nTask:", "\n\n")  # where the example of an open turn ends


@dataclass(frozen=True)
class SelfInstructOptions:
    """The options that decide the items. A prompt shows `shown[0]` seeds and `shown[1]` kept tasks (seeds, until there
    are so many) and asks for `wanted` new ones; `batch` such calls are made from what was kept before. `words`: the
    fewest and the most of a task. `near`: the ROUGE-L to an earlier task from which a new one is left out. `form`:
    prompts for a chat model, in English or Korean, or ones that a small or base model continues."""

    form: Form = "chat"
    shown: tuple[int, int] = (6, 2)
    wanted: int = 4
    batch: int = 8
    examples: int = 2
    words: tuple[int, int] = (4, 150)
    near: float = 0.7
    forbidden: tuple[str, ...] = filters.FORBIDDEN

    def check(self) -> None:
        """Raises UsageError for a recipe that makes nothing."""
        if self.words[0] > self.words[1]:
            raise judgekit.UsageError(f"--words: no task has at least {self.words[0]} and at most {self.words[1]}")
        if self.shown[0] < 1:
            raise judgekit.UsageError("--show: a prompt shows one seed at least")

    def prompt(self, name: str) -> str:
        return prompt_name(name, self.form)


class _Example(NamedTuple):
    """A task with an example; `labels`: it asks for a label."""

    task: str
    labels: bool
    instance: reading.Instance


@dataclass
class SelfInstruct:
    """The work: `run` until there are enough, or until it has asked for tasks often enough."""

    maker: Maker
    seeds: Sequence[Fields]
    recipe: SelfInstructOptions
    _known: Novelty = field(init=False)

    def __post_init__(self) -> None:
        self._forbidden = filters.forbidden_pattern(self.recipe.forbidden)
        self._ascii = filters.begin_in_ascii([str(seed["instruction"]) for seed in self.seeds])
        self._known = Novelty(self.recipe.near)
        for seed in self.seeds:
            self._known.add(str(seed["instruction"]))
        answered = [seed for seed in self.seeds if seed["output"]]
        self._labelled = [seed for seed in answered if seed.get("classification") is True and seed["input"]]
        self._free = [seed for seed in answered if seed not in self._labelled]
        if not self._free:
            raise judgekit.UsageError(
                "no seed has an output (and is no classification): examples are made after theirs"
            )

    def run(self, keep: int, tries: int) -> bool:
        """Make items. Returns True if there are `keep` after at most `tries` calls for tasks. Raises CallFailed."""
        maker, tally = self.maker, self.maker.tally
        while len(tally.kept) < keep and tally.asked["tasks"] < tries:
            tasks = self._tasks(min(self.recipe.batch, tries - tally.asked["tasks"]))
            for task, labels, instance in self._instances(tasks):
                if len(tally.kept) == keep:
                    tally.reject("more than were wanted")
                    continue
                tally.kept.append(
                    {
                        "id": f"self-instruct-{len(tally.kept) + 1:05d}",
                        "instruction": task,
                        "input": instance.input,
                        "output": instance.output,
                        "classification": labels,
                    }
                )
            maker.client.progress(
                "self-instruct", len(tally.kept), keep, f"{judgekit.counted(tally.asked['tasks'], 'call')} for tasks"
            )
        return len(tally.kept) == keep

    # --- stages -------------------------------------------------------------------------------------------------------

    def _tasks(self, calls: int) -> list[str]:
        """New tasks that pass every rule, from so many calls."""
        maker, tally = self.maker, self.maker.tally
        first = tally.asked["tasks"]
        requests = [self._request(number) for number in range(first, first + calls)]
        good = []
        for request, reply in zip(requests, maker.ask("tasks", requests), strict=True):
            if reply.status in ("refused", "error"):
                tally.reject(f"tasks: reply {'refused' if reply.status == 'refused' else 'missing'}")
                continue
            written = reading.numbered(reading.opened(request, reply), cut=reply.status == "truncated")
            tally.reject("tasks: no numbered task in the reply", not written)
            tally.written += len(written)
            for task in written:
                fault = "task empty" if not task else self._fault(task)
                if fault:
                    tally.reject(fault)
                else:
                    self._known.add(task)
                    good.append(task)
        return good

    def _request(self, number: int) -> judgekit.Request:
        recipe, draw = self.recipe, self._drawing("tasks", number)
        kept = [str(item["instruction"]) for item in self.maker.tally.kept]
        own = draw.sample(kept, min(recipe.shown[1], len(kept)))
        others = [str(seed["instruction"]) for seed in self.seeds]
        shown = own + draw.sample(others, min(sum(recipe.shown) - len(own), len(others)))
        draw.shuffle(shown)
        end = {"stop": (f"\n{len(shown) + recipe.wanted + 1}.", "\n\n")} if recipe.form == "open" else {}
        context = {"tasks": shown, "wanted": recipe.wanted}
        return self.maker.writer.request(recipe.prompt("tasks"), context, seed=self.maker.seed + number, **end)

    def _fault(self, task: str) -> str:
        fault = filters.task_fault(task, self.recipe.words, self._forbidden, ascii_only=self._ascii)
        return fault or ("task too near to an earlier one" if self._known.near(task) else "")

    def _instances(self, tasks: Sequence[str]) -> list[_Example]:
        """The tasks that get an example."""
        kinds = self._kinds(tasks)
        chosen = [(task, labels) for task, labels in zip(tasks, kinds, strict=True) if labels is not None]
        first = self.maker.tally.asked["examples"]
        requests = [self._example(task, labels, first + place) for place, (task, labels) in enumerate(chosen)]
        replies = self.maker.ask("examples", requests)
        kept = []
        for (task, labels), request, reply in zip(chosen, requests, replies, strict=True):
            instance = self._instance(task, labels, request, reply)
            if isinstance(instance, str):
                self.maker.tally.reject(instance)
            else:
                kept.append(_Example(task, labels, instance))
        return kept

    def _kinds(self, tasks: Sequence[str]) -> list[bool | None]:
        """True for each task that asks for one of a few labels; None: not told. Not asked where no seed is of that
        kind."""
        if not self._labelled:
            return [False] * len(tasks)
        prompt = self.recipe.prompt("kind")
        requests = [self.maker.writer.request(prompt, {"instruction": task}, temperature=0.0) for task in tasks]
        replies = self.maker.ask("kinds", requests)
        kinds = [
            None if reply.status in ("refused", "error") else reading.yes_or_no(reading.added(request, reply))
            for request, reply in zip(requests, replies, strict=True)
        ]
        self.maker.tally.reject("kind of task not told", kinds.count(None))
        return kinds

    def _example(self, task: str, labels: bool, number: int) -> judgekit.Request:
        pool = self._labelled if labels else self._free
        examples = self._drawing("examples", number).sample(pool, min(self.recipe.examples, len(pool)))
        plain = [{key: example[key] for key in ("instruction", "input", "output")} for example in examples]
        prompt = self.recipe.prompt("labelled" if labels else "instance")
        end = {"stop": STOPS} if self.recipe.form == "open" else {}
        context = {"examples": plain, "instruction": task}
        return self.maker.writer.request(prompt, context, seed=self.maker.seed + number, **end)

    def _instance(
        self, task: str, labels: bool, request: judgekit.Request, reply: judgekit.Reply
    ) -> reading.Instance | str:
        """The first good example in a reply, or why there is none."""
        if reply.status == "error":
            return "example: reply missing"
        if fault := filters.reply_fault(reply):
            return f"example: {fault}"
        proposed, conflicting = filters.without_conflicts(
            reading.instances(reading.opened(request, reply), labelled=labels)
        )
        self.maker.tally.reject("examples of the same input with other outputs", conflicting)
        faults = [filters.instance_fault(instance, task) for instance in proposed]
        good = next((one for one, fault in zip(proposed, faults, strict=True) if not fault), None)
        return good or next(iter(faults), "no example in the reply" if not conflicting else "only conflicting examples")

    def _drawing(self, stage: str, number: int) -> random.Random:
        return random.Random(f"{self.maker.seed} {stage} {number}")
