"""When a call is tried again: dates, long waits and the backoff; and the wait, which ends with the run."""

import time

import pytest

from judgekit.calls.retries import backoff, retry_after, stoppable, wait
from judgekit.errors import Interrupted


def test_a_date_and_a_long_wait() -> None:
    from email.utils import formatdate

    soon = formatdate(time.time() + 30, usegmt=True)
    assert 27 < (retry_after({"retry-after": soon}) or 0) <= 30
    assert retry_after({"retry-after": "86400"}) == 86400
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) is None


def test_the_backoff_doubles_to_eight_seconds_with_jitter() -> None:
    for attempt, full in enumerate([0.5, 1, 2, 4, 8, 8, 8]):
        pauses = [backoff(attempt) for _ in range(200)]
        assert 0.75 * full <= min(pauses) < max(pauses) <= full


def test_a_stop_ends_a_wait_in_its_block_and_only_there() -> None:
    asked = []
    with stoppable(lambda: len(asked.append(1) or asked) > 2), pytest.raises(Interrupted):
        wait(3600)
    assert len(asked) == 3
    wait(0.01)
    with stoppable(lambda: True):
        wait(0)
