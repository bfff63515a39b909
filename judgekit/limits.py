"""How fast a server is asked: by the config's limits, by what its answers say of them, and by what it turned away.

A Pace belongs to one server and key; whatever asks there shares it. It lets calls start in the order in which they
came. Four things hold them back:

- `limits:` of the config: requests and tokens a minute, evenly spread, and calls under way at once;
- Retry-After: nothing is sent to the server before it has passed, by any call;
- the headers x-ratelimit-remaining-* and -reset-*: what is used up is not asked for again before its reset;
- AIMD, after answers 429, 503 and 529: fewer calls under way, by what the server was busy with, and one more for every
  round that went well; and, where pauses eat the time up, a rate that grows back along a cubic curve (as in CUBIC,
  RFC 9438) to where the last one failed, and past it.

Without limits and before the first of such answers a call passes without taking a lock.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from judgekit.errors import Interrupted, NotSent

if TYPE_CHECKING:
    from judgekit.spec import Limits

LONGEST_WAIT = 120.0  # seconds: a server that asks for more is not waited for
POLL = 0.1  # seconds between two looks at whether the run was stopped
_SLACK = 0.05  # seconds of lateness that an evenly spread limit lets a run make up for
_BACK_OFF = 0.9  # of what the server was busy with when it turned a call away
_COSTLY = 0.1  # share of the time that goes into pauses, from which the rate gives way
_START = 8.0  # a rate that is still being found grows by this factor a second
_CURVE, _CURVE_SECONDS = 0.1, 4.0  # the cubic curve: how far below the last failure it starts, and how long it takes


# --- what holds calls back -------------------------------------------------------------------------------------------


class _Even:
    """So many units a minute, evenly spread: the next call may start when the ones before are paid off."""

    def __init__(self, per_minute: float) -> None:
        self.seconds = 60.0 / per_minute
        self.free_at = 0.0

    def wait(self, now: float) -> float:
        return self.free_at - now

    def take(self, units: float, now: float) -> None:
        self.free_at = max(self.free_at, now - _SLACK) + units * self.seconds


class _Window:
    """What a server said is left until its reset; nothing is known after that."""

    def __init__(self) -> None:
        self.left, self.until = math.inf, 0.0

    def wait(self, units: float, now: float) -> float:
        return self.until - now if units > self.left else 0.0

    def take(self, units: float) -> None:
        self.left -= units

    def heard(self, remaining: float, reset: float, now: float) -> None:
        self.left, self.until = remaining, now + reset


class _Learned:
    """The rate at which a server lets calls in, in calls a second, found by what it turned away.

    Until it failed for the first time it grows fast. Then it follows a cubic curve: from a little below where it
    failed, flat around that, and past it; from there on it doubles every few seconds.
    """

    def __init__(self, answers: int, length: float, since: float) -> None:
        self.first = answers, length  # answers before the first stretch, and its seconds
        self.rate = 0.0  # of that stretch: known when it is over
        self.peak: float | None = None  # where it failed
        self.ceiling = math.inf  # a rate that nothing came near says nothing
        self.span = _CURVE_SECONDS / 8  # of the curve from below the peak up to it; longer as the peak is known better
        self.since = self.free_at = since

    def now(self, now: float) -> float:
        time_on = max(0.0, now - self.since)
        if self.peak is None:
            return float(min(self.rate * _START ** min(time_on, 9.0), max(self.ceiling, self.rate)))
        rounds = time_on / self.span - 1.0
        curve = self.peak * (1.0 + _CURVE * min(rounds, 1.0) ** 3) * 4.0 ** min(max(0.0, rounds - 1.0), 9.0)
        return min(float(curve), max(self.ceiling, (1.0 - _CURVE) * self.peak))

    def failed(self, peak: float, resume: float) -> None:
        """It was too much: back to below the peak."""
        self.peak, self.since = max(peak, 0.01), resume
        self.span = min(2 * self.span, _CURVE_SECONDS)

    def touched(self, peak: float, resume: float) -> None:
        """It was about right: stay there for a while."""
        self.peak, self.since = max(peak, 0.01), resume - self.span

    def beyond(self, rate: float) -> bool:
        """Whether the curve has left the neighbourhood of the peak."""
        return self.peak is not None and rate > (1.0 + 2 * _CURVE) * self.peak

    def wait(self, now: float) -> float:
        return self.free_at - now

    def take(self, now: float, answers: int) -> None:
        if not self.rate:
            before, length = self.first
            self.rate = max(answers - before, 1) / length
        self.free_at = max(self.free_at, now - _SLACK) + 1.0 / self.now(now)

    def over(self, now: float) -> bool:
        """Whether it has grown so far past its last failure that it says nothing any more."""
        return self.peak is not None and self.now(now) > 8.0 * self.peak


# --- the pace of one server ------------------------------------------------------------------------------------------


class Pace:
    """Lets calls to one server start, first come, first served. `width`: the most calls under way at once."""

    def __init__(self, width: int, limits: Limits | None = None) -> None:
        self._lock = threading.Lock()
        self._line: deque[threading.Event] = deque()
        self._flying: set[int] = set()  # tickets of the calls under way; add and discard are atomic
        self._ceiling = width
        self._width = float(width)
        self._hold = 0.0
        self._requests: _Even | None = None
        self._tokens: _Even | None = None
        self._windows = {"requests": _Window(), "tokens": _Window()}
        self._learned: _Learned | None = None
        self._answers = 0
        self._recent: deque[float] = deque(maxlen=20)  # when the last of them came
        self._cycle = time.monotonic()  # when the last pause ended
        self._marks = deque([(self._cycle, 0)], maxlen=32)  # when calls were turned away, and answers until then
        self._ticks = deque([(self._cycle, 0)], maxlen=4)
        self._crowd = 0  # calls that were turned away since then, and had begun before
        self._episode = 0.0  # calls that began before this and are turned away after it are of one crowd
        self.engaged = False
        if limits is not None:
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
            self._requests = _stricter(self._requests, limits.requests_per_minute)
            self._tokens = _stricter(self._tokens, limits.tokens_per_minute)

    def enter(self, ticket: int, tokens: Callable[[], float], stopping: Callable[[], bool]) -> None:
        """Wait until the call may start. Raises Interrupted, or NotSent where the server wants too long a pause."""
        if not self.engaged:
            self._flying.add(ticket)
            return
        turn, cost = threading.Event(), tokens()
        with self._lock:
            self._line.append(turn)
        try:
            while True:
                with self._lock:
                    turn.clear()
                    wait = self._wait(cost) if self._line[0] is turn else math.inf
                    if wait <= 0:
                        self._take(ticket, cost)
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
        self._flying.discard(ticket)
        if self._line:
            with self._lock:
                self._wake()

    def correct(self, tokens: float) -> None:
        """So many tokens more (or fewer) were used than was thought when the call started."""
        if self._tokens is not None:
            with self._lock:
                self._tokens.free_at += tokens * self._tokens.seconds
                self._wake()

    def answered(self, headers: Mapping[str, str], tokens: Callable[[], float]) -> None:
        """The server took a call: one more may be under way for every round of these."""
        told = "x-ratelimit-remaining-requests" in headers or "x-ratelimit-remaining-tokens" in headers
        if not self.engaged and not told:
            self._answers += 1  # near enough without the lock
            return
        with self._lock:
            now = time.monotonic()
            self._answers += 1
            self._recent.append(now)
            self._width = min(float(self._ceiling), self._width + 1.0 / self._width)
            for name, units in (("requests", 1.0), ("tokens", tokens())) if told else ():
                remaining = _positive(headers.get(f"x-ratelimit-remaining-{name}"))
                reset = _seconds(headers.get(f"x-ratelimit-reset-{name}"))
                if remaining is not None and reset is not None and reset <= LONGEST_WAIT:
                    # Of the calls under way nobody knows which the server has counted: the careful reading.
                    under_way = max(0, len(self._flying) - 1) * units
                    self._windows[name].heard(remaining - under_way, reset, now)
                    self.engaged = True
            self._wake()

    def turned_away(self, ticket: int, began: float, pause: float | None) -> None:
        """The server answered 429, 503 or 529; `pause` is its Retry-After in seconds, if it sent one."""
        with self._lock:
            now = time.monotonic()
            self._flying.discard(ticket)
            busy = len(self._flying)
            self._hold = max(self._hold, now + (pause or 0.0))
            if self._learned is not None and pause is not None:
                self._learned.free_at = self._hold  # the server itself says when one more is let in
            if began >= self._episode:
                self._crowd = 0
                self._learn(now, busy)
            else:
                self._crowd += 1
                if self._learned is None and self._crowd >= 3:
                    at, answers = self._marks[-1]
                    self._find(answers, self._hold - at, self._hold)
            if pause is None:  # else the pause, and the rate that is learned from it, are what helps
                self._width = max(1.0, min(self._width, busy * _BACK_OFF))
            self.engaged = True
            self._wake()

    @property
    def hold(self) -> float:
        """Seconds until the server wants to hear of anyone again."""
        return self._hold - time.monotonic()

    def _learn(self, now: float, busy: int) -> None:
        """Find the rate, where being turned away cost much since the last time: time in pauses, or calls."""
        pause = min(max(0.0, self._hold - now), LONGEST_WAIT)
        length = max(now - self._cycle, 1e-3)
        let_in = self._answers - self._marks[-1][1] + busy
        if self._learned is None:
            if let_in < 3 or pause >= 2 * _COSTLY * (length + pause):
                self._find(self._marks[-1][1], length + pause, now + pause)
        else:
            recent = [moment for moment in self._recent if moment >= self._cycle]
            span = now - recent[0] if len(recent) > 1 else length
            most = (len(recent) + busy) / max(span, 1e-3)  # what it let in before it turned calls away: too much
            sustained = self._sustained(now)
            rate = self._learned.now(now) or most
            # A pause until the next call would be due anyway costs nothing.
            costly = let_in < 3 or pause - 1.5 / max(rate, 0.01) >= _COSTLY * (length + pause)
            if costly or self._learned.beyond(rate):
                between = math.sqrt(most * max(let_in, 1) / (length + pause))  # with the pause: it can do no less
                peak = max(sustained, min(between, 2 * sustained or between), rate / 4)
                self._learned.failed(min(rate, peak), now + pause)
            else:
                self._learned.touched(min(rate, max(sustained, 1.1 * self._lately(now), 0.95 * rate)), now + pause)
        self._marks.append((now, self._answers))
        self._episode = now
        self._cycle = now + pause

    def _find(self, answers: int, length: float, since: float) -> None:
        """Begin to find the rate, from what is let in over a stretch; and with half as many calls at once."""
        self._learned = _Learned(answers, max(length, 0.05), since)
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

    def _wait(self, tokens: float) -> float:
        """Seconds until the first in line may start, as far as that is known; infinite while it hangs on others."""
        now = time.monotonic()
        held = self._hold - now
        if held > LONGEST_WAIT:
            raise NotSent(f"not sent: the server asks to be left alone for {held:.0f} s")
        if len(self._flying) >= max(1, int(self._width)):
            return math.inf
        if self._learned is not None and self._learned.over(now):
            self._learned = None
        waits = [held, self._windows["requests"].wait(1.0, now), self._windows["tokens"].wait(tokens, now)]
        waits += [even.wait(now) for even in (self._requests, self._tokens, self._learned) if even is not None]
        return max(waits)

    def _take(self, ticket: int, tokens: float) -> None:
        now = time.monotonic()
        self._flying.add(ticket)
        self._windows["requests"].take(1.0)
        self._windows["tokens"].take(tokens)
        if self._requests is not None:
            self._requests.take(1.0, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
        if self._learned is not None:
            self._learned.ceiling = 3 * self._lately(now)
            self._learned.take(now, self._answers + len(self._flying) - 1)

    def _wake(self) -> None:
        if self._line:
            self._line[0].set()


def _stricter(even: _Even | None, per_minute: int | None) -> _Even | None:
    if per_minute is None or (even is not None and even.seconds >= 60.0 / per_minute):
        return even
    return _Even(per_minute)


_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def _seconds(text: str | None) -> float | None:
    """Seconds of "1s", "6m0s", "17ms", "1h2m3.5s" or "0.5"; None for what is none, or not above zero."""
    plain = _positive(text)
    found = _SPAN.fullmatch(text.strip()) if text and plain is None else None
    if found is None:
        return plain
    seconds = sum(float(part) * unit for part, unit in zip(found.groups("0"), (86400, 3600, 60, 1, 0.001), strict=True))
    return seconds if seconds > 0 else None


def _positive(text: str | None) -> float | None:
    """A number above zero; None for anything else: Azure sends -1 or 0 where it says nothing."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < math.inf else None
