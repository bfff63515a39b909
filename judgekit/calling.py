"""Requests → replies: from the ledger where it has them, else from the backend, through a bounded thread pool."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

from pydantic import JsonValue

from judgekit.budget import Budget
from judgekit.contracts import Backend, Errand
from judgekit.errors import CallError, Interrupted, JudgekitError, NotSent, PluginError
from judgekit.ledger import Kind, Ledger, call_key, canonical
from judgekit.plugins import exit_of, plugin_of
from judgekit.records import Reply, Request, Usage
from judgekit.secret import one_line
from judgekit.spec import Limits, Price
from judgekit.transport import stoppable
from judgekit.turns import Lane, Paces
from judgekit.words import counted

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


class _Call:
    """One question on its way. `done` is released when `reply` is there, or when none will come.

    `name` tells the call from all others: its key, or, where a stored reply is to be replaced, a hash of both.
    """

    __slots__ = ("done", "key", "name", "replace", "reply", "request", "request_json", "sent")

    def __init__(self, key: str, request_json: str, request: Request, reply: Reply | None, replace: bool) -> None:
        self.key = self.name = key
        self.request_json = request_json
        self.request = request
        self.reply = reply
        self.replace = replace
        self.sent = False
        self.done = threading.Lock()
        self.done.acquire()


class _Run:
    """One pass of `calls`: what it sends, and whether anyone still wants it."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.in_flight: dict[str, _Call] = {}
        self.abandoned = False


