"""A judge that is a language model: responses in, verdicts out, in order, with flat memory and a full pool.

What is asked and how it is read is its reading's business; here is only the stream. Questions are pulled as the
caller has room for them. A judge that writes and was not understood is asked once more; the verdict says so. A judge
that is to write its own evaluation steps is asked for them once, before its first question.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Protocol

from pydantic import JsonValue

from judgekit.errors import PromptError
from judgekit.judging.parsing import AMONG_THOUGHTS, read_steps
from judgekit.judging.questions import Question, Task
from judgekit.judging.readings import Kind, Reading, requests_of, scales_of, steps_request, verdict_of
from judgekit.records import ASKED_AGAIN, Call, Conversation, Reply, Request, Sample, Verdict

ASKED_TWICE = "asked twice"  # begins the detail of a verdict that took a second asking
WINDOW = 64  # verdicts held back while the unparsed ones among them are asked again


class Caller(Protocol):
    """What carries requests to a backend and its replies back; `identity` is the backend's."""

    identity: JsonValue

    def calls(self, kind: Kind, items: Iterable[Call]) -> Iterator[Reply]:
        """One reply a call, in order. Items are pulled as there is room for them."""


class LLMJudge:
    """A judge of the contract: `score` and `compare`, each by the reading of its task. Judge repeat r draws with
    seed + r."""

    def __init__(self, name: str, caller: Caller, readings: Mapping[Task, Reading], backend: str = "") -> None:
        self.name = name
        self.backend = backend
        self._caller = caller
        self._readings = dict(readings)
        self._stepless: dict[Task, Verdict] = {}

    def reading(self, task: Task) -> Reading:
        """How this judge is asked for a task. Raises PromptError when it has no prompt for it: ask before a run."""
        if task not in self._readings:
            raise PromptError(f"judge {self.name!r} has no prompt for the task {task!r}")
        return self._readings[task]

    @property
    def identity(self) -> JsonValue:
        """What decides its replies, as in the record."""
        return self._caller.identity

    @property
    def order_free(self) -> bool:
        """Whether `compare` reads each response on its own, so that both orders agree by construction."""
        return self.reading("pairwise").order_free

    @property
    def steps(self) -> tuple[str, ...]:
        """The evaluation steps that the judge has written for itself; none, where they were given or not asked for."""
        settings = (reading.setting for reading in self._readings.values())
        return next((one.grading.steps for one in settings if one.writing is not None and one.grading.steps), ())

    def score(self, items: Iterable[tuple[Sample, str | Conversation, int]]) -> Iterator[Verdict]:
        """Verdicts on (sample, response text or conversation, judge repeat), on the prompt's scale."""
        questions = (Question.of(sample, [response], repeat) for sample, response, repeat in items)
        return self._verdicts("score", questions)

    def compare(
        self, items: Iterable[tuple[Sample, str | Conversation, str | Conversation, int]]
    ) -> Iterator[tuple[Verdict, Verdict]]:
        """Verdicts on (sample, response a, response b, judge repeat), asked in both orders.

        Each value is the preference for a in [0, 1]; the first verdict showed a first, the second b.
        """
        questions = (
            Question.of(sample, [b, a] if swapped else [a, b], repeat, swapped)
            for sample, a, b, repeat in items
            for swapped in (False, True)
        )
        verdicts = self._verdicts("pairwise", questions)
        return zip(verdicts, verdicts, strict=True)  # one iterator twice: its verdicts two by two

    def _verdicts(self, task: Task, questions: Iterable[Question]) -> Iterator[Verdict]:
        if stepless := self._without_steps(task):
            yield from (stepless for _ in questions)
            return
        reading = self.reading(task)
        first = self._ask(reading, ((question, requests_of(reading, question)) for question in questions), attempt=0)
        if not reading.asks_again:  # asked again, it would say the same
            yield from (verdict for _, verdict in first)
            return
        # While a window's re-asks are under way, the first questions of the next windows stay in flight.
        held = max(WINDOW, getattr(self._caller, "batch", 1))  # else every few re-asks would be a batch of their own
        while window := list(islice(first, held)):
            again = {
                place: requests
                for place, (question, verdict) in enumerate(window)
                if (requests := _another_way(reading, question, verdict))
            }
            asked = ((window[place][0], requests) for place, requests in again.items())
            second = dict(zip(again, self._ask(reading, asked, attempt=1), strict=True))
            for place, (_, verdict) in enumerate(window):
                yield _of_both(verdict, second[place][1]) if place in second else verdict

    def _without_steps(self, task: Task) -> Verdict | None:
        """Ask once for the evaluation steps, if the prompt needs them and has none: the verdict on every question,
        where the judge wrote none."""
        reading = self.reading(task)
        setting = reading.setting
        if setting.writing is None or setting.grading.steps or task in self._stepless:
            return self._stepless.get(task)
        first, again = steps_request(setting), steps_request(setting, 1)
        for attempt, request in enumerate([first] if _greedy_again([first], [again]) else [first, again]):
            (reply,) = self._caller.calls("generate", [Call(request, 0, attempt)])
            steps = read_steps(reply)
            if not isinstance(steps, Verdict):
                self._readings[task] = reading.on(replace(setting, grading=replace(setting.grading, steps=steps)))
                return None
            self._stepless[task] = steps
            if steps.status != "unparsed":
                break
        return self._stepless[task]

    def _ask(
        self, reading: Reading, asked: Iterable[tuple[Question, tuple[Request, ...]]], attempt: int
    ) -> Iterator[tuple[Question, Verdict]]:
        """Each question with its verdict, in order. Questions without a request cost no call."""
        waiting: deque[tuple[Question, int]] = deque()
        verdict = partial(verdict_of, reading, scales_of(reading))

        def calls() -> Iterator[Call]:
            for question, requests in asked:
                waiting.append((question, len(requests)))
                for request in requests:
                    yield Call(request, question.repeat, attempt)

        replies = self._caller.calls(reading.kind, calls())
        for reply in replies:
            while not waiting[0][1]:
                question, _ = waiting.popleft()
                yield question, verdict(question, [])
            question, count = waiting.popleft()
            yield question, verdict(question, [reply, *islice(replies, count - 1)])
        for question, _ in waiting:
            yield question, verdict(question, [])


