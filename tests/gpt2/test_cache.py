"""Attention through the cache: the same, to the last bit, whatever else is read."""

import pytest
import torch

from judgekit_gpt2.cache import PIECE, CachedAttention, CachedStep, KVCache, cached_attention, whole_pieces
from judgekit_gpt2.config import GPT2Config

CONFIG = GPT2Config(vocabulary=10, context=128, width=64, layers=1, heads=4)


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _cache(rows=1, length=100):
    return KVCache.empty(CONFIG, rows, length, torch.zeros(1))


def test_there_is_room_for_whole_pieces():
    assert [whole_pieces(length) for length in (1, PIECE, PIECE + 1)] == [PIECE, PIECE, 2 * PIECE]
    assert _cache(3, PIECE + 1).keys.shape == (1, 3, 4, 2 * PIECE, 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_text_read_in_parts_is_the_text_read_at_once(dtype):
    """Cut where pieces end anyway: equal to the last bit."""
    q, k, v = _random(3, 1, 4, 90, 16).to(dtype).unbind(0)
    places = torch.arange(90)[None]
    whole = CachedAttention(places, KVCache.empty(CONFIG, 1, 90, q)).attend(0, q, k, v)
    cache = KVCache.empty(CONFIG, 1, 90, q)
    parts = [slice(0, PIECE), slice(PIECE, 2 * PIECE), slice(2 * PIECE, 90)]
    read = [CachedAttention(places[:, part], cache).attend(0, *(x[:, :, part] for x in (q, k, v))) for part in parts]
    assert torch.equal(torch.cat(read, 2), whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_next_token_does_not_see_what_lies_behind_it(dtype):
    """Other sequences are longer, so that more pieces are looked at, and the slots behind hold old numbers."""
    q, k, v = _random(3, 5, 4, 1, 16).to(dtype).unbind(0)
    positions = torch.tensor([[3], [99], [40], [31], [32]])
    cache = KVCache(*_random(2, 1, 5, 4, 128, 16, seed=1).to(dtype).unbind(0))
    together = CachedStep(positions, cache).attend(0, q, k, v)
    for row in range(5):
        one = slice(row, row + 1)
        alone = CachedStep(positions[one], cache.rows(row, row + 1)).attend(0, q[one], k[one], v[one])
        assert torch.equal(alone, together[one])
        seen = int(positions[row]) + 1
        keys, values = (store[0, one, :, :seen].float() for store in (cache.keys, cache.values))
        want = torch.nn.functional.scaled_dot_product_attention(q[one].float(), keys, values)
        assert (alone.float() - want).abs().max() < (1e-5 if dtype == torch.float32 else 0.03)


def test_a_single_column_is_a_step_unless_a_row_waits():
    assert isinstance(cached_attention(torch.tensor([[4], [0]]), _cache(2)), CachedStep)
    assert isinstance(cached_attention(torch.tensor([[4], [-1]]), _cache(2)), CachedAttention)
    assert isinstance(cached_attention(torch.tensor([[3, 4]]), _cache()), CachedAttention)


def test_positions_that_leave_a_gap_are_refused():
    with pytest.raises(AssertionError, match="do not follow each other"):
        CachedAttention(torch.tensor([[0, 1, 3]]), _cache())
