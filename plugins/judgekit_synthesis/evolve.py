"""Evol-Instruct: "WizardLM: Empowering Large Language Models to Follow Complex Instructions" (Xu et al., 2023).

Round after round every task is changed once, by an operation that is drawn: five make it harder, one writes another
task of its field. A change that is eliminated leaves the task for the next round; else its child takes its place.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import judgekit
import judgekit.data
from judgekit_synthesis import OPERATIONS, filters, reading
from judgekit_synthesis.making import Fields, Form, Maker, prompt_name


@dataclass(frozen=True)
class EvolvedTask:
    """A task of the pool: its text (an input stands below the instruction), its id, and that of the first task that it
    came from."""

    id: str
    root: str
    text: str

    @classmethod
    def of(cls, item: Fields) -> EvolvedTask:
        text = f"{item['instruction']}\n{item['input']}" if item["input"] else str(item["instruction"])
        return cls(str(item["id"]), str(item["id"]), text)


@dataclass(frozen=True)
class Change:
    """A task that was changed; `place`: that of the task in the pool."""

    place: int
    parent: EvolvedTask
    operation: str
    text: str
    answer: str = ""


@dataclass
class Evolve:
    """The work: `run` so many rounds over the tasks, `batch` of them at a time.

    `gain`: a change has added something if that is "judged", by `judge` or (None) the writer itself; or, for a model
    that is too weak to be asked, by the "words" that it adds.
    """

    maker: Maker
    items: Sequence[Fields]
    form: Form = "chat"
    operations: Sequence[str] = OPERATIONS
    batch: int = 8
    judge: judgekit.ModelClient | None = None
    gain: Literal["judged", "words"] = "judged"
    _known: set[str] = field(default_factory=set)

    def run(self, rounds: int, keep: int | None) -> bool:
        """Run the rounds. Returns True if all were done, or if `keep` items are there before. Raises CallFailed."""
        maker, pool = self.maker, [EvolvedTask.of(item) for item in self.items]
        self._known |= {filters.folded(task.text) for task in pool}
        for number in range(1, rounds + 1):
            for start in range(0, len(pool), self.batch):
                places = range(start, min(start + self.batch, len(pool)))
                changes = self._changed([(place, pool[place]) for place in places], number)
                for change in changes:
                    if len(maker.tally.kept) == keep:
                        maker.tally.reject("more than were wanted")
                        continue
                    pool[change.place] = self._keep(change, number)
                done = (number - 1) * len(pool) + start + len(places)
                maker.client.progress("evolve", done, rounds * len(pool), f"{len(maker.tally.kept)} kept")
                if len(maker.tally.kept) == keep:
                    return True
        return keep is None

    def _keep(self, change: Change, number: int) -> EvolvedTask:
        """Take the change in; it is the task of the next round."""
        name = f"evolve-{len(self.maker.tally.kept) + 1:05d}"
        self.maker.tally.kept.append(
            {
                "id": name,
                "instruction": change.text,
                "input": "",
                "output": change.answer,
                "operation": change.operation,
                "round": number,
                "parent": change.parent.id,
                "root": change.parent.root,
            }
        )
        return EvolvedTask(name, change.parent.root, change.text)

    # --- stages -------------------------------------------------------------------------------------------------------

    def _changed(self, tasks: Sequence[tuple[int, EvolvedTask]], number: int) -> list[Change]:
        """The changes that pass every rule."""
        written = list(self._write(tasks, number))
        return list(self._answered(self._gained(written)))

    def _write(self, tasks: Sequence[tuple[int, EvolvedTask]], number: int) -> Iterator[Change]:
        maker, first = self.maker, self.maker.tally.asked["changes"]
        drawn = [random.Random(f"{maker.seed} {number} {place}").choice(self.operations) for place, _ in tasks]
        end = {"stop": ("\n",)} if self.form == "open" else {}
        requests = [
            maker.writer.request(
                self._prompt("evolve"),
                {"operation": operation, "task": task.text},
                seed=maker.seed + first + count,
                **end,
            )
            for count, ((_, task), operation) in enumerate(zip(tasks, drawn, strict=True))
        ]
        replies = maker.ask("changes", requests)
        for (place, task), operation, request, reply in zip(tasks, drawn, requests, replies, strict=True):
            text = reading.added(request, reply).strip()
            maker.tally.written += 1
            if fault := filters.reply_fault(reply) or self._fault(task, text):
                maker.tally.reject(f"change: {fault}")
            else:
                self._known.add(filters.folded(text))
                yield Change(place, task, operation, text)

    def _fault(self, task: EvolvedTask, text: str) -> str:
        if all(word in filters.STOP_WORDS for word in judgekit.data.rouge_words(text)):
            return "punctuation and stop words"
        if filters.copied(text):
            return "words of the prompt copied"
        if filters.folded(text) == filters.folded(task.text):
            return "nothing changed"
        return "same as an earlier task" if filters.folded(text) in self._known else ""

    def _gained(self, changes: Sequence[Change]) -> list[Change]:
        """Those that ask for more than their parents, as the judge says, or by their words."""
        maker, model = self.maker, self.judge or self.maker.writer
        if self.gain == "words":
            good = [change for change in changes if filters.adds_words(change.parent.text, change.text)]
            maker.tally.reject("change: no gain in words", len(changes) - len(good))
            return good
        prompt = self._prompt("gain")
        requests = [
            model.request(prompt, {"first": change.parent.text, "second": change.text}, temperature=0.0)
            for change in changes
        ]
        replies = maker.ask("gains", requests, model)
        same = [
            None if filters.reply_fault(reply) == "reply refused" else reading.yes_or_no(reading.added(request, reply))
            for request, reply in zip(requests, replies, strict=True)
        ]
        maker.tally.reject("change: gain not told", same.count(None))
        maker.tally.reject("change: no gain, as judged", same.count(True))
        return [change for change, told in zip(changes, same, strict=True) if told is False]

    def _answered(self, changes: Sequence[Change]) -> Iterator[Change]:
        maker, first = self.maker, self.maker.tally.asked["responses"]
        end = {"stop": ("\n\n", "\nTask:")} if self.form == "open" else {}
        requests = [
            maker.writer.request(self._prompt("answer"), {"task": change.text}, seed=maker.seed + first + count, **end)
            for count, change in enumerate(changes)
        ]
        replies = maker.ask("responses", requests)
        for change, request, reply in zip(changes, requests, replies, strict=True):
            answer = reading.added(request, reply).strip()
            if fault := filters.reply_fault(reply) or filters.answer_fault(answer):
                maker.tally.reject(f"response: {fault}")
            else:
                yield replace(change, answer=answer)

    def _prompt(self, name: str) -> str:
        return prompt_name(name, self.form)
