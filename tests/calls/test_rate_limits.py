"""How fast a server is asked: the config's limits, its own words about them, and what it turned away."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import judgekit
from answering import Answering, items
from judgekit.calls.pacing import Lane, Paces
from judgekit.calls.rate_limits import Pace, _seconds
from judgekit.config.blocks import Limits
from judgekit.errors import Interrupted
from judgekit.records import Reply, Usage
from judgekit.testing import FaultServer, http
from lone_caller import LoneCaller
from rough_server import RoughServer

FREE = (lambda: 0.0, lambda: False)  # no tokens, and never stopped
KEY = judgekit.Secret("sk-limits-canary-81", "LIMITS_KEY")


def mice(count, start=0):
    return items((f"mouse {number}" for number in range(start, start + count)), max_new_tokens=4)


def chat(url, key=None, **options):
    client = judgekit.Http(url, key=key, **options)

    def answer(prompt):
        body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
        return Reply(text=str(client.post("chat/completions", body).body))

    return Answering(answer)


def run(backend, ledger, count, **options):
    with LoneCaller(backend, ledger, **{"concurrency": 8, **options}) as caller:
        return list(caller.calls("generate", mice(count)))


def test_requests_a_minute_are_evenly_spread(ledger):
    backend = Answering()
    run(backend, ledger, 16, limits=Limits(requests_per_minute=600))
    assert backend.times[-1] - backend.times[0] >= 15 * 0.1 - 0.06
    assert backend.times[-1] - backend.times[0] < 15


def test_tokens_a_minute_are_held_to_by_what_calls_take_in_the_end(ledger):
    """600 tokens a second; the calls take 60 each, ten times what their words foretell."""
    used = Usage(prompt_tokens=50, completion_tokens=10)
    backend = Answering(lambda _: Reply(text="1", usage=used))
    run(backend, ledger, 30, limits=Limits(tokens_per_minute=36_000), concurrency=2)
    assert backend.times[-1] - backend.times[0] >= 29 * 60 / 600 - 0.5
    assert backend.times[-1] - backend.times[0] < 15


def test_a_nonsensical_number_of_tokens_holds_nobody_back_for_ever():
    now = [1000.0]
    pace = Pace(1, Limits(tokens_per_minute=600), clock=lambda: now[0])
    assert pace.try_once(0, 10.0) == 0
    pace.leave(0)
    pace.correct(1e30)
    assert 59 <= pace.try_once(1, 10.0) <= 60
    now[0] += 60
    assert pace.try_once(1, 10.0) == 0


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_at_once_than_the_limit(ledger, most):
    backend = Answering(lambda _: time.sleep(0.02))
    run(backend, ledger, 20, limits=Limits(concurrency=most))
    assert backend.most_active == most


def test_parts_that_ask_one_server_with_one_key_share_the_strictest_limits(ledger):
    times = []

    def handler(connection, request, before):
        times.append(time.monotonic())
        connection.sendall(http(200, "1"))

    paces = Paces()
    with FaultServer(handler) as server, contextlib.ExitStack() as stack:
        callers = []
        for limits in (Limits(requests_per_minute=1200), Limits(requests_per_minute=600), None):
            backend = chat(server.url, KEY)
            caller = LoneCaller(backend, ledger, concurrency=4, identity=len(callers), limits=limits, paces=paces)
            callers.append(stack.enter_context(caller))
        for caller in callers:  # each has met the server
            list(caller.calls("generate", mice(1)))
        start = len(times)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda caller: list(caller.calls("generate", mice(6, start=1))), callers))
    assert len(times) - start == 18
    assert max(times) - times[start] >= 17 * 0.1 - 0.4, "10 a second for all three together"


def test_a_retry_after_holds_back_everyone(ledger):
    """One call of many is told to wait: none is sent before that, not even those that were told nothing."""
    arrivals = []
    said = []

    def handler(connection, request, before):
        arrivals.append(time.monotonic())
        if before == 10:
            said.append(time.monotonic())
            connection.sendall(http(429, "{}", retry_after="1"))
        else:
            time.sleep(0.01)
            connection.sendall(http(200, "1"))

    with FaultServer(handler) as server:
        replies = run(chat(server.url), ledger, 60)
    assert {reply.status for reply in replies} == {"complete"}
    assert len(arrivals) == 61
    early = [moment - said[0] for moment in arrivals if 0.5 < moment - said[0] < 0.99]
    assert not early, "0.5 s: what was on its way when the server spoke"


@pytest.mark.slow
def test_a_long_pause_is_told(ledger):
    told = []

    def handler(connection, request, before):
        connection.sendall(http(429, "{}", retry_after="4") if before == 0 else http(200, "1"))

    with FaultServer(handler) as server:
        run(chat(server.url), ledger, 3, concurrency=1, progress=lambda *words: told.append(f"{words[0]}: {words[3]}"))
    assert told[0] == "models.lone, waiting: the server asks to be left alone for 4 s"
    assert told[1:] in ([], ["models.lone, waiting: going on"])


def test_a_call_that_is_told_when_to_come_back_is_patient_but_not_for_ever(ledger):
    """Eight times away, which is more than its retries."""
    for away, status, requests in ((8, "complete", 9), (99, "error", 14)):

        def handler(connection, request, before, away=away):
            connection.sendall(http(429, "{}", retry_after_ms="5") if before < away else http(200, "1"))

        with FaultServer(handler) as server:
            backend = chat(server.url, retries=1)
            (reply,) = run(backend, ledger, 1, identity=away)
            assert (reply.status, len(server.requests)) == (status, requests)
    assert "answered 429" in reply.detail


def test_a_server_that_wants_an_hour_is_asked_nothing_more(ledger):
    with FaultServer(lambda connection, *_: connection.sendall(http(429, "{}", retry_after="3600"))) as server:
        start = time.monotonic()
        with LoneCaller(chat(server.url), ledger, concurrency=4) as caller:
            replies = list(caller.calls("generate", mice(100)))
            assert caller.counts.unsent >= 96
            assert caller.counts.asked <= 4
        assert time.monotonic() - start < 60
        assert len(server.requests) <= 4
    assert {reply.status for reply in replies} == {"error"}
    assert "asks to be left alone for 3600 s" in replies[0].detail
    assert "not sent: the server asks to be left alone" in replies[-1].detail
    assert ledger.stats().errors <= 4, "what was not sent did not fail"


def test_calls_under_way_back_off_and_come_back(ledger):
    """A server for four at once: it is found out, most of its room is used, and no call fails."""
    with RoughServer(slots=4, delay=0.05, after="none") as server:
        with LoneCaller(chat(server.url), ledger, concurrency=16) as caller:
            replies = list(caller.calls("generate", mice(200)))
            assert caller._lane.pace._width < 16
        account = server.account()
    assert {reply.status for reply in replies} == {"complete"}
    assert account["most_under_way"] == 4
    assert account["turned_away"] < 100


def test_the_width_grows_by_one_a_round(ledger):
    pace = Pace(8)
    for ticket in range(8):
        pace.enter(ticket, *FREE)
    for ticket in range(8):
        pace.turned_away(ticket, 0.0, None)
    assert pace._width == 1.0
    for width in range(1, 8):
        for _ in range(width):
            pace.answered({}, lambda: 0.0)
        assert width < pace._width <= width + 1.2
    for _ in range(100):
        pace.answered({}, lambda: 0.0)
    assert pace._width == 8.0


HEADERS = [
    ({"requests": ("2", "1s")}, 2, 0.9),
    ({"tokens": ("1000000", "1s"), "requests": ("3", "1.0")}, 3, 0.9),
    ({"requests": ("-1", "1s")}, 8, 0),
    ({"requests": ("0", "0")}, 8, 0),
    ({"requests": ("0", "60s")}, 8, 0),
    ({"requests": ("5", "-1")}, 8, 0),
    ({"requests": ("1", "8h")}, 8, 0),
    ({"requests": ("many", "soon")}, 8, 0),
    ({"tokens": ("1", "1s")}, 0, 0.9),
]


@pytest.mark.parametrize(("told", "at_once", "pause"), HEADERS)
def test_what_the_headers_say_is_left_is_used_and_no_more(told, at_once, pause):
    """Azure's -1 and 0 say nothing; nor does a reset that nobody waits for."""
    headers = {}
    for what, (remaining, reset) in told.items():
        headers |= {f"x-ratelimit-remaining-{what}": remaining, f"x-ratelimit-reset-{what}": reset}
    pace = Pace(8)
    pace.enter(100, lambda: 5.0, FREE[1])
    pace.answered(headers, lambda: 5.0)
    pace.leave(100)
    start = time.monotonic()
    entered = []
    for ticket in range(at_once + (pause > 0)):
        pace.enter(ticket, lambda: 5.0, FREE[1])
        entered.append(time.monotonic() - start)
    assert all(moment < 0.8 for moment in entered[:at_once])
    if pause:
        assert pause < entered[-1] < pause + 5


