"""A call that fails is a value; a backend that cannot serve opens the circuit; a stop is soon over."""

import contextlib
import math
import sqlite3
import threading
import time

import pytest

import judgekit
from answering import Answering, items
from judgekit.calls.caller import Counts
from judgekit.calls.pacing import Paces
from judgekit.errors import AuthError, CallError, Interrupted, PluginError, StorageError
from judgekit.records import Call, Continuation, Reply, Request
from judgekit.testing import FaultServer, http
from lone_caller import LoneCaller


class Raw(judgekit.Backend):
    """Returns whatever it was given, for both kinds of call."""

    def __init__(self, result):
        super().__init__()
        self.result = result

    def generate(self, requests):
        return self.result

    loglikelihood = generate


def failing(when, error):
    def answer(prompt):
        if when(int(prompt)):
            raise error

    return answer


def test_a_failed_call_is_a_reply_with_status_error_and_no_entry(ledger):
    odd = Answering(failing(lambda i: i % 2 == 1, CallError("lost\nafter \x1b[31m 5 tries")))
    with LoneCaller(odd, ledger, concurrency=4) as caller:
        replies = list(caller.calls("generate", items(range(10))))
        assert caller.counts == Counts(asked=10, failed=5)
    assert [reply.status for reply in replies] == ["complete", "error"] * 5
    assert {reply.detail for reply in replies[1::2]} == {"lost after [31m 5 tries"}
    assert (ledger.stats().entries, ledger.stats().errors) == (5, 5)

    with LoneCaller(Answering(lambda i: Reply(status="error")), ledger, concurrency=1) as caller:  # an error of its own
        (reply,) = list(caller.calls("generate", items(range(2))))[1:]
    assert reply == Reply(status="error", detail="no reply")
    healed = Answering()
    with LoneCaller(healed, ledger, concurrency=4) as caller:
        assert {reply.status for reply in caller.calls("generate", items(range(10)))} == {"complete"}
    assert sorted(healed.asked) == list("13579")


def test_a_failed_batch_fails_its_requests_only(ledger):
    backend = Answering(failing(lambda i: i == 5, CallError("no")), batch=4)
    with LoneCaller(backend, ledger, concurrency=1) as caller:
        statuses = [reply.status for reply in caller.calls("generate", items(range(12)))]
    assert statuses == ["complete"] * 4 + ["error"] * 4 + ["complete"] * 4


def test_every_status_but_error_is_kept_and_retried_when_asked_to(ledger):
    cut = Answering(lambda i: Reply(text="cu", status="truncated") if int(i) < 3 else Reply(text="ok"))
    with LoneCaller(cut, ledger, concurrency=2) as caller:
        list(caller.calls("generate", items(range(5))))
    same = Answering(lambda i: Reply(text="whole"))
    with LoneCaller(same, ledger, concurrency=2) as caller:
        assert [reply.text for reply in caller.calls("generate", items(range(5)))] == ["cu"] * 3 + ["ok"] * 2
    assert same.asked == []
    with LoneCaller(same, ledger, concurrency=2, retry_failed=True) as caller:
        assert [reply.text for reply in caller.calls("generate", items(range(5)))] == ["whole"] * 3 + ["ok"] * 2
    assert sorted(same.asked) == list("012")
    assert ledger.stats().by_status == {"complete": 5}
    for retry_failed in (False, True):  # what fails again is not tried twice in a run
        with LoneCaller(cut, ledger, concurrency=2, retry_failed=retry_failed, namespace="other") as caller:
            for _ in range(3):
                list(caller.calls("generate", items(range(1))))
    assert len(cut.asked) == 5 + 2


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_refused_key_opens_the_circuit(ledger, concurrency):
    def answer(i):
        time.sleep(0.01)
        raise AuthError("the key in X was refused")

    backend = Answering(answer)
    with LoneCaller(backend, ledger, concurrency=concurrency) as caller:
        with pytest.raises(AuthError, match="the key in X was refused"):
            list(caller.calls("generate", items(range(1000))))
        assert 1 <= len(backend.asked) <= concurrency
        with pytest.raises(AuthError):
            list(caller.calls("generate", items(range(1000))))
    assert len(backend.asked) <= concurrency
    assert (ledger.stats().entries, ledger.stats().errors) == (0, 0)


def test_when_the_circuit_opens_calls_in_flight_are_committed(ledger):
    together = threading.Barrier(4, timeout=10)

    def answer(i):
        together.wait()
        if i == "3":
            raise AuthError("no")
        time.sleep(0.3)
        return Reply(text="paid for")

    with LoneCaller(Answering(answer), ledger, concurrency=4) as caller:
        with pytest.raises(AuthError):
            list(caller.calls("generate", items(range(100))))
        assert ledger.stats().entries == 3


ONE = Reply(text="x")


@pytest.mark.parametrize(
    ("result", "kind", "message"),
    [
        ([], "generate", "returned 0 replies to 1 request "),
        ([ONE, ONE], "generate", "returned 2 replies to 1 request "),
        (None, "generate", r"must return a list of replies from generate\(\), not None"),
        ("x", "generate", "must return a list of replies"),
        (["x"], "generate", r"not \['x'\]"),
        ([ONE], "loglikelihood", "returned 0 log-likelihoods of 1 continuations"),
        ([Reply(continuations=(Continuation.model_construct(token_logprobs=(math.nan,)),))], "generate", "ValueError"),
    ],
)
def test_a_backend_that_breaks_the_contract_is_named(ledger, result, kind, message):
    request = Request(messages=(), continuations=(" a",) if kind == "loglikelihood" else ())
    with LoneCaller(Raw(result), ledger, concurrency=2) as caller, pytest.raises(PluginError, match=message) as caught:
        list(caller.calls(kind, [Call(request)]))
    assert f"{Raw.__module__}.Raw" in str(caught.value)
    assert ledger.stats().entries == 0


