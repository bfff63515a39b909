"""Finished runs in memory, as the tests give them."""

import pytest

from judged_runs import record_of, scores
from judgekit.agreement.matching import measured


@pytest.fixture
def found():
    def make(values, **place):
        rows = scores(values, **place)
        return measured(record_of(rows), rows, rows[0].metric)

    return make
