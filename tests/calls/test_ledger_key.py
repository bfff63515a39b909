"""The key of a call: everything that can change the reply is in it, and nothing else."""

import math

import pytest

from judgekit.calls.ledger import call_key
from judgekit.records import Message, Request, Sampling

IDENTITY = {"class": "plugin.Backend", "model": "m"}
ASKED = Request(messages=(Message(role="user", content="hello"),), sampling=Sampling(temperature=0, seed=1))

# Another value for every field. A field that is new in the nouns must be entered here: it is part of the key.
OTHER_REQUEST = {
    "messages": (Message(role="user", content="hello"), Message(role="assistant", content="")),
    "sampling": Sampling(),
    "json_schema": {"type": "object"},
    "continuations": (" yes",),
    "sample_id": "item-7",
    "top_logprobs": 5,
}
OTHER_SAMPLING = {"max_new_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 5, "seed": 2, "stop": ("\n",)}
OTHER_MESSAGE = {"role": "system", "content": "hello ", "cuts": (2,)}
# The key leaves defaults out, so that a new field keeps old keys. Changing a default would change their meaning.
DEFAULTS = {
    Request: {"sampling": Sampling(), "json_schema": None, "continuations": (), "sample_id": "", "top_logprobs": 0},
    Sampling: {"max_new_tokens": None, "temperature": None, "top_p": None, "top_k": None, "seed": None, "stop": ()},
    Message: {"cuts": ()},
}


def key(request=ASKED, **changes):
    call = {"identity": IDENTITY, "kind": "generate", "repeat": 0, "attempt": 0, "namespace": ""} | changes
    return call_key(request=request, **call)[0]


def test_every_field_is_classified():
    assert set(OTHER_REQUEST) == set(Request.model_fields)
    assert set(OTHER_SAMPLING) == set(Sampling.model_fields)
    assert set(OTHER_MESSAGE) == set(Message.model_fields)


def test_no_default_has_changed():
    for noun, defaults in DEFAULTS.items():
        fields = noun.model_fields.items()
        assert {name: field.default for name, field in fields if not field.is_required()} == defaults


def test_every_field_changes_the_key():
    (message,), sampling = ASKED.messages, ASKED.sampling
    changes = [{name: value} for name, value in OTHER_REQUEST.items()]
    changes += [{"sampling": sampling.model_copy(update={name: value})} for name, value in OTHER_SAMPLING.items()]
    changes += [{"messages": (message.model_copy(update={name: value}),)} for name, value in OTHER_MESSAGE.items()]
    keys = [key(), *(key(ASKED.model_copy(update=change)) for change in changes)]
    keys += [key(identity={**IDENTITY, "model": "n"}), key(kind="loglikelihood")]
    keys += [key(repeat=1), key(attempt=1), key(namespace="fresh")]
    assert len(set(keys)) == len(keys) == 21


def test_the_key_is_the_same_in_every_process_and_version():
    """A changed canonical form would lose every reply ever paid for."""
    key, request_json = call_key(IDENTITY, "generate", ASKED, 0, 0)
    assert request_json == (
        '["generate",{"messages":[{"content":"hello","role":"user"}],"sampling":{"seed":1,"temperature":0.0}},0,0,""]'
    )
    assert call_key(dict(reversed(IDENTITY.items())), "generate", ASKED, 0, 0)[0] == key
    assert key == "8036dd8fa6ee6c69417744895ce844422d275965f65e0623a4e66ccd89fe4baf"


def test_lone_surrogates_have_keys_of_their_own():
    requests = [Request(messages=(Message(role="user", content=text),)) for text in ("\ud800", "\udc00", "?")]
    assert len({key(request) for request in requests}) == 3
    assert call_key(IDENTITY, "generate", requests[0], 0, 0)[1].isascii()


def test_texts_cannot_be_shifted_between_fields():
    a = Request(messages=(Message(role="user", content='x"},{"role":"user'),))
    b = Request(messages=(Message(role="user", content="x"), Message(role="user", content="")))
    assert key(a) != key(b)


def test_nan_and_foreign_objects_have_no_key():
    with pytest.raises(ValueError, match="not JSON compliant"):
        key(identity={"temperature": math.nan})
    with pytest.raises(TypeError, match="is not JSON"):
        key(identity={"model": object()})