def test_what_a_backend_cannot_be_is_named(ledger):
    caller = LoneCaller(Answering(lambda i: ONE), ledger, concurrency=1)
    with caller, pytest.raises(PluginError, match="Answering offers no log-likelihoods"):
        list(caller.calls("loglikelihood", items(range(1))))
    with pytest.raises(PluginError, match="max_batch of 0"):
        LoneCaller(Answering(lambda i: ONE, batch=0), ledger, concurrency=1)
    for identity in ({"x": object()}, {"t": math.nan}):
        odd = type("Odd", (Answering,), {"identity": lambda self, identity=identity: identity})
        with pytest.raises(PluginError, match="Odd raised"):
            LoneCaller(odd(lambda i: ONE), ledger, concurrency=1)


@pytest.mark.parametrize("error", [KeyError("choices"), SystemExit(3), MemoryError()])
def test_any_other_exception_of_a_backend_is_named_with_its_cause(ledger, error):
    backend = Answering(failing(lambda i: True, error))
    with LoneCaller(backend, ledger, concurrency=2) as caller:
        with pytest.raises(PluginError, match=rf"Answering raised {type(error).__name__}: ") as caught:
            list(caller.calls("generate", items(range(10))))
        assert caught.value.__cause__ is error
    assert len(backend.asked) <= 2


def test_a_ledger_that_cannot_be_written_stops_the_calls(ledger):
    backend = Answering(lambda i: ONE)
    with sqlite3.connect(ledger.path) as db:
        db.execute("DROP TABLE replies")
        db.execute("CREATE TABLE replies (key TEXT, request TEXT, reply TEXT)")
    db.close()
    with LoneCaller(backend, ledger, concurrency=4) as caller, pytest.raises(StorageError, match="cannot be used"):
        list(caller.calls("generate", items(range(1000))))
    assert len(backend.asked) <= 4


def test_after_a_stop_nothing_is_sent_and_calls_in_flight_are_committed(ledger):
    stop = threading.Event()

    def answer(i):
        if i == "10":
            stop.set()
        time.sleep(0.02)
        return Reply(text="paid for")

    backend = Answering(answer)
    with (
        LoneCaller(backend, ledger, concurrency=4, stop=stop) as caller,
        pytest.raises(Interrupted, match="the same command goes on"),
    ):
        list(caller.calls("generate", items(range(1000))))
    asked = len(backend.asked)
    assert 11 <= asked <= 14
    assert ledger.stats().entries == asked
    with LoneCaller(backend, ledger, concurrency=4, stop=stop) as caller, pytest.raises(Interrupted):
        list(caller.calls("generate", items(range(10))))
    assert len(backend.asked) == asked, "after a stop nothing is begun"


def test_a_call_that_hangs_delays_a_stop_by_the_grace_period_only(ledger):
    stop, never = threading.Event(), threading.Event()
    threading.Timer(0.1, stop.set).start()
    with LoneCaller(Answering(lambda i: never.wait(20) and ONE), ledger, concurrency=16, stop=stop) as caller:
        caller.grace = 2.0
        start = time.monotonic()
        with pytest.raises(Interrupted):
            list(caller.calls("generate", items(range(1000))))
        assert time.monotonic() - start > 2.0
    assert time.monotonic() - start < 4.0  # closing grants no second grace
    assert LoneCaller.grace < 5.0, "an interrupt ends the process within 5 s"
    never.set()


def test_callers_of_one_run_share_the_grace_period(ledger):
    """A panel whose members all hang is waited for once, and not once for each."""
    stop, never, paces = threading.Event(), threading.Event(), Paces()
    with contextlib.ExitStack() as stack:
        runs = []
        for number in range(4):
            backend = Answering(lambda i: ONE if i == "0" else never.wait(20) and ONE)
            caller = LoneCaller(backend, ledger, concurrency=2, stop=stop, paces=paces, identity=number)
            caller.grace = 1.0
            runs.append(stack.enter_context(caller).calls("generate", items(range(10))))
            next(runs[-1])
        stop.set()
        start = time.monotonic()
        with pytest.raises(Interrupted):
            next(runs[0])
        stack.close()
        assert 0.9 < time.monotonic() - start < 3.9
    never.set()


def test_a_stop_during_a_wait_for_a_retry_ends_at_once(ledger):
    stop = threading.Event()

    def handler(connection, request, before):
        connection.sendall(http(429, "{}", retry_after="60"))
        threading.Timer(0.1, stop.set).start()

    with FaultServer(handler) as server, judgekit.Http(server.url) as client:
        over = Answering(lambda _: Reply(text=client.post("chat", {}).body))
        with LoneCaller(over, ledger, concurrency=1, stop=stop) as caller:
            start = time.monotonic()
            with pytest.raises(Interrupted):
                list(caller.calls("generate", items(range(3))))
            assert time.monotonic() - start < 30
        assert len(server.requests) == 1
    assert ledger.stats().errors == 0
