"""Models made ready for inference: the same answers in another form, or rounded ones that stay close."""

import copy

import pytest
import torch

from judgekit_gpt2 import inference, weights
from judgekit_gpt2.config import PRESETS, GPT2Config
from judgekit_gpt2.generation import LOGIT_MARGIN, Drawing, Prompt, generate
from judgekit_gpt2.inference import Int8Linear, PackedLinear, PlainLinear, independent, margin, prepare
from judgekit_gpt2.loglikelihood import PrefixScorer
from judgekit_gpt2.model import GPT2

FORMS = {
    "float32": {},
    "bfloat16": {"dtype": torch.bfloat16},
    "int8": {"dtype": torch.bfloat16, "quantise": "int8"},
    "int8 in float32": {"quantise": "int8"},
}
DRAWINGS = (Drawing(), Drawing(0.8), Drawing(1.0, top_k=20), Drawing(1.2, top_p=0.8))


@pytest.fixture
def ready(model):
    """A function from a form's name to a copy of the model in it."""
    return lambda form: prepare(copy.deepcopy(model), **FORMS[form])


def _prompts(count=10):
    generator = torch.Generator().manual_seed(6)
    lengths = [1, *torch.randint(1, 45, (count - 1,), generator=generator).tolist()]
    return [
        Prompt(torch.randint(0, 290, (n,), generator=generator).tolist(), 4 + at, DRAWINGS[at % 4], seed=at)
        for at, n in enumerate(lengths)
    ]


@pytest.mark.parametrize("form", ["bfloat16", "int8", "int8 in float32"])
def test_rounded_forms_stay_close(ready, reference, form):
    """Compared as probabilities, since the mean of all logits is left out."""
    ids = torch.randint(0, 300, (3, 40), generator=torch.Generator().manual_seed(0))
    prepared = ready(form)
    with torch.inference_mode():
        ours, want = prepared.logits(prepared(ids)).float().softmax(-1), reference(ids).logits.softmax(-1)
    distance = (ours - want).abs().sum(-1).mean() / 2  # total variation
    assert 0 < distance < 0.1
    assert (ours.argmax(-1) == want.argmax(-1)).float().mean() > 0.85


@pytest.mark.parametrize("form", FORMS)
def test_where_products_depend_on_the_batch_near_choices_are_made_alone(ready, form, monkeypatch):
    """A device whose products differ in the last bits from batch to batch, as the margins allow for."""
    prepared = ready(form)
    head = prepared.head.forward
    size = 1e-5 if form == "float32" else 0.02

    def noisy(hidden):
        rows = hidden.reshape(-1, hidden.shape[-1])
        noise = torch.randn(len(rows), 300, generator=torch.Generator().manual_seed(len(rows)))
        return head(hidden) + (noise if len(rows) > 1 else 0 * noise).view(*hidden.shape[:-1], -1) * size

    monkeypatch.setattr(prepared.head, "forward", noisy)
    assert not independent(prepared)
    lead = margin(prepared)
    assert lead == (LOGIT_MARGIN if form == "float32" else inference.LOW_PRECISION_MARGIN)
    prompts = [prompt for prompt in _prompts() if prompt.drawing in DRAWINGS[:3]]
    together = generate(prepared, prompts, 999, margin=lead)
    assert generate(prepared, prompts, 999, 3, lead) == together
    assert generate(prepared, prompts[::-1], 999, 5, lead)[::-1] == together


@pytest.mark.parametrize("form", FORMS)
def test_scores_are_the_same_whatever_was_read_before(ready, form):
    prepared = ready(form)
    shared = torch.randint(0, 290, (40,), generator=torch.Generator().manual_seed(7)).tolist()
    questions = [
        ([*shared, 7], [[4], [9], [3]]),
        ([5], [[1, 2], [3]]),
        ([*shared[:33], 8, 9], [[4, 5, 6], [7], []]),
        ([*shared, 7, 8, 9], [[4], [250]]),
    ]
    alone = [PrefixScorer(prepared).score([question])[0] for question in questions]
    together = PrefixScorer(prepared).score(questions)
    scorer = PrefixScorer(prepared)
    in_turn = [scorer.score([question])[0] for question in questions[::-1]][::-1]
    if independent(prepared):
        assert together == in_turn == alone
    else:  # this machine's products depend on their number of rows: in the last bits, and no more
        for found in (together, in_turn):
            assert _flat(found) == pytest.approx(_flat(alone), abs=1e-5 if "float32" in form else 0.05)


def _flat(scores):
    return [value for question in scores for continuation in question for value in continuation]


