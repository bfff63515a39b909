"""What a server lets in, a rate or so many calls at once, found by what it turned away. Pure but for what it remembers.

A server that turns calls away is thought of as a bucket: it lets in `burst` calls at once, and `rate` a second. Two
stretches tell both. The first ends after the burst; the next starts at what that stretch let in a second, its pause
included, and grows fast until it fails. At that moment the bucket is empty: since any earlier moment of the stretch at
most burst + rate × seconds were let in, and just so many since the moment at which the bucket began to run dry. So the
rate is the largest (calls − burst) / seconds over all of them. Servers that count in windows fit this less well, and
are found by what whole stretches let in.

From then on the rate follows a cubic curve (as in CUBIC, RFC 9438): from a little below where it failed, flat around
that, and past it; from there on it doubles every few seconds. The longer the server's pauses, the longer the curve, so
that looking for more costs a small share of the time.

A server that limits the calls at once has no such rate: AtOnce tells it apart by what was under way.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

SLACK = 0.05  # seconds of lateness that an evenly spread rate lets a run make up for
_START = 8.0  # a rate that is still being found grows by this factor a second
_CURVE = 0.1  # how far below the last failure the curve starts
_CURVE_SECONDS, _CURVE_PAUSES = 4.0, 12.0  # how long it takes at least: so many seconds, so many of the server's pauses
_BRIEF = 0.3  # seconds of what is now
_SHORTEST, _STEADY = 0.25, 0.5  # seconds from which on calls are a rate: of one that grows fast, and of a slow one
_ROUGH, _AGAIN = 0.98, 0.95  # of a peak that was found while it grew fast, and of one that failed below the last
_MANY = 8  # calls that tell a rate
_LESS, _MORE = 0.95, 1.1  # of a limit on the calls at once: what counts as the same, for some are always on their way
_FEW = 0.5  # answers beyond such a limit that say nothing, as a share of it
_LONG = 3.0  # seconds that no server asks for until fewer calls are under way
_WHOLE = 0.8  # of the first burst: a stretch that lets in as many is one that began anew, as windows do


@dataclass(frozen=True)
class _Failure:
    """A stretch that ended at `at`, turned away at so many calls a second, with so long a pause after it."""

    at: float
    pause: float
    rate: float


class Admission:
    """What is known of a server that turned a stretch of calls away.

    That stretch had `length` seconds with the pause after it, `active` without; `answers` came before it. `since`: when
    the pause ends. Seconds are of any clock that never runs backwards, rates in calls a second.
    """

    def __init__(self, answers: int, active: float, length: float, since: float) -> None:
        self._before, self._active, self._length = answers, active, length
        self._burst = 0  # calls that it let in; known at the first call after it
        self._slowest = 0.0  # calls a second of that stretch
        self.peak: float | None = None  # the rate at which it fails
        self.ceiling = math.inf  # a rate that nothing came near says nothing
        self.free_at = self._since = since
        self._span = _CURVE_SECONDS / 8  # of the curve from below the peak up to it
        self._failure: _Failure | None = None  # not judged yet: how many it let in shows when the crowd is back
        self._crowd = 0  # calls that were turned away after it, and had begun before
        self._began, self._answers, self._gap = since, 0, 0.0  # of this stretch, with the pause before it
        self._sent: deque[float] = deque(maxlen=1024)  # when its calls started

    @property
    def failing(self) -> bool:
        """Whether a stretch has failed since the last call."""
        return self._failure is not None

    def at(self, now: float) -> float:
        """The rate."""
        on = max(0.0, now - self._since)
        if self.peak is None:
            return float(min(self._slowest * _START ** min(on, 9.0), max(self.ceiling, self._slowest)))
        rounds = on / self._span - 1.0
        curve = self.peak * (1.0 + _CURVE * min(rounds, 1.0) ** 3) * 4.0 ** min(max(0.0, rounds - 1.0), 9.0)
        return min(float(curve), max(self.ceiling, (1.0 - _CURVE) * self.peak))

    def take(self, now: float, answers: int) -> None:
        """A call starts; `answers`: those that came, and those that are under way."""
        if not self._slowest:
            self._burst = max(answers - self._before, 1)
            self._slowest = self._burst / self._length
            self._begin(now, answers, self._length - self._active)
        if self._failure is not None:
            self._judge(self._failure, now, answers)
        self._sent.append(now)
        rate = self.at(now)
        self.free_at = max(self.free_at, now - min(SLACK, (self._burst - 1) / 2 / rate)) + 1.0 / rate

    def turned_away(self) -> None:
        """One more of those that had begun before the last failure."""
        self._crowd += 1

    def failed(self, now: float, pause: float, answers: int) -> None:
        """A call was turned away, and that was too much: back to below the peak, once the pause is over."""
        if self._slowest and answers - self._answers < 1:  # nothing was let in: it is the last pause that was too short
            self._gap += now - self._began + pause
            if self.peak is None:
                self._length += now - self._began + pause
                self._slowest = self._burst / self._length
            self._since = now + pause
            self._begin(now + pause, self._answers, self._gap)
            return
        self._failure = _Failure(now, pause, self.at(now) if self._slowest else math.inf)
        self._crowd = 0

    def touched(self, rate: float, resume: float) -> None:
        """A call was turned away, and that cost nothing: the rate is about right, stay there for a while."""
        self.peak, self._since = max(rate, 0.01), resume - self._span

    def beyond(self, rate: float) -> bool:
        """Whether the curve has left the neighbourhood of the peak."""
        return self.peak is not None and rate > (1.0 + 2 * _CURVE) * self.peak

    def settled(self, now: float) -> bool:
        """Whether the curve is still below its peak."""
        return self.peak is not None and now <= self._since + self._span

    def over(self, now: float) -> bool:
        """Whether it has grown so far past its last failure that it says nothing any more."""
        return self.peak is not None and self.at(now) > 8.0 * self.peak

    def _begin(self, now: float, answers: int, gap: float) -> None:
        self._began, self._answers, self._gap = now, answers, gap
        self._sent.clear()

    def _judge(self, failure: _Failure, now: float, answers: int) -> None:
        """Find the peak from the stretch that failed, and begin the next."""
        sent = [time - failure.at for time in self._sent]
        sent = sent[: max(0, len(sent) - self._crowd - 1)]
        rate = failure.rate
        brief = [time for time in sent if time >= -_BRIEF]
        if len(brief) >= _MANY:  # the rate that was allowed may be more than was sent
            rate = min(rate, 1.2 * len(brief) / max(-brief[0], _BRIEF / 2))
        let_in = max(1, answers - self._answers)
        # Of a slow curve, whole windows may be what was taken for the burst: half of the doubt is for the server.
        drained = self._drained(sent, 1.0 if self.peak is None else 0.5)
        rates = [let_in / (self._gap + failure.at - self._began), drained]
        if let_in >= _WHOLE * self._burst:
            rates.append(self._burst / self._length)
        peak = min(max(rates), rate)
        if self.peak is None:
            peak *= _ROUGH
        elif rate < self.peak:
            peak = min(peak, _AGAIN * rate)
        self.peak, self._since = max(peak, 0.01), now
        self._span = max(_CURVE_SECONDS, _CURVE_PAUSES * failure.pause)
        self._failure = None
        self._begin(now, answers, failure.pause)

    def _drained(self, sent: list[float], share: float) -> float:
        """The rate of a bucket that ran dry at 0, with calls let in at these times before it. `share`: of the first
        burst that is taken to be what it holds."""
        rate, least = 0.0, _SHORTEST if self.peak is None else _STEADY
        for _ in range(4):  # the first burst itself holds some that came of the rate
            burst = max(0.5, share * (self._burst - rate * self._active))
            since = ((len(sent) - place - burst) / -time for place, time in enumerate(sent) if time <= -least)
            rate = max(since, default=0.0)
        return max(rate, 0.0)


class AtOnce:
    """Tells a limit on the calls at once from one on the rate.

    Such a server turns calls away when the same number is under way, at any rate, and in between lets in none beyond
    that number. Twice the same number is taken for the limit. Where calls are turned away at another number after all,
    it was a rate, and twice as many times are needed from then on.
    """

    def __init__(self) -> None:
        self.holds = False  # whether that is what it limits, as far as is known
        self._limit = math.inf  # calls under way when it last turned calls away
        self._let_in: float = math.inf  # the same of those turned away since, not judged yet; infinite without any
        self._answers = self._beyond = 0  # in between, and while clearly more were under way
        self._times, self._needed = 0, 1  # how often it was the number of last time, and how often that is to be
        self._pause = 0.0
        self._settled = -math.inf

    @property
    def failing(self) -> bool:
        """Whether calls were turned away since `judge` was asked."""
        return self._let_in < math.inf

    def answered(self, under_way: int) -> None:
        """The server took one of so many calls."""
        self._answers += 1
        self._beyond += under_way - 1 > _MORE * self._limit

    def failed(self, others: int, pause: float) -> None:
        """A call was turned away while so many others were under way, and no rate that is known explains it."""
        self._let_in, self._pause = min(self._let_in, others), pause

    def turned_away(self, let_in: int) -> None:
        """So was one that had begun before; `let_in`: those that had too and may have been let in."""
        if self.failing:
            self._let_in = min(self._let_in, let_in)

    def judge(self, now: float) -> int:
        """The calls at once that it lets in, when the pause is over; 0 where nothing new is known of that."""
        let_in, self._let_in = self._let_in, math.inf
        if self._answers < self._limit < math.inf:  # most of those under way are the same calls as last time
            return 0
        same = let_in >= 1 and _LESS * self._limit <= let_in <= _MORE * self._limit
        same = same and self._beyond <= _FEW * self._limit and self._pause <= _LONG
        self._times = self._times + 1 if same else 0
        if self.holds and not same:
            self._needed *= 2
        self._limit = let_in
        self._answers = self._beyond = 0
        self.holds = self._times >= self._needed
        if not self.holds:
            return 0
        self._settled = now + max(_CURVE_SECONDS, _CURVE_PAUSES * self._pause)
        return int(self._limit)

    def settled(self, now: float) -> bool:
        """Whether it is too early to look for more."""
        return self.holds and now < self._settled
