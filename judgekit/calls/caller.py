"""Requests → replies: from the ledger where it has them, else from the backend, through a bounded thread pool."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from pydantic import JsonValue

from judgekit.calls.budget import Budget
from judgekit.calls.ledger import Kind, call_key, canonical
from judgekit.calls.pacing import Lane
from judgekit.calls.retries import stoppable
from judgekit.calls.work import Answer, Closing, Work, broken, name_of
from judgekit.config.blocks import Limits, Price
from judgekit.contracts import Backend, Executor
from judgekit.errors import CallError, Interrupted, JudgekitError, NotSent, PluginError
from judgekit.records import Call, Reply, Usage
from judgekit.secrets import one_line
from judgekit.text import counted

if TYPE_CHECKING:
    from judgekit.calls.session import Session

_POLL = 0.1  # seconds between two looks at the stop event
_LONG = 3.0  # seconds: a shorter pause is not worth a word
_LOOK_AHEAD = 4096  # items, or one batch for each thread where that is more


@dataclass
class Counts:
    """Replies handed out: made by the backend, found in the ledger (or asked for already), and not to be had.

    `unsent` are those of the failed that were held back, by the budget or by a server that wants to be left alone.
    `notes`: how many replies bear each note, such as a parameter that the model refused.
    """

    asked: int = 0
    from_ledger: int = 0
    failed: int = 0
    unsent: int = 0
    notes: Counter[str] = field(default_factory=Counter)


@dataclass
class Used:
    """What the replies that the backend made took, by their own account; `untold` of them gave none."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    untold: int = 0

    def count(self, usage: Usage | None) -> None:
        if usage is None:
            self.untold += 1
            return
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens


class _Pending:
    """One call on its way. `done` is released when `reply` is there, or when none will come.

    `name` tells the call from all others: its key, or, where a stored reply is to be replaced, a hash of both.
    """

    __slots__ = ("call", "done", "key", "name", "replace", "reply", "request_json", "sent")

    def __init__(self, call: Call, key: str, request_json: str, reply: Reply | None, replace: bool) -> None:
        self.call = call
        self.key = self.name = key
        self.request_json = request_json
        self.reply = reply
        self.replace = replace
        self.sent = False
        self.done = threading.Lock()
        self.done.acquire()


