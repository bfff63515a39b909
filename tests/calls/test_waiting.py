"""A wait ends when it is over, or with the run."""

import pytest

from judgekit.calls.waiting import stoppable, wait
from judgekit.errors import Interrupted


def test_a_stop_ends_a_wait_in_its_block_and_only_there() -> None:
    asked = []
    with stoppable(lambda: len(asked.append(1) or asked) > 2), pytest.raises(Interrupted):
        wait(3600)
    assert len(asked) == 3
    wait(0.01)
    with stoppable(lambda: True):
        wait(0)
