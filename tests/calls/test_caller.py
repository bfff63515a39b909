"""Order, batches, the ledger first, and the same question once."""

import threading
import time

import pytest

from answering import Answering, ask, items
from judgekit.calls.caller import Counts
from judgekit.calls.ledger import Ledger
from judgekit.records import Call, Continuation, Message, Reply, Request
from lone_caller import LoneCaller


class Echo(Answering):
    def loglikelihood(self, requests):
        return [
            Reply(continuations=tuple(Continuation(token_logprobs=(-float(len(c)),)) for c in request.continuations))
            for request in requests
        ]


def texts(caller, prompts):
    return [reply.text for reply in caller.calls("generate", items(prompts))]


def test_replies_come_in_the_order_of_the_requests(ledger):
    backend = Echo(lambda text: time.sleep(0.001 * (int(text) % 7)))
    with LoneCaller(backend, ledger, concurrency=8) as caller:
        assert texts(caller, range(100)) == [f"re: {i}" for i in range(100)]
    assert sorted(map(int, backend.asked)) == list(range(100))
    assert caller.counts == Counts(asked=100)


def test_nothing_asked_nothing_started(ledger):
    with LoneCaller(Echo(), ledger, concurrency=8) as caller:
        before = threading.active_count()
        assert texts(caller, []) == []
        assert threading.active_count() == before


