"""The model against `transformers`' GPT2LMHeadModel with the same random weights."""

import pytest
import torch

from judgekit_gpt2.cache import KVCache
from judgekit_gpt2.config import PRESETS, GPT2Config
from judgekit_gpt2.model import GPT2, PADDING, left_pad

TOLERANCE = 1e-4
SEQUENCES = [[5, 9, 200, 17, 4, 4, 80, 291], [7], [120, 3, 66, 250, 8]]


@pytest.fixture(scope="module")
def expected(reference):
    """The reference's logits of each sequence, alone."""
    with torch.inference_mode():
        return [reference(torch.tensor([ids])).logits[0] for ids in SEQUENCES]


def _assert_equal(logits, expected):
    """Rows of left-padded logits against each sequence's own."""
    for row, want in zip(logits, expected, strict=True):
        assert (row[-len(want) :] - want).abs().max() <= TOLERANCE


def test_logits_equal_the_reference(model, reference):
    ids = torch.randint(0, 300, (3, 64), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        want = reference(ids).logits
        assert want.std() > 1, "the reference's logits are too small to tell anything"
        assert (model.logits(model(ids)) - want).abs().max() <= TOLERANCE


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(model, expected, side):
    ids, positions = left_pad(SEQUENCES)
    for row, sequence in enumerate(SEQUENCES):
        shift = ids.shape[1] - len(sequence) if side == "right" else 0
        ids[row], positions[row] = ids[row].roll(-shift), positions[row].roll(-shift)
    with torch.inference_mode():
        logits = model.logits(model(ids, positions))
    rows = [row[: len(want)] if side == "right" else row for row, want in zip(logits, expected, strict=True)]
    _assert_equal(rows, expected)


@pytest.mark.parametrize("parts", [[8], [1] * 8, [5, 3], [2, 1, 5]])
def test_the_cache_changes_nothing(model, expected, parts):
    """Padded sequences read in several parts, in a cache that is full of old values."""
    ids, positions = left_pad(SEQUENCES)
    cache = KVCache.empty(model.config, 5, 20, model.tokens.weight)
    cache.keys.fill_(9.0)
    cache.values.fill_(-9.0)
    with torch.inference_mode():
        read = zip(ids.split(parts, 1), positions.split(parts, 1), strict=True)
        hidden = [model(part, places, cache.rows(1, 4)) for part, places in read]
        _assert_equal(model.logits(torch.cat(hidden, 1)), expected)


def test_padding_never_enters_the_cache(model):
    cache = KVCache.empty(model.config, 1, 4, model.tokens.weight)
    with torch.inference_mode():
        model(torch.tensor([[299, 299]]), torch.full((1, 2), PADDING), cache)
    assert not cache.keys.any()
    assert not cache.values.any()


def test_presets_have_the_published_numbers_of_parameters():
    assert {name: config.parameters for name, config in PRESETS.items()} == {
        "gpt2": 124_439_808,
        "gpt2-medium": 354_823_168,
        "gpt2-large": 774_030_080,
        "gpt2-xl": 1_557_611_200,
    }


def test_initialisation_follows_the_paper():
    config = GPT2Config(vocabulary=500, context=64, width=128, layers=8, heads=4)
    model = GPT2(config)
    model.initialise(torch.Generator().manual_seed(0))
    assert model.tokens.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert model.blocks[3].attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert model.blocks[3].mlp.down.weight.std().item() == pytest.approx(0.02 / 16**0.5, rel=0.03)
    assert not model.blocks[3].mlp.down.bias.any()
    assert sum(parameter.numel() for parameter in model.parameters()) == config.parameters


@pytest.mark.parametrize("wrong", [{"width": 30}, {"layers": 0}, {"dropout": 1.0}])
def test_impossible_shapes_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GPT2Config(**{"heads": 4, "width": 32, **wrong})


def test_more_tokens_than_the_context_are_refused(model):
    with pytest.raises(AssertionError, match="context of 64"):
        model(torch.zeros(1, 65, dtype=torch.long))
