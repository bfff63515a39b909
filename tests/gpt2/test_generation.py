"""Generation: as `transformers` does it greedily, and for every sample as if it were alone."""

import math

import pytest
import torch

from judgekit_gpt2 import generation
from judgekit_gpt2.generation import Drawing, Prompt, boundary, choose, generate
from judgekit_gpt2.model import GPT2

NO_END = 999  # an end of text that no model here writes


def _prompts(count=9, drawing=None, **options):
    generator = torch.Generator().manual_seed(4)
    lengths = torch.randint(1, 20, (count,), generator=generator).tolist()
    drawing = drawing or Drawing(1.0, top_k=100, top_p=0.95)
    settings = {"max_new_tokens": 12, **options}
    return [
        Prompt(torch.randint(0, 290, (length,), generator=generator).tolist(), drawing=drawing, seed=seed, **settings)
        for seed, length in enumerate(lengths)
    ]


def test_greedy_generation_equals_the_reference(model, reference):
    prompts = _prompts(50, Drawing(), max_new_tokens=8)
    ours = generate(model, prompts, NO_END, rows=16)
    for prompt, generated in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt.ids])
        settings = {"attention_mask": torch.ones_like(ids), "pad_token_id": 0, "eos_token_id": None}
        theirs = reference.generate(ids, max_new_tokens=8, do_sample=False, **settings)
        assert generated.ids == theirs[0, len(prompt.ids) :].tolist()
        assert generated.finish == "length"


@pytest.mark.parametrize("drawing", [Drawing(), Drawing(0.7), Drawing(1.5, top_k=3), Drawing(1.0, top_p=0.8)])
def test_near_ties_do_not_depend_on_the_batch(model, drawing):
    """Every token has a twin whose logit differs in the last bits, where batches differ too."""
    twins = GPT2(model.config)
    twins.load_state_dict(model.state_dict())
    with torch.no_grad():
        twins.tokens.weight[1::2] = twins.tokens.weight[::2] * (1 + 1e-7)
    twins.eval()
    prompts = _prompts(10, drawing, max_new_tokens=14)
    together = generate(twins, prompts, NO_END)
    assert [generate(twins, [prompt], NO_END)[0] for prompt in prompts] == together
    assert generate(twins, prompts[::-1], NO_END)[::-1] == together
    assert generate(twins, prompts, NO_END, rows=2) == together, "rows are replaced as they finish"
    assert len({tuple(generated.ids) for generated in together}) == len(prompts)


def test_the_end_of_text_and_stops_end_a_sample(model):
    plain = generate(model, [Prompt([5, 6], 12)], NO_END)[0].ids
    third = plain.index(plain[2]) + 1
    ended = generate(model, [Prompt([5, 6], 12)], end_of_text=plain[2])[0]
    assert (ended.ids, ended.finish) == (plain[: third - 1], "stop")
    stopped = generate(model, [Prompt([5, 6], 12, stopped=lambda ids: ids[-1] == plain[2])], NO_END)[0]
    assert (stopped.ids, stopped.finish) == (plain[:third], "stop")


def test_a_full_context_ends_a_sample(model):
    prompts = [Prompt([5] * 60, 12), Prompt([5] * 63, 12), Prompt([5] * 52, 12)]
    generated = generate(model, prompts, NO_END)
    assert [(len(one.ids), one.finish) for one in generated] == [(4, "context"), (1, "context"), (12, "length")]


def test_nothing_to_do_is_done(model):
    assert generate(model, [], NO_END) == []


# Probabilities .5, .25, .15, .1 and their logits, worked by hand below.
PROBABILITIES = (0.5, 0.25, 0.15, 0.1)
LOGITS = torch.tensor([math.log(p) for p in PROBABILITIES])


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [
        (Drawing(1.0), PROBABILITIES),
        (Drawing(0.5), [p * p / 0.345 for p in PROBABILITIES]),  # squares, over their sum
        (Drawing(1.0, top_k=2), (2 / 3, 1 / 3, 0, 0)),
        (Drawing(1.0, top_p=0.8), (5 / 9, 2.5 / 9, 1.5 / 9, 0)),  # .5 + .25 < .8 ≤ .5 + .25 + .15
        (Drawing(1.0, top_p=0.7), (2 / 3, 1 / 3, 0, 0)),
        (Drawing(1.0, top_k=3, top_p=0.55), (1, 0, 0, 0)),  # after top-k: .5 / .9 ≥ .55 alone
    ],
)
def test_tokens_are_drawn_with_their_probabilities(drawing, expected):
    count = 2000
    noise = -torch.empty(count, 4, dtype=torch.double).exponential_(generator=torch.Generator().manual_seed(0)).log()
    drawn = torch.bincount(torch.tensor([choose(LOGITS, drawing, row)[0] for row in noise]), minlength=4) / count
    # Four standard errors of a share are at most .045.
    assert drawn.tolist() == pytest.approx(list(expected), abs=0.045)
    assert all(share == 0 for share, want in zip(drawn.tolist(), expected, strict=True) if want == 0)


def test_choices_near_a_boundary_are_not_sure():
    close = torch.tensor([1.0, 1.0 + generation.LOGIT_MARGIN / 2, 0.0])
    assert choose(close, Drawing(), None) == (1, False)
    assert choose(LOGITS, Drawing(), None) == (0, True)
    noise = torch.tensor([0.0, 9.0, 0.0], dtype=torch.double)
    assert choose(close, Drawing(1.0), noise) == (1, True)
    assert choose(close, Drawing(1.0, top_k=1), noise) == (1, False), "the second likeliest could be the likeliest"
    assert choose(close, Drawing(1.0, top_k=2), noise) == (1, True)
    assert choose(LOGITS, Drawing(1.0, top_k=1), noise.new_zeros(4)) == (0, True)
    exact = Drawing(1.0, top_p=0.75)
    assert choose(LOGITS, exact, torch.tensor([0.0, 9.0, 0.0, 0.0], dtype=torch.double))[1]
    assert not choose(LOGITS, exact, torch.tensor([0.0, 0.0, 9.0, 0.0], dtype=torch.double))[1]


def test_the_boundary_is_between_what_may_be_drawn_and_what_may_not():
    one, two, three, four = LOGITS.tolist()
    assert boundary(LOGITS, 4, 1.0) == (four, -math.inf)
    assert boundary(LOGITS, 2, 1.0) == (two, three)
    assert boundary(LOGITS, 4, 0.49) == (one, two)
    assert boundary(LOGITS, 4, 0.51) == (two, three)
    assert boundary(LOGITS, 9, 0.999) == (four, -math.inf)
    assert boundary(torch.tensor([2.0, 1.0, 1.0]), 2, 1.0) == (1.0, 1.0), "a tie at the boundary"