@pytest.mark.parametrize("step", [1, 2])
def test_what_the_ledger_has_is_not_asked(ledger, step):
    with LoneCaller(Echo(), ledger, concurrency=4) as caller:
        texts(caller, range(0, 20, step))
    again = Echo()
    with LoneCaller(again, ledger, concurrency=4) as caller:
        assert texts(caller, range(20)) == [f"re: {i}" for i in range(20)]
        assert caller.counts == Counts(asked=20 - 20 // step, from_ledger=20 // step)
    assert sorted(map(int, again.asked)) == [number for number in range(20) if number % step]


@pytest.mark.parametrize(
    "change",
    [{"repeat": 1}, {"attempt": 1}, {"namespace": "x"}, {"seed": 5}, {"kind": "loglikelihood"}, {"identity": {"w": 1}}],
)
def test_another_call_is_another_entry(ledger, change):
    def entries(kind="generate", repeat=0, attempt=0, seed=1, **settings):
        with LoneCaller(Echo(), ledger, concurrency=1, **settings) as caller:
            list(caller.calls(kind, [Call(ask("hello", seed=seed), repeat, attempt)]))
        return ledger.stats().entries

    assert entries() == entries() == 1
    assert entries(**change) == entries(**change) == 2


def test_a_reply_is_committed_before_it_is_handed_out(ledger):
    with LoneCaller(Echo(), ledger, concurrency=8) as caller, Ledger(ledger.path) as other:
        for count, _ in enumerate(caller.calls("generate", items(range(50))), 1):
            assert other.stats().entries >= count


def test_log_likelihoods_take_the_same_way(ledger):
    request = Request(messages=(Message(role="user", content="q"),), continuations=(" a", " bcd"))
    for _ in range(2):
        with LoneCaller(Echo(), ledger, concurrency=2) as caller:
            (reply,) = caller.calls("loglikelihood", [Call(request)])
            assert [c.loglikelihood for c in reply.continuations] == [-2.0, -4.0]
    assert caller.counts == Counts(from_ledger=1)


def test_batches_are_filled_in_order(ledger):
    backend = Echo(batch=8, most=1)
    with LoneCaller(backend, ledger, concurrency=64) as caller:
        assert len(texts(caller, range(100))) == 100
    assert [len(batch) for batch in backend.batches] == [8] * 12 + [4]
    assert list(map(int, backend.asked)) == list(range(100))
    assert backend.most_active == 1


def test_batches_depend_on_the_ledger_alone(ledger, tmp_path):
    """The same holes give the same batches, however the timing falls."""
    seen = []
    for trial in range(4):
        with Ledger(tmp_path / f"{trial}.sqlite") as ledger:
            with LoneCaller(Echo(), ledger, concurrency=1) as caller:
                texts(caller, (i for i in range(400) if i % 3 or i > 380 or i < 20))
            backend = Echo(lambda text: time.sleep(0.002 * (int(text) % 2)), batch=4, most=2)
            with LoneCaller(backend, ledger, concurrency=2) as caller:
                assert len(texts(caller, range(400))) == 400
        seen.append(sorted(map(tuple, backend.batches)))
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert sum(len(batch) == 4 for batch in seen[0]) >= len(seen[0]) - 1


def test_a_batch_that_cannot_fill_up_goes_out(ledger):
    """One miss among a stream of hits longer than the window: the consumer must not wait for a full batch."""
    with LoneCaller(Echo(), ledger, concurrency=1) as caller:
        texts(caller, range(1, 500))
    backend = Echo(batch=8, most=1)
    with LoneCaller(backend, ledger, concurrency=1) as caller:
        stream = caller.calls("generate", items(range(500)))
        assert next(stream).text == "re: 0"
        assert backend.batches == [["0"]]


def test_the_same_question_in_flight_is_asked_once(ledger):
    backend = Echo(lambda text: time.sleep(0.02))
    with LoneCaller(backend, ledger, concurrency=8) as caller:
        assert texts(caller, ["a", "b", "a", "a", "b"] * 4) == ["re: a", "re: b", "re: a", "re: a", "re: b"] * 4
        assert caller.counts == Counts(asked=2, from_ledger=18)
    assert sorted(backend.asked) == ["a", "b"]


def test_the_same_question_twice_is_asked_once_even_when_answered_in_between(ledger):
    """Both stand in one block of the ledger's look-ups, and the first is committed before the second is sent."""
    committed = threading.Event()
    put = ledger.put

    def watched(*args, **kwargs):
        reply = put(*args, **kwargs)
        committed.set()
        return reply

    ledger.put = watched
    backend = Echo()

    with LoneCaller(backend, ledger, concurrency=8) as caller:
        send = caller._send

        def slow(*args):
            send(*args)
            assert committed.wait(5)
            time.sleep(0.05)  # the worker takes the call out of the table of those in flight

        caller._send = slow
        assert [reply.text for reply in caller.calls("generate", items("aa"))] == ["re: a", "re: a"]
    assert backend.asked == ["a"]


def test_the_input_is_pulled_as_replies_are_taken(ledger):
    pulled = 0

    def endless():
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    with LoneCaller(Echo(), ledger, concurrency=2) as caller:
        stream = caller.calls("generate", items(endless()))
        for taken in range(1, 200):
            next(stream)
            assert pulled <= taken + 16
        stream.close()


@pytest.mark.parametrize(("concurrency", "most", "expected"), [(4, None, 4), (64, 3, 3), (2, 8, 2), (5, 1, 1)])
def test_no_more_at_once_than_allowed(ledger, concurrency, most, expected):
    backend = Echo(lambda text: time.sleep(0.005), most=most)
    with LoneCaller(backend, ledger, concurrency=concurrency) as caller:
        texts(caller, range(40))
    assert backend.most_active == expected


def test_two_streams_of_one_caller_share_its_threads(ledger):
    backend = Echo(lambda text: time.sleep(0.002), most=2)
    with LoneCaller(backend, ledger, concurrency=8) as caller:
        pairs = list(zip(*(caller.calls("generate", items(range(n, n + 30))) for n in (0, 100)), strict=True))
    assert [(a.text, b.text) for a, b in pairs] == [(f"re: {i}", f"re: {100 + i}") for i in range(30)]
    assert backend.most_active == 2


def test_an_abandoned_stream_stops_asking_and_frees_its_threads(ledger):
    before = threading.active_count()
    backend = Echo(lambda text: time.sleep(0.01))
    with LoneCaller(backend, ledger, concurrency=4) as caller:
        stream = caller.calls("generate", items(range(1000)))
        next(stream)
        stream.close()
        time.sleep(0.05)
        asked = len(backend.asked)
        time.sleep(0.05)
        assert len(backend.asked) == asked <= 12
        assert texts(caller, range(8)) == [f"re: {i}" for i in range(8)]  # the caller goes on
    assert threading.active_count() == before
    assert len(backend.asked) == ledger.stats().entries  # what was in flight is committed, too


def test_an_input_that_fails_is_the_consumers_error(ledger):
    def broken():
        yield Call(ask("a"))
        raise KeyError("row 2")

    with LoneCaller(Echo(), ledger, concurrency=2) as caller, pytest.raises(KeyError, match="row 2"):
        list(caller.calls("generate", broken()))
