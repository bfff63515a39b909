"""A backend whose answers a function makes, and calls to ask it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import judgekit
from judgekit.records import Call, Message, Reply, Request, Sampling


def ask(text: object, **sampling: Any) -> Request:
    return Request(messages=(Message(role="user", content=str(text)),), sampling=Sampling(**sampling))


def items(texts: Iterable[object], **sampling: Any) -> Iterator[Call]:
    return (Call(ask(text, **sampling)) for text in texts)


class Answering(judgekit.Backend):
    """Echoes the prompt where `answer` makes no reply; keeps the batches, their times, and how many ran at once."""

    def __init__(
        self, answer: Callable[[str], Reply | None] = lambda prompt: None, batch: int = 1, most: int | None = None
    ) -> None:
        super().__init__()
        self.answer, self.max_batch, self.max_concurrency = answer, batch, most
        self.batches: list[list[str]] = []
        self.times: list[float] = []
        self.active = self.most_active = 0
        self.lock = threading.Lock()

    @property
    def asked(self) -> list[str]:
        return [prompt for batch in self.batches for prompt in batch]

    def generate(self, requests: list[Request]) -> list[Reply]:  # type: ignore[override]
        prompts = [request.prompt for request in requests]
        with self.lock:
            self.batches.append(prompts)
            self.times.append(time.monotonic())
            self.active += 1
            self.most_active = max(self.active, self.most_active)
        try:
            return [self.answer(prompt) or Reply(text=f"re: {prompt}") for prompt in prompts]
        finally:
            with self.lock:
                self.active -= 1
