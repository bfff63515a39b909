"""One call's way to its server: the lane of the part that sends it, and its turn there.

A worker thread opens a turn round each batch (`Lane.turn`), which waits at the lane's pace. The transport finds the
turn of its thread (`current_turn`), says what became of every attempt, and waits there again before the next one. So
calls of a backend without the transport are paced as a whole, and those of one with it are paced by the attempt.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from judgekit.calls.rate_limits import Pace

if TYPE_CHECKING:
    from judgekit.config.blocks import Limits
    from judgekit.records import Reply, Request

Place = tuple[str, str]  # a server's origin, and the name of the key


class Paces:
    """The paces of a run, by place: parts of the config that ask the same server with the same key share one.

    `grace_end`: when calls under way are waited for no longer, once the run is to end; of all parts, not of each.
    """

    def __init__(self) -> None:
        self.grace_end: float | None = None
        self._lock = threading.Lock()
        self._by_place: dict[Place, Pace] = {}

    def at(self, place: Place, lane: Lane) -> Pace:
        pace = self._by_place.get(place)
        if pace is lane.pace:
            return pace
        with self._lock:
            pace = self._by_place.setdefault(place, lane.pace)
            if pace is not lane.pace:
                pace.tighten(lane.width, lane.limits)
                lane.pace = pace
        return pace


class Account(Protocol):
    """What a call may cost; see budget.py."""

    def send(self) -> None:
        """Called before every attempt. Raises NotSent where an attempt more is not in the budget."""

    def may_be_billed(self) -> None:
        """Called after an attempt that the server may have worked on, whether an answer came or not."""


class Lane:
    """What one part of the config sends: its limits, and the pace that it shares with others once the server is known.

    `width`: the most calls that it has under way. Tokens are foreseen as a quarter of the prompt's bytes and the most
    that a reply may have, times how that turned out so far.
    """

    def __init__(self, paces: Paces, width: int, limits: Limits | None = None) -> None:
        self.paces = paces
        self.limits = limits
        self.width = width
        self.pace = Pace(width, limits)
        self._ratio = 1.0

    @contextlib.contextmanager
    def turn(
        self, requests: Sequence[Request], account: Account | None, stopping: Callable[[], bool]
    ) -> Iterator[Turn]:
        """In the block, the calls of this thread go at this lane's pace. Raises as Pace.enter does."""
        turn = Turn(self, requests, account, stopping)
        token = _turn.set(turn)
        try:
            turn.enter(self.pace)
            yield turn
        finally:
            _turn.reset(token)
            turn.leave()

    def foreseen(self, requests: Sequence[Request]) -> float:
        """Tokens; a batch of several counts as one request, whose tokens are not paced."""
        return self._ratio * _rough(requests) if len(requests) == 1 else 0.0

    def used(self, requests: Sequence[Request], tokens: int, foreseen: float) -> None:
        """What the calls took in the end."""
        self.pace.correct(tokens - foreseen)
        if rough := _rough(requests):
            self._ratio += 0.2 * (min(max(tokens / rough, 0.05), 4.0) - self._ratio)


def _rough(requests: Sequence[Request]) -> float:
    return float(
        sum(
            sum(len(message.content) for message in request.messages) / 4 + (request.sampling.max_new_tokens or 256)
            for request in requests
        )
    )


class Turn:
    """One batch on its way. The transport tells it of every attempt; a backend without the transport needs nothing."""

    def __init__(
        self, lane: Lane, requests: Sequence[Request], account: Account | None, stopping: Callable[[], bool]
    ) -> None:
        self.lane = lane
        self.requests = requests
        self.account = account
        self.stopping = stopping
        self._pace: Pace | None = None  # entered, and not left
        self._fresh = True  # the turn that the caller waited for is still to be used
        self._foreseen = 0.0
        self._began = 0.0

    def enter(self, pace: Pace) -> None:
        pace.enter(id(self), self._tokens, self.stopping)
        self._pace = pace

    def leave(self) -> None:
        if self._pace is not None:
            self._pace.leave(id(self))
            self._pace = None

    def attempt(self, place: Place, *, counts: bool) -> None:
        """Before every attempt: wait for a turn. `counts`: it is a call in the sense of the budget.

        Raises as Pace.enter does, and NotSent where the budget ends.
        """
        pace = self.lane.paces.at(place, self.lane)
        if not self._fresh or (self._pace is not pace and pace.engaged):
            self.leave()
            self.enter(pace)
        self._fresh = False
        if counts and self.account is not None:
            self.account.send()
        self._began = time.monotonic()

    def answered(self, headers: Mapping[str, str]) -> None:
        self.lane.pace.answered(headers, self._tokens)

    def turned_away(self, pause: float | None) -> None:
        self.lane.pace.turned_away(id(self), self._began, pause)
        self.leave()

    def others_get_in(self) -> bool:
        """Whether the server has answered anyone lately."""
        return self.lane.pace.lively

    def may_be_billed(self) -> None:
        if self.account is not None:
            self.account.may_be_billed()

    def used(self, replies: Sequence[Reply]) -> None:
        """What the batch took, where the server said."""
        usages = [reply.usage for reply in replies if reply.usage is not None]
        if usages and self._foreseen:
            tokens = sum(usage.prompt_tokens + usage.completion_tokens for usage in usages)
            self.lane.used(self.requests, tokens, self._foreseen)

    def _tokens(self) -> float:
        self._foreseen = self.lane.foreseen(self.requests)
        return self._foreseen


_turn: ContextVar[Turn | None] = ContextVar("judgekit_turn", default=None)


def current_turn() -> Turn | None:
    """The turn that this thread's calls belong to; None outside a run."""
    return _turn.get()