def test_int8_keeps_a_weight_within_half_a_step_of_its_row(fresh):
    weight = fresh.blocks[0].mlp.up.weight
    layer = Int8Linear(weight, None)
    assert layer.weight.dtype == torch.int8
    kept = layer.weight.float() * layer.scale.float()[:, None]
    # Half a step; and a largest weight may lie a little beyond 127 steps, since the scale is rounded to 8 bits.
    assert ((kept - weight).abs() <= 0.76 * layer.scale.float()[:, None]).all()


@pytest.mark.parametrize("bytes_", [True, False])
def test_int8_multiplies_rows_by_the_kept_weights(fresh, monkeypatch, bytes_):
    """With two bytes an activation is rounded to the 32,638th part of the largest in its row."""
    if bytes_ and not inference.multiplies_bytes():
        pytest.skip("this CPU has no products of bytes")
    monkeypatch.setattr(inference, "multiplies_bytes", lambda: bytes_)
    layer = Int8Linear(fresh.blocks[0].mlp.up.weight, torch.ones(128))
    x = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(0))
    x[0, 0] *= 1e6
    x[1, 1] *= 1e-6
    kept = layer.weight.double() * layer.scale.double()[:, None]
    off = (layer(x).double() - 1 - x.double() @ kept.T).abs()
    step = x.abs().amax(-1, keepdim=True).double() / (2 * (127 * 128 + 63))
    assert (off <= step * kept.abs().sum(1) + 1e-6 * (1 + x.abs().amax(-1, keepdim=True))).all()


def test_products_of_bytes_are_exact_and_do_not_see_the_other_rows():
    if not inference.multiplies_bytes():
        pytest.skip("this CPU has no products of bytes")
    generator = torch.Generator().manual_seed(1)
    weight = torch.randint(-127, 128, (300, 3072), generator=generator, dtype=torch.int8)
    rows = torch.randint(-16319, 16320, (9, 3072), generator=generator).float()
    rows[:, 0] = 16319  # so that a step is 1
    rows[0], weight[0] = 16319, 127  # the largest sum there is
    together = inference._by_bytes(rows, weight)
    assert (together.double() - rows.double() @ weight.double().T).abs().max() <= 2**10  # of 2**32, in float32
    assert all(torch.equal(inference._by_bytes(rows[at : at + 1], weight)[0], together[at]) for at in range(9))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_int8_does_not_hide_what_is_no_number(value):
    x = torch.ones(2, 1, 16)
    x[0, 0, 3] = value
    y = Int8Linear(torch.ones(16, 16), None)(x)
    assert not y[0].isfinite().any()
    assert (y[1] - 16).abs().max() < 0.1


def test_a_row_of_zeros_is_no_division_by_zero():
    layer = Int8Linear(torch.zeros(16, 16), None)
    assert not layer(torch.ones(1, 1, 16, dtype=torch.bfloat16)).any()
    assert not Int8Linear(torch.ones(16, 16), None)(torch.zeros(1, 1, 16)).any()


def test_int8_takes_any_width():
    model = GPT2(GPT2Config(300, 64, 36, 1, 4))
    model.initialise(torch.Generator().manual_seed(0))
    ids = torch.tensor([[1, 2, 3]])
    with torch.inference_mode():
        whole = model.logits(model(ids)).softmax(-1)
        rounded = prepare(model, quantise="int8")
        assert (rounded.logits(rounded(ids)).softmax(-1) - whole).abs().max() < 1e-3


def test_without_onednn_products_are_torchs_own(model, reference, monkeypatch):
    assert isinstance(prepare(copy.deepcopy(model)).head, PackedLinear)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    plain = prepare(copy.deepcopy(model))
    assert isinstance(plain.head, PlainLinear)
    ids = torch.tensor([[1, 2, 3]])
    with torch.inference_mode():
        assert (plain.logits(plain(ids)) - reference(ids).logits).abs().max() <= 1e-4


@pytest.mark.parametrize("name", PRESETS)
def test_the_published_widths_equal_the_reference_loaded_and_prepared(make_reference, tokenizer, name, tmp_path):
    reference = make_reference(n_embd=PRESETS[name].width, n_head=PRESETS[name].heads, n_layer=1)
    reference.save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    ours = weights.load(tmp_path).model
    ids = torch.randint(0, 300, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        want = reference(ids).logits
        assert (ours.logits(ours(ids)) - want).abs().max() <= 1e-4
        prepared = prepare(ours)
        assert (prepared.logits(prepared(ids)) - want).abs().max() <= 1e-4
    prompts = _prompts(4)
    lead = margin(prepared)
    together = generate(prepared, prompts, 999, margin=lead)
    assert [generate(prepared, [prompt], 999, margin=lead)[0] for prompt in prompts] == together
