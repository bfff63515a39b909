"""A caller without a backend, a ledger or a server: a function answers each request."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from pydantic import JsonValue

from judgekit.records import Reply, Request
from judgekit.thoughts import STRIP

Answer = Callable[[Request, int, int], Reply]  # (request, repeat, attempt) → reply


class ScriptedCaller:
    """The caller of a judge under test: `LLMJudge({"score": template}, ScriptedCaller(answer))`.

    As from a run's caller, replies come without thoughts. It pulls `ahead` items before it gives a reply back, as a
    pool of threads does. `asked` is its history, and `most_ahead` how many replies it held at once.
    """

    identity: JsonValue = "scripted"

    def __init__(self, answer: Answer, ahead: int = 8) -> None:
        self.answer = answer
        self.ahead = ahead
        self.asked: list[tuple[str, Request, int, int]] = []
        self.most_ahead = 0

    def calls(self, kind: str, items: Iterable[tuple[Request, int, int]]) -> Iterator[Reply]:
        """The replies, in order."""
        waiting: deque[Reply] = deque()
        for request, repeat, attempt in items:
            self.asked.append((kind, request, repeat, attempt))
            waiting.append(STRIP.cut(self.answer(request, repeat, attempt)))
            self.most_ahead = max(self.most_ahead, len(waiting))
            if len(waiting) > self.ahead:
                yield waiting.popleft()
        yield from waiting
