"""Whether a call is tried again, and after how long."""

from __future__ import annotations

import contextlib
import email.utils
import random
import time
from collections.abc import Mapping

from judgekit.calls.rate_limits import LONGEST_WAIT, positive

TURNED_AWAY = frozenset({429, 503, 529})  # the server has more to do than it likes
_RETRIED = frozenset({408, 409, 429})  # and everything from 500 on
_PATIENCE = 12  # times that a call in a run comes back when the server said, before that counts as a failure


class Tries:
    """How often a call has been tried. What follows a try is the pause before the next, in seconds; None: no more."""

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._failures = self._timeouts = self._sent_back = 0

    def after_loss(self, *, timed_out: bool) -> float | None:
        """The network ate the attempt. A timeout is tried once more only."""
        self._timeouts += timed_out
        return None if self._timeouts > 1 else self._failed(None)

    def after_status(
        self, status: int, headers: Mapping[str, str], *, patient: bool, busy: bool = False
    ) -> float | None:
        """`patient`: an answer that says when to come back is no failure yet; nor is a 429 that does not say it, where
        the server is `busy` with others: it lets calls in, and this one came at a bad moment."""
        asked = retry_after(headers)
        wish = headers.get("x-should-retry", "").lower()
        wanted = wish == "true" if wish in ("true", "false") else status in _RETRIED or status >= 500
        if not wanted or (asked is not None and asked > LONGEST_WAIT):
            return None
        sent_back = busy and status == 429 if asked is None else patient and status in TURNED_AWAY
        if sent_back and self._sent_back < _PATIENCE:
            self._sent_back += 1
            return backoff(self._sent_back - 1) if asked is None else asked
        return self._failed(asked)

    def _failed(self, asked: float | None) -> float | None:
        self._failures += 1
        if self._failures > self._retries:
            return None
        return backoff(self._failures - 1) if asked is None else asked


def backoff(attempt: int) -> float:
    """Seconds before attempt + 1, where the server does not say."""
    return float(min(0.5 * 2.0**attempt, 8.0) * (1 - 0.25 * random.random()))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `retry-after-ms`, else `retry-after` (seconds or an HTTP date); None where it says nothing."""
    if milliseconds := positive(headers.get("retry-after-ms")):
        return milliseconds / 1000
    seconds = positive(headers.get("retry-after"))
    if seconds is None:
        with contextlib.suppress(ValueError, TypeError):
            moment = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
            seconds = max(0.0, moment.timestamp() - time.time())
    return seconds or None
