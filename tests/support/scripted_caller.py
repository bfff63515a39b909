"""A caller without a backend: a function answers each request. It pulls `ahead` items before it gives a reply back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from judgekit.records import Reply, Request

Answer = Callable[[Request, int, int], Reply]


class ScriptedCaller:
    def __init__(self, answer: Answer, ahead: int = 8) -> None:
        self.answer = answer
        self.ahead = ahead
        self.asked: list[tuple[str, Request, int, int]] = []
        self.most_ahead = 0

    def calls(self, kind: str, items: Iterable[tuple[Request, int, int]]) -> Iterator[Reply]:
        waiting: deque[Reply] = deque()
        for request, repeat, attempt in items:
            self.asked.append((kind, request, repeat, attempt))
            waiting.append(self.answer(request, repeat, attempt))
            self.most_ahead = max(self.most_ahead, len(waiting))
            if len(waiting) > self.ahead:
                yield waiting.popleft()
        yield from waiting
