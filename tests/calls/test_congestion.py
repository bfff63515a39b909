"""How much of what a server admits is used in a storm of 429, by the real pace in a clock of its own.

Real servers in real time are in tests/end_to_end/test_rough_servers.py.
"""

import random

import pytest

from judgekit.calls.retries import Tries
from judgekit.errors import NotSent
from storms import Admits, Storm

# 60 calls a second, or 20, in buckets and windows of every kind. Retry-After exact, in whole seconds, or left out.
ADMITS = [
    Admits(60, burst=60, after="whole"),
    Admits(60, burst=5),
    Admits(60, burst=5, after="whole"),
    Admits(20, burst=2, after="whole"),
    Admits(60, window=2),
    Admits(60, window=1, after="whole"),
    Admits(20, window=10, sliding=True, after="whole"),
    Admits(40, burst=4, delay=0.4),
    Admits(20, burst=1, after="whole"),
    Admits(60, burst=60, after="none"),
    Admits(60, burst=5, after="none"),
    Admits(10, window=60, after="none"),
    Admits(20, burst=1, after="none"),
    Admits(20, window=10, after="none"),
    Admits(40, burst=4, delay=0.4, after="none"),
]
# Retry-After of 5 s and 20 s, where the next call would be let in within 20 ms
LONG = [Admits(60, burst=5, after=5), Admits(60, burst=60, after=5), Admits(60, burst=5, after=20)]
UNLIMITED = 1e9  # calls a second


def storm(server, calls, width):
    random.seed(width)  # of the backoff's jitter
    story = Storm(server, calls, width, seed=width).run()
    assert story.turned_away > 0
    assert story.early == 0, "sent before Retry-After had passed"
    assert len(story.let_in) + story.lost == calls
    return story


@pytest.mark.parametrize("width", [16, 32])
@pytest.mark.parametrize("server", ADMITS, ids=str)
def test_four_fifths_of_what_the_server_admits(server, width):
    story = storm(server, 3000, width)
    assert story.lost == 0, "a call that is turned away while others are let in has not failed"
    assert story.share(server) >= 0.8


@pytest.mark.parametrize("after", ["none", 1.0])
@pytest.mark.parametrize("delay", [0.05, 0.4, 2.0])
@pytest.mark.parametrize("slots", [1, 4, 16, 64])
def test_four_fifths_of_what_a_limit_on_the_calls_at_once_admits(slots, delay, after):
    server = Admits(UNLIMITED, burst=UNLIMITED, slots=slots, delay=delay, after=after)
    story = storm(server, max(1000, int(40 * server.most)), 64 if slots < 64 else 80)
    assert story.lost == 0
    assert story.share(server) >= 0.8


def test_as_many_calls_as_it_takes_at_once_are_never_turned_away():
    server = Admits(UNLIMITED, burst=UNLIMITED, slots=64, delay=0.05)
    story = Storm(server, 5000, 64).run()
    assert story.turned_away == 0
    assert story.share(server) >= 0.95


@pytest.mark.parametrize("calls", [1500, 6000])
@pytest.mark.parametrize("server", LONG, ids=str)
def test_four_fifths_of_what_a_far_too_long_pause_leaves(server, calls):
    """Nothing may be sent in a pause, and no client knows the limit before it was turned away twice: once by the
    burst, and once by the rate."""
    story = storm(server, calls, 32)
    seconds = story.let_in[-1] - story.let_in[0]
    possible = calls / server.rate + 2 * float(server.after)
    assert story.lost == 0
    assert possible / seconds >= 0.8


def test_a_server_that_lets_nobody_in_is_given_up_after_two_minutes():
    server = Admits(1e-9, burst=0, after="none")
    storm = Storm(server, 1000, 8)
    with pytest.raises(NotSent, match=r"turned all calls away for 1[2-9]\d s"):
        storm.run()
    assert storm.story.turned_away < 100
    assert storm.now < 140


def test_a_call_that_is_turned_away_while_others_get_in_is_patient():
    assert Tries(0).after_status(429, {}, patient=True, busy=False) is None
    tries = Tries(0)
    pauses = [tries.after_status(429, {}, patient=True, busy=True) for _ in range(13)]
    assert pauses[-1] is None
    assert all(pause is not None and 0.37 <= pause <= 8 for pause in pauses[:-1])
    assert Tries(0).after_status(503, {}, patient=True, busy=True) is None, "which may be broken"
