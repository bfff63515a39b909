import pytest

from judgekit.records import Sample


@pytest.fixture
def alpaca_sample():
    return Sample(id="1", instruction="Give the plural.", input="mouse", reference="mice")
