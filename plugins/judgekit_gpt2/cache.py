"""Attention over what was read before: keys and values are kept, allocated once, and never computed again.

The results are made not to depend on what else is in the batch, to the last bit. A prompt is attended to sequence by
sequence, in pieces cut at fixed positions, so that it does not matter either whether its first pieces were read
before. The single next tokens of many sequences are attended to together, over a whole number of pieces: what lies
beyond a sequence's own length has the weight 0, and adding zeros changes no sum.

Letters in shape comments as in model.py: B sequences, T new tokens, S tokens attended to, H heads, D = C / H.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from judgekit_gpt2.config import GPT2Config

PIECE = 32  # tokens


@dataclass(frozen=True)
class KVCache:
    """Keys and values of B sequences: [layers, B, H, S, D] each, where S is indexed by position.

    Because a token is kept under its position, padding never enters the cache, and the sequences may have
    different lengths. Slots beyond a sequence's length hold any finite numbers: no query ever attends to them.
    """

    keys: Tensor
    values: Tensor

    @classmethod
    def empty(cls, config: GPT2Config, rows: int, length: int, like: Tensor) -> KVCache:
        """Room for `rows` sequences of at most `length` tokens, of the type and on the device of `like`."""
        shape = (config.layers, rows, config.heads, whole_pieces(length), config.width // config.heads)
        return cls(like.new_zeros(shape), like.new_zeros(shape))

    def rows(self, start: int, stop: int) -> KVCache:
        """A view of some of the sequences: writing to it writes here."""
        return KVCache(self.keys[:, start:stop], self.values[:, start:stop])

    def copy_row(self, source: int, target: int, length: int, into: KVCache | None = None) -> None:
        """Copy the first `length` positions of one sequence over another, of this cache or of `into`."""
        into = into or self
        for kept, copy in ((self.keys, into.keys), (self.values, into.values)):
            copy[:, target, :, :length] = kept[:, source, :, :length]


class CachedAttention:
    """Attention of the T tokens of one forward pass, which are kept; prepared once for all layers.

    `positions` [B, T] as in `GPT2.forward`: the tokens of a row are neighbours, and their positions follow each other.
    """

    def __init__(self, positions: Tensor, cache: KVCache) -> None:
        self.cache = cache
        # Tokens of one row that attend together: the row, their columns in the batch, the positions where they start
        # and end, and a mask [T, S = end], true where a query attends to a key.
        self.pieces = [
            (slice(row, row + 1), columns, start, end, _causal(start, end, positions.device))
            for row, places in enumerate(positions.tolist())
            for columns, start, end in _cut(places)
        ]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Keep the keys and values, and attend to all that is kept: each [B, H, T, D], and so is the result."""
        keys, values = self.cache.keys[layer], self.cache.values[layer]  # [B, H, S, D]
        y = torch.zeros_like(q)
        for row, columns, start, end, mask in self.pieces:
            keys[row, :, start:end] = k[row, :, columns]
            values[row, :, start:end] = v[row, :, columns]
            seen = keys[row, :, :end], values[row, :, :end]
            y[row, :, columns] = F.scaled_dot_product_attention(q[row, :, columns], *seen, attn_mask=mask)
        return y


class CachedStep:
    """Attention of one more token of every sequence: `positions` [B, 1], without padding."""

    def __init__(self, positions: Tensor, cache: KVCache) -> None:
        B, H = cache.keys.shape[1:3]
        length = whole_pieces(int(positions.max()) + 1)
        self.at = torch.arange(B, device=positions.device), positions[:, 0]
        self.keys, self.values = cache.keys.unbind(0), cache.values.unbind(0)  # [B, H, S, D] each
        self.seen_keys = [keys.narrow(2, 0, length).view(B * H, length, -1) for keys in self.keys]
        self.seen_values = [values.narrow(2, 0, length).view(B * H, length, -1) for values in self.values]
        unseen = torch.arange(length, device=positions.device) > positions  # [B, length]
        bias = torch.zeros_like(unseen, dtype=cache.keys.dtype).masked_fill(unseen, float("-inf"))
        self.bias = bias.repeat_interleave(H, 0)[:, :, None]  # [B H, length, 1]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Written as two products: for a single query they take a fraction of the time of a fused attention."""
        B, H, _, D = q.shape
        row, position = self.at
        self.keys[layer][row, :, position] = k[:, :, 0]
        self.values[layer][row, :, position] = v[:, :, 0]
        query = q.reshape(B * H, D, 1)
        scores = torch.baddbmm(self.bias, self.seen_keys[layer], query, alpha=D**-0.5)  # [B H, length, 1]
        y = torch.bmm(scores.softmax(1).transpose(1, 2), self.seen_values[layer])  # [B H, 1, D]
        return y.view(B, H, 1, D)


@dataclass(frozen=True)
class CompiledStep:
    """Attention of one more token of one sequence in one layer, as sums, which torch's compiler turns into a loop.

    Shapes: `keys` and `values` [H, S, D] with all the room that there is, `position` [1], `bias` [S] of what is seen.
    """

    keys: Tensor
    values: Tensor
    position: Tensor
    bias: Tensor

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.keys[:, self.position] = k[0]
        self.values[:, self.position] = v[0]
        scores = (q[0] * self.keys).sum(-1) * q.shape[-1] ** -0.5 + self.bias  # [H, S]
        y: Tensor = (scores.softmax(-1)[:, :, None] * self.values).sum(1)  # [H, D]
        return y[None, :, None]


def cached_attention(positions: Tensor, cache: KVCache) -> CachedAttention | CachedStep:
    """A column of tokens is a step of generation; more of them, or a row that waits, are read."""
    alone = positions.shape[1] == 1 and bool((positions >= 0).all())
    return CachedStep(positions, cache) if alone else CachedAttention(positions, cache)


def whole_pieces(length: int) -> int:
    """The least multiple of PIECE that has room for `length` tokens."""
    return -(-length // PIECE) * PIECE


def _causal(start: int, end: int, device: torch.device) -> Tensor:
    places = torch.arange(end, device=device)
    return places <= places[start:, None]


def _cut(places: list[int]) -> list[tuple[slice, int, int]]:
    """(columns, start, end) of the pieces of one row, from its positions, negative where there is padding."""
    columns = [column for column, position in enumerate(places) if position >= 0]
    if not columns:
        return []
    first, start = columns[0], places[columns[0]]
    end = start + len(columns)
    assert places[first : first + len(columns)] == list(range(start, end)), "positions that do not follow each other"
    cuts = [start, *range(whole_pieces(start + 1), end, PIECE), end]
    return [(slice(first + a - start, first + b - start), a, b) for a, b in pairwise(cuts)]
