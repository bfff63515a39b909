import pytest

from judgekit.records import Sample
from judgekit.templates import Prompts


@pytest.fixture(scope="session")
def prompts():
    return Prompts()


@pytest.fixture
def sample():
    return Sample(id="s1", instruction="Give the plural of the word.", input="mouse", reference="mice")


@pytest.fixture
def samples():
    return [
        Sample(id=f"s{number}", instruction=f"What is {number} plus {number}?", reference=f"It is {2 * number}.")
        for number in range(40)
    ]
