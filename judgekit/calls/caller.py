"""Requests → replies: from the ledger where it has them, else from the backend, through a bounded thread pool."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from pydantic import JsonValue

from judgekit.calls import Closing
from judgekit.calls.budget import Budget
from judgekit.calls.ledger import Kind, call_key, canonical
from judgekit.calls.pacing import Lane
from judgekit.calls.work import Answer, Work, name_of, named
from judgekit.config.blocks import Limits, Price
from judgekit.contracts import Backend, Executor
from judgekit.errors import CallError, Interrupted, JudgekitError, NotSent, PluginError
from judgekit.records import Call, Reply, Usage
from judgekit.secrets import one_line
from judgekit.text import counted
from judgekit.thoughts import STRIP, why_empty

if TYPE_CHECKING:
    from judgekit.calls.session import Session

_POLL = 0.1  # seconds between two looks at the stop event
_LONG = 3.0  # seconds: a shorter pause is not worth a word
_LOOK_AHEAD = 4096  # items, or one batch for each thread where that is more


@dataclass
class Counts:
    """Replies handed out: made by the backend, found in the ledger (or asked for already), and not to be had.

    `unsent` are those of the failed that were held back, by the budget or by a server that wants to be left alone.
    `notes`: how many replies bear each note, such as a parameter that the model refused. `written`: texts that were
    asked for and came; `empty`: those of them without any text, by cause.
    """

    asked: int = 0
    from_ledger: int = 0
    failed: int = 0
    unsent: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    written: int = field(default=0, compare=False)
    empty: Counter[str] = field(default_factory=Counter, compare=False)


@dataclass
class Used:
    """What the replies that the backend made took, by their own account; `untold` of them gave none."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    untold: int = 0

    def count(self, usage: Usage | None) -> None:
        self.untold += usage is None
        self.prompt_tokens += usage.prompt_tokens if usage else 0
        self.completion_tokens += usage.completion_tokens if usage else 0


@dataclass(slots=True, eq=False)
class _Pending:
    """One call on its way. `done` is set when `reply` is there, or when none will come.

    `name` tells the call from all others: its key, or, where a stored reply is to be replaced, a hash of both.
    """

    call: Call
    key: str
    request_json: str
    name: str
    reply: Reply | None = None
    sent: bool = False
    found: bool = False  # in the ledger, after all: another process asked meanwhile
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class _Stream:
    """One pass of `calls`: what it sends, and whether anyone still wants it."""

    kind: Kind
    in_flight: dict[str, _Pending] = field(default_factory=dict)
    abandoned: bool = False


