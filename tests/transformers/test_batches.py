"""A reply is the same alone and in any batch."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asking_transformers import KINDS, asked, backend_of, folders_of
from judgekit import Sampling
from judgekit_transformers import generation
from judgekit_transformers.sampling import choose

SLOW = ("spaced", "bart")  # of a kind with the others in all that a batch may change


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in KINDS]
)
def backend(request, tmp_path_factory):
    (folder,) = folders_of(tmp_path_factory, request.param).values()
    backend = backend_of(folder)
    yield backend
    backend.close()


def mixed():
    """Requests that have nothing in common: long and short, greedy and drawn, stopped and cut off."""
    draws = [
        {"temperature": 0},
        {"temperature": 1.0, "seed": 3},
        {"temperature": 0.7, "top_p": 0.6, "seed": 3},
        {"temperature": 2.0, "top_k": 5, "seed": 4},
        {"temperature": 4.0, "seed": 5, "stop": ("a", "W", "\x05")},
        {"temperature": 1.0},
        {"temperature": 1e-40, "seed": 1},
        {},
    ]
    return [
        asked("the cat in the hat " * (1 + 2 * at % 5), top=at % 3, max_new_tokens=4 + 3 * at, **draw)
        for at, draw in enumerate(draws)
    ]


@pytest.fixture(scope="module")
def alone(backend):
    """The replies to the mixed requests, each asked for on its own."""
    return [backend.generate([request])[0] for request in mixed()]


def test_together_alone_and_in_another_order_are_the_same(backend, alone):
    requests = mixed()
    assert backend.generate(requests) == alone
    assert backend.generate(requests[::-1]) == alone[::-1]
    assert backend.generate(requests[:3]) == alone[:3]
    assert len({reply.text for reply in alone}) > 3
    assert backend._loaded.margin == 1e-3, "the model was found to bear padding, and the batch was one"


def test_one_forward_pass_serves_all_requests_of_a_batch(backend):
    requests = [asked("the cat " * n, max_new_tokens=6, temperature=0) for n in (1, 2, 3)]
    backend.generate(requests)
    rows = []

    def seen(_, args, kwargs):
        ids = kwargs.get("input_ids") if kwargs.get("decoder_input_ids") is None else kwargs["decoder_input_ids"]
        rows.append(len(ids))

    hook = backend._loaded.model.register_forward_pre_hook(seen, with_kwargs=True)
    replies = backend.generate(requests)
    hook.remove()
    assert rows[0] == 3
    assert len(rows) <= 6 + 6 * sum(row == 1 for row in rows)
    assert [reply.status for reply in replies] == ["truncated"] * 3


def test_a_finished_answer_in_a_batch_does_not_leave_the_models_window(backend):
    """GPT-2 has no positions beyond its window, and a batch goes on until its last answer ends."""
    lengths = [(100, 100), (10, 100), (50, 60), (90, 5)]
    requests = [asked("x" * length, max_new_tokens=new, temperature=0) for length, new in lengths]
    assert backend.generate(requests) == [backend.generate([request])[0] for request in requests]


def test_choices_too_close_to_call_are_made_alone(backend, alone, monkeypatch):
    requests = mixed()
    monkeypatch.setattr(backend._loaded, "margin", 1e6)
    batches = []
    write = generation._write
    monkeypatch.setattr(
        generation, "_write", lambda loaded, rows, margin: (batches.append(len(rows)), write(loaded, rows, margin))
    )
    assert backend.generate(requests) == alone
    assert batches == [8] + [1] * 8


def test_a_model_that_minds_padding_gets_one_request_at_a_time(backend, alone, monkeypatch):
    requests = mixed()
    batch, sizes = generation._batch, []

    def unmasked(loaded, prompts):
        made = batch(loaded, prompts)
        sizes.append(len(prompts))
        return made | {"attention_mask": made["attention_mask"] * 0 + 1}

    monkeypatch.setattr(generation, "_batch", unmasked)
    monkeypatch.setattr(backend._loaded, "margin", "not tried")
    assert backend.generate(requests) == alone
    assert backend._loaded.margin is None
    assert sizes == [4, 1, 1, 1, 1] + [1] * 8


def test_a_request_that_fails_takes_no_other_with_it(backend):
    good = asked("the cat", max_new_tokens=4, temperature=0)
    long = asked("the " * 2000)
    schema = good.model_copy(update={"json_schema": {"type": "object"}})
    first, second, third, fourth = backend.generate([good, long, schema, good])
    assert first == fourth
    assert first.status in ("complete", "truncated")
    assert (second.status, third.status) == ("truncated", "error")
    assert "the model reads" in second.detail
    assert "schema" not in backend.capabilities


@given(
    seed=st.integers(0, 10_000),
    temperature=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    top_k=st.sampled_from([None, 1, 3, 1000]),
    top_p=st.sampled_from([None, 0.3, 0.9]),
    margin=st.sampled_from([1e-3, 0.02, 0.3]),
)
@settings(max_examples=150, deadline=None)
def test_a_sure_choice_is_the_same_for_logits_within_the_margin(seed, temperature, top_k, top_p, margin):
    import torch

    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    dice = torch.Generator().manual_seed(seed)
    logits = torch.randn(40, generator=dice) * 2

    def draw(values):
        return choose(values, sampling, torch.Generator().manual_seed(seed), margin)

    token, sure = draw(logits)
    for _ in range(20):
        # Both sides of a comparison may be off: half a margin each.
        other, _ = draw(logits + (torch.rand(40, generator=dice) - 0.5) * margin * 0.9)
        assert other == token or not sure


def test_some_choices_are_sure_and_some_are_not():
    import torch

    for sampling in (Sampling(), Sampling(temperature=1.0), Sampling(temperature=1.0, top_k=4, top_p=0.9)):
        drawn = [
            choose(
                torch.randn(50, generator=torch.Generator().manual_seed(seed)),
                sampling,
                torch.Generator().manual_seed(seed),
                0.05,
            )[1]
            for seed in range(200)
        ]
        assert 100 < sum(drawn) < 200