class _Stream:
    """One pass of `calls`: what it sends, and whether anyone still wants it."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.in_flight: dict[str, _Pending] = {}
        self.abandoned = False


class Caller(Closing):
    """What puts a session's requests to one backend, at most its `jobs` at a time (fewer if the backend says so).

    A reply is committed to the ledger before it is handed out. A call that fails becomes a reply with status
    `error`, which is not stored. What the ledger cannot answer is sent, or left to the session's policy. A thread here
    waits for each batch under way: for room in the budget, for its turn at the server, for the executor, which carries
    the batch out, and for the commit.

    `limits` hold this caller back, and all of the session that ask the same server. With a `budget`, a call is sent
    only if the most that it can cost is left of it, by its `price`; else it fails, without a note of that.

    Use one Caller a backend, from one thread.
    """

    grace = 4.0  # seconds that calls in flight get after an interrupt, so that all is over within 5

    def __init__(
        self,
        session: Session,
        label: str,
        backend: Backend,
        *,
        identity: JsonValue,
        limits: Limits | None = None,
        price: Price | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.session = session
        self.label = label
        self.backend = backend
        self.price = price
        self.budget = budget
        self.counts = Counts()
        self.used = Used()
        self.name = name_of(backend)
        self.identity = identity
        most = [session.jobs, backend.max_concurrency, limits.concurrency if limits is not None else None]
        self._width = max(1, min(width for width in most if width is not None))
        self._lane = Lane(session.paces, self._width, limits if backend.limited else None)
        self._sends = session.policy.sends(backend)
        self.batch = self._batch = backend.max_batch
        if self._batch < 1:
            raise PluginError(f"the backend {self.name} has a max_batch of {self._batch}")
        self._block = self._width * self._batch  # items looked up in one read of the ledger
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
                        if len(batch) == self._batch:
                            self._send(run, batch)
                            batch = []
                if exhausted and batch:
                    self._send(run, batch)
                    batch = []
                if not waiting:
                    return
                if batch and waiting[0][0] is batch[0]:  # the window is full: this batch will not fill up
                    self._send(run, batch)
                    batch = []
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

    # --- the consumer's side ---

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
            reply = stored.get(key)
            again = reply is not None and reply.status != "complete" and self.session.retry_failed
            again = again and key not in self._retried
            pending = known[key] = _Pending(call, key, request_json, None if again else reply, again)
            if again:
                self._retried.add(key)
                pending.name = hashlib.sha256(f"{key}{canonical(reply)}".encode("ascii")).hexdigest()
                reply = None
            if reply is None:
                run.in_flight[key] = pending
            else:
                pending.done.release()
            yield pending, reply is None

    def _send(self, run: _Stream, batch: list[_Pending]) -> None:
        if not self._sends:
            return  # the policy answers, as each reply is handed out
        if len(self._threads) < self._width:
            thread = threading.Thread(target=self._work, name=f"judgekit-call-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        for pending in batch:
            pending.sent = True
        self._queue.put((run, batch))

    def _hand_out(self, run: _Stream, pending: _Pending, new: bool) -> Reply:
        """Wait for the call's reply and count it."""
        if not self._sends:
            self._settle_by_policy(run, pending)
        while not self._halted() and not pending.done.acquire(timeout=_POLL):
            self._tell_of_a_pause()
        if self._halted() or pending.reply is None:
            self._give_up(run)
        pending.done.release()  # the same call may be waited for once more
        assert pending.reply is not None
        failed = pending.reply.status == "error"
        self.counts.asked += new and pending.sent
        self.counts.unsent += new and not pending.sent
        self.counts.from_ledger += not new and not failed
        self.counts.failed += failed
        if new and not failed:
            self.used.count(pending.reply.usage)
        self.counts.notes.update(pending.reply.notes)
        return pending.reply

    def _settle_by_policy(self, run: _Stream, pending: _Pending) -> None:
        policy, stored = self.session.policy, pending.reply
        pending.reply = policy.answer(self, run.kind, pending.call, pending.key, stored)
        if stored is None:
            run.in_flight.pop(pending.key, None)
            pending.done.release()

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
        if self.session.paces.grace_end is None:
            self.session.paces.grace_end = time.monotonic() + self.grace
        return max(0.0, self.session.paces.grace_end - time.monotonic())

    def _settled(self, pending: _Pending) -> bool:
        """Wait for the call's end; after a stop, only for what is left of the grace period."""
        while not pending.done.acquire(timeout=_POLL):
            if self.session.stop.is_set() and self._grace_left() == 0:
                return False
        return True

    def _give_up(self, run: _Stream) -> None:
        """Let the calls in flight be committed, then raise what stopped us."""
        run.abandoned = True  # what no worker has begun is dropped
        sent = [pending for pending in list(run.in_flight.values()) if pending.sent]  # a copy: workers take calls out
        all(self._settled(pending) for pending in sent)  # ends at the first for which there is no time left
        if self._failure is not None:
            raise self._failure
        raise Interrupted("stopped; every reply so far is in the ledger: the same command goes on from there")

    # --- the workers' side ---

    def _work(self) -> None:
        with stoppable(self._halted):
            while (job := self._queue.get()) is not None:
                run, batch = job
                try:
                    if not run.abandoned and not self._halted():
                        self._ask(run, batch)
                except Interrupted:
                    pass
                except KeyboardInterrupt:
                    self._failure = self._failure or Interrupted("interrupted")
                except JudgekitError as error:
                    self._failure = self._failure or error
                except BaseException as error:  # such as a reply that is no JSON; the consumer must not wait for ever
                    self._failure = self._failure or broken(f"the backend {self.name}", error)
                finally:
                    for pending in batch:
                        run.in_flight.pop(pending.key, None)
                        pending.done.release()

    def _ask(self, run: _Stream, batch: list[_Pending]) -> None:
        """Put one batch to the backend and commit its replies."""
        try:
            answers = self._put(run, batch)
        except CallError as error:
            for pending in batch:
                pending.sent = not isinstance(error, NotSent)
                self._fail(pending, str(error))
            return
        by_name: dict[str, Reply] = {}
        for answer in answers:
            by_name.setdefault(answer.name, answer.reply)
        for pending in batch:  # what came is committed, even where something else is wrong
            if (reply := by_name.get(pending.name)) is None:
                continue
            if reply.status == "error":
                self._fail(pending, reply.detail)
            else:
                pending.reply = self.session.ledger.put(
                    pending.key, pending.request_json, self.identity, reply, replace=pending.replace
                )
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
                try:
                    answers = _checked(executor, executor.carry_out(work, backend, self._report))
                except (JudgekitError, KeyboardInterrupt):
                    raise
                except BaseException as error:  # whatever it is, the consumer must not wait for ever
                    raise broken(f"the executor {name_of(executor)}", error) from error
                turn.used([answer.reply for answer in answers])
        finally:
            if account is not None:
                first = {answer.name: answer.reply for answer in reversed(answers) if answer.name in names}
                account.settle(list(first.values()))
        return answers


def _checked(executor: Executor, answers: object) -> list[Answer]:
    """The answers, if each is a reply with the name of its call."""
    if not isinstance(answers, list | tuple) or not all(
        isinstance(answer, Answer) and isinstance(answer.reply, Reply) for answer in answers
    ):
        got = one_line(repr(answers), 80)
        raise PluginError(f"the executor {name_of(executor)} must return the answers to its work, not {got}")
    return list(answers)


def _mixed_up(asked: list[str], answered: list[str]) -> str:
    """What is wrong with the names of the answers, in words; "" where each call has its one answer, in order."""
    if answered == asked:
        return ""
    lost = sum((Counter(asked) - Counter(answered)).values())
    twice = len(answered) - len(set(answered))
    others = len(set(answered) - set(asked))
    calls = counted(len(asked), "call")
    if lost:
        return f"lost the answers to {lost} of {calls}"
    if twice:
        return f"answered {twice} of {calls} twice"
    return f"answered {counted(others, 'call')} that it was not given" if others else "answered out of order"
