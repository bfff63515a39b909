import json

import pytest

from judgekit.prompting.templates import Prompts
from judgekit.records import Continuation, Reply, Sample
from mode_runs import ITEMS
from probing import Prober


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


@pytest.fixture
def by_words():
    """A model for which the reference is the likelier the more words of it the assistant's turn holds."""

    def answer(request, *_):
        said = set(request.messages[1].content.split())
        logprobs = tuple(-1.0 if word in said else -5.0 for word in request.continuations[0].split())
        return Reply(continuations=(Continuation(token_logprobs=logprobs),))

    return answer


@pytest.fixture
def here(tmp_path):
    """A folder with items and two systems' stored answers, for the runs of mode_runs.py."""
    (tmp_path / "items.json").write_text(json.dumps(ITEMS))
    (tmp_path / "answers.json").write_text(json.dumps([item | {"answer": f"{item['output']}!"} for item in ITEMS]))
    (tmp_path / "others.json").write_text(json.dumps([item | {"answer": "no idea"} for item in ITEMS]))
    Prober.calls.clear()
    return tmp_path