class Caller:
    """Puts requests to one backend, at most `concurrency` at a time (fewer if the backend says so).

    A reply is committed to the ledger before it is handed out. A call that fails becomes a reply with status
    `error`, which is not stored. `retry_failed` asks again what the ledger holds as refused or truncated. Once
    `stop` is set nothing more is sent; `on_done(from_ledger)` is called, in the consumer's thread, for every reply,
    and `report` by backends whose work takes long (see Errand).

    `limits` hold this caller back, and (with the same `paces`) all that ask the same server. With a `budget`, a call
    is sent only if the most that it can cost is left of it, by its `price`; else it fails, without a note of that.

    Use one Caller a backend, from one thread, and close it before the ledger.
    """

    grace = 4.0  # seconds that calls in flight get after an interrupt, so that all is over within 5

    def __init__(
        self,
        backend: Backend,
        ledger: Ledger,
        *,
        concurrency: int,
        identity: JsonValue = None,
        namespace: str = "",
        retry_failed: bool = False,
        stop: threading.Event | None = None,
        on_done: Callable[[bool], None] | None = None,
        report: Callable[[str, int, int, str], None] = lambda *_: None,
        limits: Limits | None = None,
        paces: Paces | None = None,
        price: Price | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.backend = backend
        self.ledger = ledger
        self._identity = identity
        self.namespace = namespace
        self.retry_failed = retry_failed
        self.stop = stop or threading.Event()
        self.on_done = on_done
        self.report = report
        self.counts = Counts()
        self.used = Used()
        self.price = price
        self.budget = budget
        self.name = f"{type(backend).__module__}.{type(backend).__qualname__}"
        most = [concurrency, backend.max_concurrency, limits.concurrency if limits is not None else None]
        self._width = max(1, min(width for width in most if width is not None))
        self._paces = paces or Paces()
        self._lane = Lane(self._paces, self._width, limits if backend.limited else None)
        self.batch = self._batch = backend.max_batch
        if self._batch < 1:
            raise PluginError(f"the backend {self.name} has a max_batch of {self._batch}")
        self._block = self._width * self._batch  # items looked up in one read of the ledger
        self._window = max(self._block, min(8 * self._block, _LOOK_AHEAD))  # bounds the memory
        self._retried: set[str] = set()
        self._failure: JudgekitError | None = None  # the circuit is open: no call can succeed
        self._queue: queue.SimpleQueue[tuple[_Run, list[_Call]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._pausing = False

    @cached_property
    def identity(self) -> JsonValue:
        """The backend's identity: as given, or asked for once."""
        if self._identity is not None:
            return self._identity
        try:
            identity = self.backend.identity()
            canonical(identity)
        except JudgekitError:
            raise
        except Exception as error:
            raise self._broken(error) from error
        return identity

    def calls(self, kind: Kind, items: Iterable[tuple[Request, int, int]]) -> Iterator[Reply]:
        """Replies to (request, repeat, attempt), in order; the items are pulled as replies are taken.

        Misses go out in batches of the backend's max_batch, filled in the order of the items, so that the batches
        depend on what the ledger holds and not on timing.

        Raises BackendError when no call can succeed, PluginError when the backend broke its contract, StorageError
        when a reply could not be committed: each after the calls in flight are committed; Interrupted after a stop.
        """
        run, source = _Run(kind), iter(items)
        waiting: deque[tuple[_Call, bool]] = deque()
        batch: list[_Call] = []
        exhausted = False
        try:
            while True:
                while not exhausted and len(waiting) <= self._window - self._block:
                    block = list(islice(source, self._block))
                    exhausted = len(block) < self._block
                    for call, new in self._look_up(run, block):
                        waiting.append((call, new))
                        if new:
                            batch.append(call)
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
                call, new = waiting.popleft()
                yield self._hand_out(run, call, new)
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

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the consumer's side ---

    def _look_up(self, run: _Run, block: list[tuple[Request, int, int]]) -> Iterator[tuple[_Call, bool]]:
        """The calls, each with whether it must be sent: not if it is in the ledger, nor if it is in flight."""
        keyed = [call_key(self.identity, run.kind, *item, self.namespace) for item in block]
        # In flight first: a call leaves that table only after its commit, so one of the two knows it.
        known = {key: call for key, _ in keyed if (call := run.in_flight.get(key)) is not None}
        stored = self.ledger.find({key: request_json for key, request_json in keyed if key not in known})
        for (key, request_json), (request, _, _) in zip(keyed, block, strict=True):
            if key in known:
                yield known[key], False
                continue
            reply = stored.get(key)
            again = reply is not None and reply.status != "complete" and self.retry_failed and key not in self._retried
            call = known[key] = _Call(key, request_json, request, None if again else reply, again)
            if again:
                self._retried.add(key)
                call.name = hashlib.sha256(f"{key}{canonical(reply)}".encode("ascii")).hexdigest()
                reply = None
            if reply is None:
                run.in_flight[key] = call
            else:
                call.done.release()
            yield call, reply is None

    def _send(self, run: _Run, batch: list[_Call]) -> None:
        if len(self._threads) < self._width:
            thread = threading.Thread(target=self._work, name=f"judgekit-call-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        for call in batch:
            call.sent = True
        self._queue.put((run, batch))

    def _hand_out(self, run: _Run, call: _Call, new: bool) -> Reply:
        """Wait for the call's reply and count it."""
        while not self._halted() and not call.done.acquire(timeout=_POLL):
            self._tell_of_a_pause()
        if self._halted() or call.reply is None:
            self._give_up(run)
        call.done.release()  # the same call may be waited for once more
        assert call.reply is not None
        failed = call.reply.status == "error"
        self.counts.asked += new and call.sent
        self.counts.unsent += new and not call.sent
        self.counts.from_ledger += not new and not failed
        self.counts.failed += failed
        if new and not failed:
            self.used.count(call.reply.usage)
        self.counts.notes.update(call.reply.notes)
        if self.on_done is not None:
            self.on_done(not new)
        return call.reply

    def _tell_of_a_pause(self) -> None:
        """Nothing moves for a while, and the user may wonder."""
        left = self._lane.pace.hold
        if left > _LONG and not self._pausing:
            self.report("waiting", 0, 0, f"the server asks to be left alone for {left:.0f} s")
        elif left <= 0 and self._pausing:
            self.report("waiting", 0, 0, "going on")
        self._pausing = left > _LONG or (left > 0 and self._pausing)

    def _halted(self) -> bool:
        return self._closing or self._failure is not None or self.stop.is_set()

    def _grace_left(self) -> float:
        """Seconds; the clock starts with the first question by any caller of the run."""
        if self._paces.grace_end is None:
            self._paces.grace_end = time.monotonic() + self.grace
        return max(0.0, self._paces.grace_end - time.monotonic())

    def _settled(self, call: _Call) -> bool:
        """Wait for the call's end; after a stop, only for what is left of the grace period."""
        while not call.done.acquire(timeout=_POLL):
            if self.stop.is_set() and self._grace_left() == 0:
                return False
        return True

    def _give_up(self, run: _Run) -> None:
        """Let the calls in flight be committed, then raise what stopped us."""
        run.abandoned = True  # what no worker has begun is dropped
        sent = [call for call in list(run.in_flight.values()) if call.sent]  # a copy: workers take calls out
        all(self._settled(call) for call in sent)  # ends at the first for which there is no time left
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
                except BaseException as error:  # whatever it is, the consumer must not wait for ever
                    self._failure = self._failure or self._broken(error)
                finally:
                    for call in batch:
                        run.in_flight.pop(call.key, None)
                        call.done.release()

    def _ask(self, run: _Run, batch: list[_Call]) -> None:
        """Put one batch to the backend and commit its replies."""
        try:
            replies = self._put(run, batch)
        except CallError as error:
            replies = [Reply(status="error", detail=str(error))] * len(batch)
            for call in batch:
                call.sent = not isinstance(error, NotSent)
        for call, reply in zip(batch, replies, strict=True):
            if reply.status == "error":
                failed = Reply(status="error", detail=one_line(reply.detail) or "no reply")
                if call.sent:
                    self.ledger.log_error(call.key, self.identity, failed.detail)
                call.reply = failed
            else:
                call.reply = self.ledger.put(call.key, call.request_json, self.identity, reply, replace=call.replace)

    def _put(self, run: _Run, batch: list[_Call]) -> list[Reply]:
        """Ask the backend, at its server's pace and within the budget."""
        requests = [call.request for call in batch]
        account = None if self.budget is None else self.budget.reserve(requests, self.price, self._halted)
        replies: list[Reply] = []
        try:
            with self._lane.turn(requests, account, self._halted) as turn:
                if run.kind == "generate":
                    errand = Errand([call.name for call in batch], self.ledger.path.parent, self.report)
                    replies = self._checked(run.kind, requests, self.backend.carry_out(requests, errand))
                else:
                    replies = self._checked(run.kind, requests, self.backend.loglikelihood(requests))
                turn.used(replies)
        finally:
            if account is not None:
                account.settle(replies)
        return replies

    def _checked(self, kind: Kind, requests: list[Request], replies: object) -> list[Reply]:
        """The replies, if they are what the contract says."""
        if not isinstance(replies, list | tuple) or not all(isinstance(reply, Reply) for reply in replies):
            got = one_line(repr(replies), 80)
            raise PluginError(f"the backend {self.name} must return a list of replies from {kind}(), not {got}")
        if len(replies) != len(requests):
            raise PluginError(
                f"the backend {self.name} returned {counted(len(replies), 'reply', 'replies')} to "
                f"{counted(len(requests), 'request')} from {kind}()"
            )
        for request, reply in zip(requests, replies, strict=True):
            wanted = len(request.continuations) if kind == "loglikelihood" and reply.status == "complete" else None
            if wanted is not None and len(reply.continuations) != wanted:
                raise PluginError(
                    f"the backend {self.name} returned {len(reply.continuations)} log-likelihoods"
                    f" of {wanted} continuations"
                )
        return list(replies)

    def _broken(self, error: BaseException) -> PluginError:
        if not isinstance(error, Exception) and plugin_of(error):
            return exit_of(error)
        places = traceback.extract_tb(error.__traceback__)
        place = f" ({Path(places[-1].filename).name}:{places[-1].lineno})" if places else ""
        broken = PluginError(f"the backend {self.name} raised {type(error).__name__}: {one_line(str(error))}{place}")
        broken.__cause__ = error
        return broken
