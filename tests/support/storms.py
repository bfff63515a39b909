"""A storm of 429 in a clock of its own: the real Pace and the real retries against a server that admits so much.

The workers do what threads do in `judgekit.calls.pacing` and `judgekit.calls.http`: wait for a turn, send, tell what
came of it, wait as they were told, try again. Only time is simulated, so that minutes of a storm take a second.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from judgekit.calls.rate_limits import Pace
from judgekit.calls.retries import Tries
from rough_server import Gate

EARLY = 1e-9


@dataclass(frozen=True)
class Admits:
    """What a server lets in: a bucket of `burst`, filled by `rate` a second; or rate × window calls in each window
    (from fixed moments on, or in the last `window` seconds); or `slots` calls at once.

    `after`: how Retry-After is told: "exact", "whole" (in seconds, 1 at least), "none", or always so many seconds.
    """

    rate: float
    burst: float = 1.0
    window: float = 0.0
    sliding: bool = False
    slots: int = 0
    after: str | float = "exact"
    delay: float = 0.05

    @property
    def most(self) -> float:
        """Calls a second that it can let in."""
        return min(self.rate, self.slots / self.delay if self.slots else math.inf)


@dataclass
class Story:
    """What happened. `span`: seconds from the first call let in to the last."""

    let_in: list[float] = field(default_factory=list)
    turned_away: int = 0
    early: int = 0
    lost: int = 0

    def share(self, server: Admits, skip: float = 0.0) -> float:
        """Of what the server could have let in, its burst included; without the first `skip` seconds."""
        times = [time for time in self.let_in if time >= self.let_in[0] + skip]
        return (len(times) - 1) / (server.most * (times[-1] - times[0]))


class _Gate:
    def __init__(self, server: Admits) -> None:
        self.server = server
        self.gate = Gate(server.rate, server.burst, server.window, 0.0)
        self.recent: deque[float] = deque()
        self.under_way = 0

    def wait(self, now: float) -> float:
        """0 for a call that is let in, else the seconds until one would be."""
        server = self.server
        if server.slots and self.under_way >= server.slots:
            return server.delay
        if server.window and server.sliding:
            while self.recent and self.recent[0] <= now - server.window:
                self.recent.popleft()
            if len(self.recent) >= server.rate * server.window:
                return self.recent[0] + server.window - now
            self.recent.append(now)
            return 0.0
        return self.gate.wait(now)

    def told(self, wait: float) -> float | None:
        after = self.server.after
        if after == "none":
            return None
        if after == "exact":
            return max(0.001, math.ceil(wait * 1000) / 1000)
        return max(1.0, math.ceil(wait)) if after == "whole" else float(after)


class Storm:
    """`calls` calls by `width` workers; `jitter`: how much the way to the server varies, in seconds."""

    def __init__(self, server: Admits, calls: int, width: int, *, seed: int = 0, jitter: float = 0.002) -> None:
        self.server, self.gate, self.story = server, _Gate(server), Story()
        self.random, self.jitter = random.Random(seed), jitter
        self.now, self.left, self.ends = 0.0, calls, 0.0
        self.pace = Pace(width, clock=lambda: self.now)
        self._line: deque[tuple[int, Tries]] = deque()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._forbidden = 0.0  # nothing may be sent before this
        self._waking = math.inf
        for worker in range(width):
            self._next(worker)

    def run(self) -> Story:
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()
            self._admit()
        return self.story

    def _at(self, time: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (time, self._count, event))

    def _next(self, worker: int) -> None:
        if self.left:
            self.left -= 1
            self._line.append((worker, Tries(4)))
            self._at(self.now, lambda: None)

    def _admit(self) -> None:
        while self._line:
            worker, tries = self._line[0]
            wait = self.pace.try_once(worker, 0.0)
            if wait > 0:
                if math.isfinite(wait) and not self.now < self._waking <= self.now + wait:
                    self._waking = self.now + wait
                    self._at(self._waking, lambda: None)
                return
            self._line.popleft()
            self._send(worker, tries)

    def _send(self, worker: int, tries: Tries) -> None:
        began = self.now
        self.story.early += began < self._forbidden - EARLY
        self._at(began + self.random.uniform(0, self.jitter), lambda: self._arrive(worker, tries, began))

    def _arrive(self, worker: int, tries: Tries, began: float) -> None:
        wait = self.gate.wait(self.now)
        if wait:
            self.story.turned_away += 1
            told = self.gate.told(wait)
            self._at(
                self.now + self.random.uniform(0, self.jitter), lambda: self._turned_away(worker, tries, began, told)
            )
            return
        self.story.let_in.append(self.now)
        self.gate.under_way += 1
        self._at(self.now + self.server.delay, lambda: self._answered(worker))

    def _answered(self, worker: int) -> None:
        self.gate.under_way -= 1
        self.pace.answered({}, lambda: 0.0)
        self.pace.leave(worker)
        self._next(worker)

    def _turned_away(self, worker: int, tries: Tries, began: float, told: float | None) -> None:
        self.pace.turned_away(worker, began, told)
        self._forbidden = max(self._forbidden, self.now + (told or 0.0))
        headers = {} if told is None else {"retry-after-ms": f"{told * 1000:.0f}"}
        pause = tries.after_status(429, headers, patient=True, busy=self.pace.lively)
        if pause is None:
            self.story.lost += 1
            self._next(worker)
        else:
            self._at(self.now + pause, lambda: self._line.append((worker, tries)))