THINKING_TOKENS = 2048  # for a second asking, where the limit of the prompt's own left no room beyond the thoughts


def _another_way(reading: Reading, question: Question, verdict: Verdict) -> tuple[Request, ...]:
    """The requests of a second asking; none where the first was understood, or the reply could only be the same.

    A reply that ended among its thoughts gets more tokens, unless the config says how many there may be.
    """
    longer = verdict.status == "truncated" and verdict.detail.endswith(AMONG_THOUGHTS)
    limited = longer and reading.setting.sampling.max_new_tokens is not None
    if limited or not (longer or verdict.status in ("unparsed", "unsigned")):
        return ()
    first, requests = requests_of(reading, question), requests_of(reading, question, 1)
    if longer:
        limits = [request.sampling.max_new_tokens for request in first]
        if any(limit is None or limit >= THINKING_TOKENS for limit in limits):
            return ()
        return tuple(
            request.model_copy(
                update={"sampling": request.sampling.model_copy(update={"max_new_tokens": THINKING_TOKENS})}
            )
            for request in requests
        )
    return () if _greedy_again(first, requests) else requests


def _greedy_again(first: Sequence[Request], second: Sequence[Request]) -> bool:
    """Whether the second asking says the same and draws nothing."""
    same_words = [request.messages for request in first] == [request.messages for request in second]
    return same_words and all(request.sampling.temperature == 0 for request in second)


def _of_both(first: Verdict, second: Verdict) -> Verdict:
    """The second verdict, with the first reply kept and counted."""
    detail = f"{ASKED_TWICE}; the first reply: {first.detail}{second.detail and f'; the second: {second.detail}'}"
    return second.model_copy(update={"raw": f"{first.raw}{ASKED_AGAIN}{second.raw}", "detail": detail})
