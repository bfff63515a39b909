"""How fast a server is asked: by the config's limits, by what its answers say of them, and by what it turned away.

A Pace belongs to one server and key; whatever asks there shares it. It lets calls start in the order in which they
came. Four things hold them back:

- `limits:` of the config: requests and tokens a minute, evenly spread, and calls under way at once;
- Retry-After: nothing is sent to the server before it has passed, by any call;
- the headers x-ratelimit-remaining-* and -reset-*: what is used up is not asked for again before its reset;
- AIMD, after answers 429, 503 and 529: fewer calls under way, by what the server was busy with, and one more for every
  round that went well; and, where pauses eat the time up, what congestion.py learns: a rate, or the calls at once. An
  answer without Retry-After holds everyone back too, for a tenth of a second that doubles while nobody is let in.

Without limits and before the first of such answers a call passes without taking a lock.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from judgekit.calls.congestion import SLACK, Admission, AtOnce
from judgekit.errors import Interrupted, NotSent

if TYPE_CHECKING:
    from judgekit.config.blocks import Limits

LONGEST_WAIT = 120.0  # seconds: a server that asks for more is not waited for
POLL = 0.1  # seconds between two looks at whether the run was stopped
_PAUSE, _DOUBLINGS = 0.1, 6  # seconds of the pause after an answer without Retry-After, and how often it doubles
_BACK_OFF = 0.9  # of what the server was busy with when it turned a call away
_COSTLY = 0.1  # share of the time that goes into pauses, from which the rate gives way


@dataclass
class _Quota:
    """Requests or tokens. By the config's limit each takes so many `seconds`, evenly spread: the next call may start
    when the ones before are paid off. A server said that so many are `left` until its reset."""

    seconds: float = 0.0
    free_at: float = 0.0
    left: float = math.inf
    until: float = 0.0

    def tighten(self, per_minute: int | None) -> None:
        if per_minute is not None:
            self.seconds = max(self.seconds, 60.0 / per_minute)

    def wait(self, units: float, now: float) -> float:
        return max(self.free_at, self.until if units > self.left else 0.0) - now

    def take(self, units: float, now: float) -> None:
        self.left -= units
        self.free_at = max(self.free_at, now - SLACK) + units * self.seconds


class Pace:
    """Lets calls to one server start, first come, first served. `width`: the most calls under way at once; `clock`:
    seconds that never run backwards."""

    def __init__(
        self, width: int, limits: Limits | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._line: deque[threading.Event] = deque()
        self._flying: dict[int, int] = {}  # tickets of the calls under way, and how many others were then; atomic
        self._ceiling = width
        self._width = float(width)
        self._hold = 0.0
        self._requests, self._tokens = _Quota(), _Quota()
        self._learned: Admission | None = None
        self._at_once = AtOnce()
        self._answers = 0
        self._answered = -math.inf  # when the last of them came
        self._cycle = self._clock()  # when the last pause ended
        self._marks = deque([(self._cycle, 0)], maxlen=32)  # when calls were turned away, and answers until then
        self._ticks = deque([(self._cycle, 0)], maxlen=4)
        self._walls = 0  # pauses of our own in a row, with nothing let in between them
        self._walled = 0.0  # when the first of them began
        self._crowd = 0  # calls that were turned away since then, and had begun before
        self._episode = 0.0  # calls that began before this and are turned away after it are of one crowd
        self.engaged = False
        self.tighten(width, limits)

    def tighten(self, width: int, limits: Limits | None) -> None:
        """Another part of the config asks this server too: the strictest limits hold for all of them."""
        with self._lock:
            self._ceiling = max(self._ceiling, width)
            self._width = max(self._width, float(width)) if not self.engaged else self._width
            if limits is None:
                return
            self.engaged = True
            if limits.concurrency is not None:
                self._ceiling = min(self._ceiling, limits.concurrency)
                self._width = min(self._width, float(self._ceiling))
            self._requests.tighten(limits.requests_per_minute)
            self._tokens.tighten(limits.tokens_per_minute)

    def enter(self, ticket: int, tokens: Callable[[], float], stopping: Callable[[], bool]) -> None:
        """Wait until the call may start. Raises Interrupted, or NotSent where the server wants too long a pause."""
        if not self.engaged:
            self._flying[ticket] = len(self._flying)
            return
        turn, cost = threading.Event(), tokens()
        with self._lock:
            self._line.append(turn)
        try:
            while True:
                with self._lock:
                    turn.clear()
                    wait = self.try_once(ticket, cost) if self._line[0] is turn else math.inf
                if wait <= 0:
                    return
                if stopping():
                    raise Interrupted("stopped while waiting for a turn")
                turn.wait(min(wait, POLL))
        finally:
            with self._lock:
                self._line.remove(turn)
                self._wake()

    def leave(self, ticket: int) -> None:
        """The call is over, or waits to be sent again."""
        self._flying.pop(ticket, None)
        if self._line:
            with self._lock:
                self._wake()

    def correct(self, tokens: float) -> None:
        """So many tokens more (or fewer) were used than was thought when the call started."""
        if self._tokens.seconds:
            with self._lock:
                # No minute's limit holds anyone back for longer than a minute, whatever a server says of its tokens.
                free_at = self._tokens.free_at + tokens * self._tokens.seconds
                self._tokens.free_at = min(free_at, max(self._tokens.free_at, self._clock() + 60.0))
                self._wake()

    def answered(self, headers: Mapping[str, str], tokens: Callable[[], float]) -> None:
        """The server took a call: one more may be under way for every round of these."""
        self._answered = self._clock()
        told = "x-ratelimit-remaining-requests" in headers or "x-ratelimit-remaining-tokens" in headers
        if not self.engaged and not told:
            self._answers += 1  # near enough without the lock
            return
        with self._lock:
            now = self._clock()
            self._answers += 1
            self._walls = 0
            self._at_once.answered(len(self._flying))
            if not (self._at_once.settled(now) or (self._learned is not None and self._learned.settled(now))):
                self._width = min(float(self._ceiling), self._width + 1.0 / self._width)
            quotas = (("requests", self._requests, 1.0), ("tokens", self._tokens, tokens())) if told else ()
            for name, quota, units in quotas:
                remaining = positive(headers.get(f"x-ratelimit-remaining-{name}"))
                reset = _seconds(headers.get(f"x-ratelimit-reset-{name}"))
                if remaining is not None and reset is not None and reset <= LONGEST_WAIT:
                    # Of the calls under way nobody knows which the server has counted: the careful reading.
                    quota.left = remaining - max(0, len(self._flying) - 1) * units
                    quota.until = now + reset
                    self.engaged = True
            self._wake()

    def turned_away(self, ticket: int, began: float, pause: float | None) -> None:
        """The server answered 429, 503 or 529; `pause` is its Retry-After in seconds, if it sent one."""
        with self._lock:
            now = self._clock()
            others = self._flying.pop(ticket, 0)
            busy, first, wait = len(self._flying), began >= self._episode, pause
            if wait is None and first:
                self._walled = now if not self._walls else self._walled
                wait = _PAUSE * 2.0 ** min(self._walls, _DOUBLINGS)
                self._walls += 1
            self._hold = max(self._hold, now + (wait or 0.0))
            if self._learned is not None and wait is not None:
                self._learned.free_at = self._hold  # the server itself says when one more is let in
            if first:
                self._crowd = 0
                self._learn(now, busy, max(busy, others))
            else:
                self._at_once.turned_away(busy + self._answers - self._marks[-1][1])
                self._one_more_of_the_crowd()
            if pause is None:
                self._width = max(1.0, min(self._width, busy * _BACK_OFF))
            elif self._learned is not None and self._learned.failing:  # else the pause is what helps
                self._width = max(1.0, min(self._width, busy + 1.0))
            self.engaged = True
            self._wake()

    @property
    def lively(self) -> bool:
        """Whether the server has answered a call within the time that anyone waits for."""
        return self._clock() - self._answered <= LONGEST_WAIT

    @property
    def hold(self) -> float:
        """Seconds until the server wants to hear of anyone again."""
        return self._hold - self._clock()

    def _learn(self, now: float, busy: int, others: int) -> None:
        """Find the rate, where being turned away cost much since the last time: time in pauses, or calls. `others`: the
        calls that were under way beside the one that was turned away."""
        pause = min(max(0.0, self._hold - now), LONGEST_WAIT)
        length = max(now - self._cycle, 1e-3)
        let_in = self._answers - self._marks[-1][1] + busy
        explained = False  # by a rate that is known
        if self._at_once.holds:
            pass
        elif self._learned is None:
            if let_in < 3 or pause >= 2 * _COSTLY * (length + pause):
                self._find(self._marks[-1][1], length, length + pause, now + pause)
        else:
            rate = self._learned.at(now) or self._lately(now)
            # A pause until the next call would be due anyway costs nothing.
            costly = let_in < 3 or pause - 1.5 / max(rate, 0.01) >= _COSTLY * (length + pause)
            beyond = self._learned.beyond(rate)
            explained = not beyond and (self._learned.peak is not None or not costly)
            if costly or beyond:
                self._learned.failed(now, pause, self._answers + busy)
            else:
                about = max(self._sustained(now), 1.1 * self._lately(now), 0.95 * rate)
                self._learned.touched(min(rate, about), now + pause)
        if not explained:
            self._at_once.failed(others, pause)
        self._marks.append((now, self._answers))
        self._episode = now
        self._cycle = now + pause

    def _judge(self, now: float) -> None:
        """Once the pause is over: where it is the calls at once that the server limits, no rate holds them back."""
        held = self._at_once.holds
        if at_once := self._at_once.judge(now):
            self._width = float(min(at_once, self._ceiling))
        elif held and not self._at_once.holds and self._learned is not None and self._learned.peak is not None:
            self._learned.touched(self._learned.peak, now)

    def _one_more_of_the_crowd(self) -> None:
        self._crowd += 1
        if self._learned is not None:
            self._learned.turned_away()
        elif self._crowd >= 3:
            at, answers = self._marks[-1]
            self._find(answers, self._clock() - at, self._hold - at, self._hold)

    def _find(self, answers: int, active: float, length: float, since: float) -> None:
        """Begin to find the rate, from what is let in over a stretch; and with half as many calls at once."""
        self._learned = Admission(answers, active, max(length, 0.05), since)
        self._width = max(1.0, self._width / 2)

    def _sustained(self, now: float) -> float:
        """Answers a second, pauses included, over the best of the last few stretches."""
        spans = [(now - at, self._answers - answers) for at, answers in self._marks]
        return max((answers / span for span, answers in spans if span >= 0.5), default=0.0)

    def _lately(self, now: float) -> float:
        """Answers a second over the last second or two."""
        if now - self._ticks[-1][0] > 0.5:
            self._ticks.append((now, self._answers))
        at, answers = self._ticks[0]
        return (self._answers - answers) / max(now - at, 0.5)

    def try_once(self, ticket: int, tokens: float) -> float:
        """For callers that keep their own line and clock: 0 if the call may start, else seconds as `_wait` has them."""
        with self._lock:
            wait = max(0.0, self._wait(tokens)) if self.engaged else 0.0
            if not wait:
                self._take(ticket, tokens)
            return wait

    def _wait(self, tokens: float) -> float:
        """Seconds until the first in line may start, as far as that is known; infinite while it hangs on others."""
        now = self._clock()
        held = self._hold - now
        if held > LONGEST_WAIT:
            raise NotSent(f"not sent: the server asks to be left alone for {held:.0f} s")
        if self._walls > _DOUBLINGS and now - self._walled > LONGEST_WAIT and not self._flying:
            raise NotSent(f"not sent: the server has turned all calls away for {now - self._walled:.0f} s")
        if self._at_once.failing and held <= 0:
            self._judge(now)
        if self._learned is not None and self._learned.over(now):
            self._learned = None
        if len(self._flying) >= max(1, int(self._width)):
            return math.inf
        learned = 0.0 if self._at_once.holds or self._learned is None else self._learned.free_at - now
        return max(held, self._requests.wait(1.0, now), self._tokens.wait(tokens, now), learned)

    def _take(self, ticket: int, tokens: float) -> None:
        now = self._clock()
        self._flying[ticket] = len(self._flying)
        self._requests.take(1.0, now)
        self._tokens.take(tokens, now)
        if self._learned is not None:
            self._learned.ceiling = 3 * self._lately(now)
            self._learned.take(now, self._answers + len(self._flying) - 1)

    def _wake(self) -> None:
        if self._line:
            self._line[0].set()


_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def _seconds(text: str | None) -> float | None:
    """Seconds of "1s", "6m0s", "17ms", "1h2m3.5s" or "0.5"; None for what is none, or not above zero."""
    plain = positive(text)
    span = _SPAN.fullmatch(text.strip()) if text and plain is None else None
    if span is None:
        return plain
    seconds = sum(float(part) * unit for part, unit in zip(span.groups("0"), (86400, 3600, 60, 1, 0.001), strict=True))
    return seconds if seconds > 0 else None


def positive(text: str | None) -> float | None:
    """A number above zero; None for anything else: Azure sends -1 or 0 where it says nothing."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < math.inf else None
