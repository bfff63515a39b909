"""A judge that is a language model: responses in, verdicts out, in order, with flat memory and a full pool.

What is asked and how it is read is readings.py's business; here is only the stream. Questions are pulled as the
caller has room for them. A judge that writes and was not understood is asked once more; the verdict says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol

from judgekit.errors import PromptError
from judgekit.readings import Kind, Question, Reading, Setting, Task, reading_for
from judgekit.records import Reply, Request, Sample, Sampling, Verdict
from judgekit.templates import Template

WINDOW = 64  # verdicts held back while the unparsed ones among them are asked again


class Caller(Protocol):
    """What carries requests to a backend and its replies back."""

    def calls(self, kind: Kind, items: Iterable[tuple[Request, int, int]]) -> Iterator[Reply]:
        """One reply a (request, repeat, attempt), in order. Items are pulled as there is room for them."""


class LLMJudge:
    """A judge of the contract: `score` and `compare`, each by the prompt of its task.

    `templates` holds a prompt by task. `schema` says that the backend can be held to a JSON schema. Judge repeat r
    draws with seed + r.
    """

    def __init__(
        self,
        name: str,
        caller: Caller,
        templates: Mapping[Task, Template],
        sampling: Sampling | None = None,
        *,
        schema: bool = False,
        backend: str = "",
    ) -> None:
        self.name = name
        self.backend = backend
        self._caller = caller
        self._settings: dict[Task, Setting] = {
            task: Setting(name, template, sampling or Sampling(), schema) for task, template in templates.items()
        }

    def reading(self, task: Task) -> Reading:
        """How this judge is asked for a task; its `kind` names the capability that the backend must have.

        Raises PromptError when the judge has no prompt for the task, or one that does not fit it: ask before a run.
        """
        if task not in self._settings:
            raise PromptError(f"judge {self.name!r} has no prompt for the task {task!r}")
        return reading_for(task, self._settings[task])

    @property
    def order_free(self) -> bool:
        """Whether `compare` reads each response on its own, so that both orders agree by construction."""
        return self.reading("pairwise").kind == "loglikelihood"

    def score(self, items: Iterable[tuple[Sample, str, int]]) -> Iterator[Verdict]:
        """Verdicts on (sample, response text, judge repeat), on the prompt's scale."""
        questions = (Question(sample, (response,), repeat) for sample, response, repeat in items)
        return self._verdicts(self.reading("score"), questions)

    def compare(self, items: Iterable[tuple[Sample, str, str, int]]) -> Iterator[tuple[Verdict, Verdict]]:
        """Verdicts on (sample, response a, response b, judge repeat), asked in both orders.

        Each value is the preference for a in [0, 1]; the first verdict showed a first, the second b.
        """
        questions = (
            Question(sample, (b, a) if swapped else (a, b), repeat, swapped)
            for sample, a, b, repeat in items
            for swapped in (False, True)
        )
        verdicts = self._verdicts(self.reading("pairwise"), questions)
        return zip(verdicts, verdicts, strict=True)  # one iterator twice: its verdicts two by two

    def _verdicts(self, reading: Reading, questions: Iterable[Question]) -> Iterator[Verdict]:
        first = self._ask(reading, ((question, reading.requests(question)) for question in questions), attempt=0)
        if reading.kind == "loglikelihood":  # a measurement: asked again, it would say the same
            yield from (verdict for _, verdict in first)
            return
        # While a window's re-asks are under way, the first questions of the next windows stay in flight.
        while window := list(islice(first, WINDOW)):
            again = {
                place: requests
                for place, (question, verdict) in enumerate(window)
                if verdict.status == "unparsed" and (requests := _another_way(reading, question))
            }
            asked = ((window[place][0], requests) for place, requests in again.items())
            second = dict(zip(again, self._ask(reading, asked, attempt=1), strict=True))
            for place, (_, verdict) in enumerate(window):
                yield _of_both(verdict, second[place][1]) if place in second else verdict

    def _ask(
        self, reading: Reading, asked: Iterable[tuple[Question, tuple[Request, ...]]], attempt: int
    ) -> Iterator[tuple[Question, Verdict]]:
        """Each question with its verdict, in order. Questions without a request cost no call."""
        waiting: deque[tuple[Question, int]] = deque()

        def calls() -> Iterator[tuple[Request, int, int]]:
            for question, requests in asked:
                waiting.append((question, len(requests)))
                for request in requests:
                    yield request, question.repeat, attempt

        replies: list[Reply] = []
        for reply in self._caller.calls(reading.kind, calls()):
            while not waiting[0][1]:
                yield _read(reading, waiting.popleft()[0], [])
            replies.append(reply)
            if len(replies) == waiting[0][1]:
                yield _read(reading, waiting.popleft()[0], replies)
                replies = []
        for question, _ in waiting:
            yield _read(reading, question, [])


def _read(reading: Reading, question: Question, replies: list[Reply]) -> tuple[Question, Verdict]:
    return question, reading.verdict(question, replies)


def _another_way(reading: Reading, question: Question) -> tuple[Request, ...]:
    """The requests of a second asking, or none where it could only bring the same reply (greedy, same words)."""
    requests = reading.requests(question, 1)
    same_words = [r.messages for r in requests] == [r.messages for r in reading.requests(question, 0)]
    greedy = all(request.sampling.temperature == 0 for request in requests)
    return () if same_words and greedy else requests


def _of_both(first: Verdict, second: Verdict) -> Verdict:
    """The second verdict, with the first reply kept and counted."""
    detail = f"asked twice; the first reply: {first.detail}" + (
        f"; the second: {second.detail}" if second.detail else ""
    )
    return second.model_copy(update={"raw": f"{first.raw}\n\n[asked again]\n\n{second.raw}", "detail": detail})