@dataclass(eq=False, repr=False)
class Caller(Closing):
    """What puts a session's requests to one backend, at most its `jobs` at a time (fewer if the backend says so).

    A reply is committed to the ledger before it is handed out, without the thoughts in it. A call that fails becomes a
    reply with status `error`, which is not stored. What the ledger cannot answer is sent, or left to the session's
    policy. A thread here waits for each batch under way: for room in the budget, for its turn at the server, for the
    executor, which carries the batch out, and for the commit.

    `limits` hold this caller back, and all of the session that ask the same server. With a `budget`, a call is sent
    only if the most that it can cost is left of it, by its `price`; else it fails, without a note of that.

    Use one Caller a backend, from one thread.
    """

    grace = 4.0  # seconds that calls in flight get after an interrupt, so that all is over within 5

    session: Session
    label: str
    backend: Backend
    _: KW_ONLY
    identity: JsonValue
    limits: Limits | None = None
    price: Price | None = None
    budget: Budget | None = None

    def __post_init__(self) -> None:
        self.thoughts = STRIP
        self.counts = Counts()
        self.used = Used()
        self.name = name_of(self.backend)
        most = [self.session.jobs, self.backend.max_concurrency, self.limits.concurrency if self.limits else None]
        self._width = max(1, min(width for width in most if width is not None))
        self._lane = Lane(self.session.paces, self._width, self.limits if self.backend.limited else None)
        self._sends = self.session.policy.sends(self.backend)
        self.batch = self.backend.max_batch
        if self.batch < 1:
            raise PluginError(f"the backend {self.name} has a max_batch of {self.batch}")
        self._block = self._width * self.batch  # items looked up in one read of the ledger
        self._window = max(self._block, min(8 * self._block, _LOOK_AHEAD))  # bounds the memory
        self._retried: set[str] = set()
        self._failure: JudgekitError | None = None  # the circuit is open: no call can succeed
        self._queue: queue.SimpleQueue[tuple[_Stream, list[_Pending]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._pausing = False

    def calls(self, kind: Kind, items: Iterable[Call]) -> Iterator[Reply]:
        """Replies to the calls, in order; the items are pulled as replies are taken.

        Misses go out in batches of the backend's max_batch, filled in the order of the items, so that the batches
        depend on what the ledger holds and not on timing.

        Raises BackendError when no call can succeed, PluginError when the backend broke its contract, StorageError
        when a reply could not be committed: each after the calls in flight are committed; Interrupted after a stop.
        """
        run, source = _Stream(kind), iter(items)
        waiting: deque[tuple[_Pending, bool]] = deque()
        batch: list[_Pending] = []
        exhausted = False
        try:
            while True:
                while not exhausted and len(waiting) <= self._window - self._block:
                    block = list(islice(source, self._block))
                    exhausted = len(block) < self._block
                    for pending, new in self._look_up(run, block):
                        waiting.append((pending, new))
                        if new:
                            batch.append(pending)
                        if len(batch) == self.batch:
                            self._send(run, batch)
                            batch = []
                if batch and (exhausted or waiting[0][0] is batch[0]):  # or the window is full: it will not fill up
                    self._send(run, batch)
                    batch = []
                if not waiting:
                    return
                pending, new = waiting.popleft()
                yield self._hand_out(run, pending, new)
        finally:
            run.abandoned = True

    def close(self) -> None:
        """End the threads; calls in flight get a grace period to be committed."""
        self._closing = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(self._grace_left())
        self._threads.clear()

    def _look_up(self, run: _Stream, block: list[Call]) -> Iterator[tuple[_Pending, bool]]:
        """The calls, each with whether it is new: not in the ledger, and not in flight."""
        keyed = [call_key(self.identity, run.kind, *call, self.session.namespace) for call in block]
        # In flight first: a call leaves that table only after its commit, so one of the two knows it.
        known = {key: pending for key, _ in keyed if (pending := run.in_flight.get(key)) is not None}
        stored = self.session.ledger.find({key: request_json for key, request_json in keyed if key not in known})
        for (key, request_json), call in zip(keyed, block, strict=True):
            if key in known:
                yield known[key], False
                continue
            reply, name = stored.get(key), key
            retried = self.session.retry_failed and key not in self._retried
            if retried and reply is not None and reply.status != "complete":
                self._retried.add(key)
                name = _replacing(key, reply)
                reply = None
            pending = known[key] = _Pending(call, key, request_json, name, reply)
            if reply is None:
                run.in_flight[key] = pending
            else:
                pending.done.set()
            yield pending, reply is None

    def _send(self, run: _Stream, batch: list[_Pending]) -> None:
        if not self._sends:
            return  # the policy answers, as each reply is handed out
        if len(self._threads) < self._width:
            name = f"judgekit-call-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()
        for pending in batch:
            pending.sent = True
        self._queue.put((run, batch))

    def _hand_out(self, run: _Stream, pending: _Pending, new: bool) -> Reply:
        """Wait for the call's reply and count it."""
        if not self._sends:
            self._settle_by_policy(run, pending)
        while not self._halted() and not pending.done.wait(_POLL):
            self._tell_of_a_pause()
        if self._halted() or pending.reply is None:
            self._give_up(run)
        assert pending.reply is not None
        new = new and not pending.found
        failed = pending.reply.status == "error"
        self.counts.asked += new and pending.sent
        self.counts.unsent += new and not pending.sent
        self.counts.from_ledger += not new and not failed
        self.counts.failed += failed
        if new and not failed:
            self.used.count(pending.reply.usage)
        self.counts.notes.update(pending.reply.notes)
        reply = self.thoughts.cut(pending.reply)
        if run.kind == "generate" and not failed:
            self.counts.written += 1
            self.counts.empty.update(why_empty(reply))
        return reply

    def _settle_by_policy(self, run: _Stream, pending: _Pending) -> None:
        pending.reply = self.session.policy.answer(self, run.kind, pending.call, pending.key, pending.reply)
        run.in_flight.pop(pending.key, None)
        pending.done.set()

    def _tell_of_a_pause(self) -> None:
        """Nothing moves for a while, and the user may wonder."""
        left = self._lane.pace.hold
        if left > _LONG and not self._pausing:
            self._report("waiting", 0, 0, f"the server asks to be left alone for {left:.0f} s")
        elif left <= 0 and self._pausing:
            self._report("waiting", 0, 0, "going on")
        self._pausing = left > _LONG or (left > 0 and self._pausing)

    def _report(self, what: str, done: int, total: int, note: str) -> None:
        self.session.progress(f"{self.label}, {what}", done, total, note)

    def _halted(self) -> bool:
        return self._closing or self._failure is not None or self.session.stop.is_set()

    def _grace_left(self) -> float:
        """Seconds; the clock starts with the first question by any caller of the run."""
        paces = self.session.paces
        if paces.grace_end is None:
            paces.grace_end = time.monotonic() + self.grace
        return max(0.0, paces.grace_end - time.monotonic())

    def _give_up(self, run: _Stream) -> None:
        """Let the calls in flight be committed (after a stop, in what is left of the grace period); then raise what
        stopped us."""
        run.abandoned = True  # what no worker has begun is dropped
        sent = [pending for pending in list(run.in_flight.values()) if pending.sent]  # a copy: workers take calls out
        while sent and not (self.session.stop.is_set() and self._grace_left() == 0):
            if sent[-1].done.wait(_POLL):
                sent.pop()
        if self._failure is not None:
            raise self._failure
        raise Interrupted("stopped; every reply so far is in the ledger: the same command goes on from there")

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            run, batch = job
            try:
                with named(f"the backend {self.name}"):  # such as a reply that is no JSON
                    if not run.abandoned and not self._halted():
                        self._ask(run, batch)
            except Interrupted:
                pass
            except KeyboardInterrupt:
                self._failure = self._failure or Interrupted("interrupted")
            except JudgekitError as error:
                self._failure = self._failure or error
            finally:  # the consumer must not wait for ever
                for pending in batch:
                    run.in_flight.pop(pending.key, None)
                    pending.done.set()

    def _ask(self, run: _Stream, batch: list[_Pending]) -> None:
        """Get the replies to one batch: what another process asks right now is waited for, the rest is asked."""
        if "stored" in self.backend.capabilities:  # to look an answer up costs nothing
            return self._ask_now(run, batch)
        waiting, since = batch, time.monotonic()
        while waiting and not (run.abandoned or self._halted()):
            with self.session.ledger.leased([pending.key for pending in waiting]) as (free, alone):
                waiting = waiting if alone else self._not_found(waiting)
                if mine := [pending for pending in waiting if pending.key in free]:
                    self._ask_now(run, mine)
            waiting = [pending for pending in waiting if pending.key not in free]
            if waiting:
                if time.monotonic() - since > _LONG:
                    self._report("waiting", 0, 0, "another run asks the same; its replies are waited for")
                    since = float("inf")
                time.sleep(_POLL)
        return None

    def _not_found(self, batch: list[_Pending]) -> list[_Pending]:
        """The calls that the ledger still cannot answer; the others have their reply."""
        stored = self.session.ledger.find({pending.key: pending.request_json for pending in batch})
        for pending in batch:
            reply = stored.get(pending.key)
            if reply is not None and pending.name != _replacing(pending.key, reply):
                pending.reply, pending.sent, pending.found = reply, False, True
        return [pending for pending in batch if not pending.found]

    def _ask_now(self, run: _Stream, batch: list[_Pending]) -> None:
        """Put the calls to the backend and commit its replies."""
        try:
            answers = self._put(run, batch)
        except CallError as error:
            for pending in batch:
                pending.sent = not isinstance(error, NotSent)
                self._fail(pending, str(error))
            return
        by_name = {answer.name: answer.reply for answer in reversed(answers)}  # the first of each name
        for pending in batch:  # what came is committed, even where something else is wrong
            if (reply := by_name.get(pending.name)) is None:
                continue
            if reply.status == "error":
                self._fail(pending, reply.detail)
            else:
                put, replace = self.session.ledger.put, pending.name != pending.key
                pending.reply = put(pending.key, pending.request_json, self.identity, reply, replace=replace)
        if wrong := _mixed_up([pending.name for pending in batch], [answer.name for answer in answers]):
            raise PluginError(f"the executor {name_of(self.session.executor)} {wrong}")

    def _fail(self, pending: _Pending, detail: str) -> None:
        detail = one_line(detail) or "no reply"
        if pending.sent:
            self.session.ledger.log_error(pending.key, self.identity, detail)
        pending.reply = Reply(status="error", detail=detail)

    def _put(self, run: _Stream, batch: list[_Pending]) -> list[Answer]:
        """Have the executor carry out the batch, at the server's pace and within the budget."""
        backend, executor = self.backend, self.session.executor
        requests = [pending.call.request for pending in batch]
        names = [pending.name for pending in batch]
        folder = self.session.ledger.path.parent
        work = Work(run.kind, requests, names, folder, type(backend), backend.options, backend.where)
        account = None if self.budget is None else self.budget.reserve(requests, self.price, self._halted)
        answers: list[Answer] = []
        try:
            with self._lane.turn(requests, account, self._halted) as turn:
                with named(f"the executor {name_of(executor)}"):
                    answers = _checked(executor, executor.carry_out(work, backend, self._report))
                turn.used([answer.reply for answer in answers])
        finally:
            if account is not None:
                first = {answer.name: answer.reply for answer in reversed(answers) if answer.name in names}
                account.settle(list(first.values()))
        return answers


def _replacing(key: str, reply: Reply) -> str:
    """The name of a call whose stored reply is to be replaced."""
    return hashlib.sha256(f"{key}{canonical(reply)}".encode("ascii")).hexdigest()


def _checked(executor: Executor, answers: object) -> list[Answer]:
    """The answers, if each is a reply with the name of its call."""
    if isinstance(answers, list | tuple) and all(isinstance(a, Answer) and isinstance(a.reply, Reply) for a in answers):
        return list(answers)
    got = one_line(repr(answers), 80)
    raise PluginError(f"the executor {name_of(executor)} must return the answers to its work, not {got}")


def _mixed_up(asked: list[str], answered: list[str]) -> str:
    """What is wrong with the names of the answers, in words; "" where each call has its one answer, in order."""
    if answered == asked:
        return ""
    calls = counted(len(asked), "call")
    if lost := len(set(asked) - set(answered)):
        return f"lost the answers to {lost} of {calls}"
    if twice := len(answered) - len(set(answered)):
        return f"answered {twice} of {calls} twice"
    others = len(set(answered) - set(asked))
    return f"answered {counted(others, 'call')} that it was not given" if others else "answered out of order"
