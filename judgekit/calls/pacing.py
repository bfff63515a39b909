"""One call's way to its server: the lane of the part that sends it, and its turn there.

A worker thread opens a turn round each batch (`Lane.turn`), which waits at the lane's pace. The transport finds the
turn of its thread (`current_turn`), says what became of every attempt, and waits there again before the next one. So
calls of a backend without the transport are paced as a whole, and those of one with it are paced by the attempt.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from judgekit.calls.rate_limits import POLL, Pace
from judgekit.calls.retries import TURNED_AWAY, retry_after
from judgekit.errors import Interrupted

if TYPE_CHECKING:
    from judgekit.calls.budget import Reservation
    from judgekit.config.blocks import Limits
    from judgekit.records import Reply, Request

Place = tuple[str, str]  # a server's origin, and the name of the key


class Paces:
    """The paces of a run, by place: parts of the config that ask the same server with the same key share one.

    `grace_end`: when calls under way are waited for no longer, once the run is to end; of all parts, not of each.
    """

    def __init__(self) -> None:
        self.grace_end: float | None = None
        self._by_place: dict[Place, Pace] = {}

    def at(self, place: Place, lane: Lane) -> Pace:
        pace = self._by_place.setdefault(place, lane.pace)  # atomic
        if pace is not lane.pace:
            pace.tighten(lane.width, lane.limits)
            lane.pace = pace
        return pace


class Lane:
    """What one part of the config sends: its limits, and the pace that it shares with others once the server is known.

    `width`: the most calls that it has under way. Tokens are foreseen as a quarter of the prompt's bytes and the most
    that a reply may have, times how that turned out so far (`ratio`).
    """

    def __init__(self, paces: Paces, width: int, limits: Limits | None = None) -> None:
        self.paces = paces
        self.limits = limits
        self.width = width
        self.pace = Pace(width, limits)
        self.ratio = 1.0

    @contextlib.contextmanager
    def turn(
        self, requests: Sequence[Request], account: Reservation | None, stopping: Callable[[], bool]
    ) -> Iterator[Turn]:
        """In the block, the calls of this thread go at this lane's pace. Raises as Pace.enter does."""
        turn = Turn(self, requests, account, stopping)
        token = current_turn.set(turn)
        try:
            turn.enter(self.pace)
            yield turn
        finally:
            current_turn.reset(token)
            turn.leave()


@dataclass(eq=False)
class Turn:
    """One batch on its way. The transport tells it of every attempt; a backend without the transport needs nothing."""

    lane: Lane
    requests: Sequence[Request]
    account: Reservation | None
    stopping: Callable[[], bool]
    _pace: Pace | None = None  # entered, and not left
    _fresh: bool = True  # the turn that the caller waited for is still to be used
    _counts: bool = False
    _foreseen: float = 0.0
    _began: float = 0.0

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
        self._fresh, self._counts = False, counts
        if counts and self.account is not None:
            self.account.send()
        self._began = time.monotonic()

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """What an answer says about the server's business, and whether the attempt may be billed."""
        if status in TURNED_AWAY:
            self.lane.pace.turned_away(id(self), self._began, retry_after(headers))
            self.leave()
        elif status < 500:
            self.lane.pace.answered(headers, self._tokens)
        if 200 <= status < 300:
            self.may_be_billed()

    def may_be_billed(self) -> None:
        if self._counts and self.account is not None:
            self.account.may_be_billed()

    def used(self, replies: Sequence[Reply]) -> None:
        """What the batch took, where the server said."""
        usages = [reply.usage for reply in replies if reply.usage is not None]
        if usages and self._foreseen:
            tokens = sum(usage.prompt_tokens + usage.completion_tokens for usage in usages)
            self.lane.pace.correct(tokens - self._foreseen)
            share = tokens / _rough(self.requests)
            self.lane.ratio += 0.2 * (min(max(share, 0.05), 4.0) - self.lane.ratio)

    def _tokens(self) -> float:
        self._foreseen = self.lane.ratio * _rough(self.requests)
        return self._foreseen


def _rough(requests: Sequence[Request]) -> float:
    """Tokens; a batch of several counts as one request, whose tokens are not paced."""
    if len(requests) != 1:
        return 0.0
    characters = sum(len(message.content) for message in requests[0].messages)
    return characters / 4 + (requests[0].sampling.max_new_tokens or 256)


# The turn that this thread's calls belong to; None outside a run.
current_turn: ContextVar[Turn | None] = ContextVar("judgekit_turn", default=None)


def wait(seconds: float) -> None:
    """The pause between two attempts: raises Interrupted soon after this thread's turn is to stop."""
    turn, end = current_turn.get(), time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if turn is not None and turn.stopping():
            raise Interrupted("stopped while waiting to ask again")
        time.sleep(min(left, POLL))
