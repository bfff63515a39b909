"""What flows through a run: frozen, finite, and a value exactly where something was scored."""

import math

import pytest
from pydantic import ValidationError

from judgekit.records import VERDICT_STATUSES, Continuation, Message, Request, Row, Sample, Verdict


@pytest.mark.parametrize("status", VERDICT_STATUSES)
def test_a_value_is_there_exactly_when_it_is_scored(status):
    scored = status == "scored"
    value, other = (1.0, None) if scored else (None, 1.0)
    assert Verdict(status=status, value=value).value == value
    Row(metric="m", system="s", sample_id="i", status=status, value=value)
    with pytest.raises(ValidationError):
        Verdict(status=status, value=other)
    with pytest.raises(ValidationError):
        Row(metric="m", system="s", sample_id="i", status=status, value=other)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_number_is_no_value(value):
    with pytest.raises(ValidationError):
        Verdict(status="scored", value=value)


def test_nouns_are_frozen_and_know_their_fields():
    with pytest.raises(ValidationError):
        Verdict(status="error").status = "scored"
    with pytest.raises(ValidationError):
        Verdict(status="error", reason="x")


def test_every_turn_has_a_reference_or_none_has():
    talk = Sample(id="t", instruction="One?", reference="1", turns=("Two?",))
    assert talk.references == ("1", None)
    assert talk.model_copy(update={"turn_references": ("2",)}).references == ("1", "2")
    with pytest.raises(ValidationError):
        Sample(id="t", instruction="One?", turns=("Two?",), turn_references=("2", "3"))


def test_a_prompt_is_its_messages_and_is_cut_where_it_says():
    one = Message(role="user", content="abcdef", cuts=(2, 4))
    assert Request(messages=(one,)).parts == ("ab", "cd", "ef")
    two = Request(messages=(one, Message(role="user", content="g")))
    assert (two.prompt, two.parts) == ("abcdef\n\ng", ("abcdef\n\ng",))


def test_log_likelihoods_add_up():
    found = Continuation(token_logprobs=(-0.1,) * 10)
    assert (found.loglikelihood, found.tokens) == (-1.0, 10)
    assert Continuation(token_logprobs=()).loglikelihood == 0
