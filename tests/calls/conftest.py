"""A ledger of the test's own."""

import pytest

from judgekit.calls.ledger import Ledger


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "deep" / "ledger.sqlite") as ledger:
        yield ledger