def test_how_a_reset_is_written():
    written = {"1s": 1.0, "17ms": 0.017, "6m0s": 360.0, "1h2m3.5s": 3723.5, "2m59.56s": 179.56, "0.5": 0.5}
    assert {text: _seconds(text) for text in written} == pytest.approx(written)
    assert {_seconds(text) for text in ("", "0s", "-1", "0", "soon", "1x", "nan", "inf", None)} == {None}


def test_first_come_first_served():
    pace, order = Pace(1, Limits(concurrency=1)), []
    pace.enter(0, *FREE)

    def wait(ticket):
        pace.enter(ticket, *FREE)
        order.append(ticket)
        pace.leave(ticket)

    with ThreadPoolExecutor(8) as pool:
        for ticket in range(1, 9):
            pool.submit(wait, ticket)
            while len(pace._line) < ticket:  # it stands in line
                time.sleep(0.001)
        pace.leave(0)
    assert order == list(range(1, 9))


def test_a_stop_ends_the_wait_for_a_turn(ledger):
    stop = threading.Event()
    backend = Answering()
    threading.Timer(0.3, stop.set).start()
    with LoneCaller(backend, ledger, concurrency=8, limits=Limits(requests_per_minute=1), stop=stop) as caller:
        start = time.monotonic()
        with pytest.raises(Interrupted):
            list(caller.calls("generate", mice(20)))
        assert time.monotonic() - start < 30
    assert len(backend.times) == 1


def test_waiting_costs_no_time_of_the_processor():
    pace = Pace(1, Limits(requests_per_minute=1))
    pace.enter(0, *FREE)
    stop = threading.Event()

    def wait(ticket):
        with contextlib.suppress(Interrupted):
            pace.enter(ticket, lambda: 0.0, stop.is_set)

    before = time.process_time()
    with ThreadPoolExecutor(32) as pool:
        pool.map(wait, range(1, 33))
        time.sleep(1)
        spent = time.process_time() - before
        stop.set()
    assert spent < 0.3


def test_one_place_has_one_pace_and_another_key_its_own():
    paces = Paces()
    first, second, third = (Lane(paces, 8) for _ in range(3))
    shared = paces.at(("http://a", "KEY"), first)
    assert paces.at(("http://a", "KEY"), second) is shared is second.pace
    assert paces.at(("http://a", "OTHER"), third) is third.pace is not shared
    assert paces.at(("http://a", "KEY"), first) is shared
