"""GPT-2 as in "Language Models are Unsupervised Multitask Learners" (Radford et al., 2019).

Letters in shape comments: B sequences, T new tokens, C width, H heads, D = C / H, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from judgekit_gpt2.cache import KVCache, cached_attention
from judgekit_gpt2.config import GPT2Config

PADDING = -1  # the position of a padding token
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # (layer, q, k, v) → y, [B, H, T, D] each


@dataclass(frozen=True)
class Step:
    """The part of a forward pass that all layers share. Neither a mask nor a cache: causal attention among the T
    tokens."""

    mask: Tensor | None = None  # [B, 1, T, T], true where a query attends to a key
    attend: Attend | None = None  # to what a cache holds, too


class Attention(nn.Module):
    """Attention of several heads, each to the tokens before."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, layer: int, step: Step) -> Tensor:
        B, T, C = x.shape
        qkv = self.qkv(x).view(B, T, 3, self.heads, C // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [B, H, T, D]
        if step.attend is not None:
            y = step.attend(layer, q, k, v)
        else:
            dropout = self.dropout if self.training else 0.0
            causal = step.mask is None
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=step.mask, is_causal=causal, dropout_p=dropout)
        y = y.transpose(1, 2).reshape(B, T, C)
        return F.dropout(self.out(y), self.dropout, self.training)


class MLP(nn.Module):
    """The layer that widens each token fourfold and narrows it again."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.up = nn.Linear(config.width, 4 * config.width)
        self.down = nn.Linear(4 * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(F.gelu(self.up(x), approximate="tanh"))
        return F.dropout(x, self.dropout, self.training)


class TransformerBlock(nn.Module):
    """Pre-norm: each sublayer reads a normalised stream and adds to the stream itself."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, layer: int, step: Step) -> Tensor:
        x = x + self.attention(self.norm1(x), layer, step)
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class GPT2(nn.Module):
    """Token ids in, hidden states out; `logits` is the output layer, which is the token embeddings if it is tied.

    The two are apart so that nobody pays for logits that nobody reads.
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.output = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)
        self.head: nn.Module | None = None  # the output layer in another form; see inference.py

    @classmethod
    def holding(cls, config: GPT2Config, weights: Mapping[str, Tensor]) -> GPT2:
        """A model of these very tensors, by our names."""
        with torch.device("meta"):
            model = cls(config)
        model.load_state_dict(weights, assign=True)
        return model

    def initialise(self, generator: torch.Generator) -> None:
        """The paper's initialisation: N(0, 0.02²), and the layers that add to the residual stream scaled by
        1/√(number of residual layers)."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                residual = name.endswith(("attention.out.weight", "mlp.down.weight"))
                std = 0.02 / math.sqrt(2 * self.config.layers) if residual else 0.02
                nn.init.normal_(parameter, std=std, generator=generator)
            elif name.endswith(".bias"):
                nn.init.zeros_(parameter)

    def forward(self, ids: Tensor, positions: Tensor | None = None, cache: KVCache | None = None) -> Tensor:
        """Hidden states [B, T, C] of token ids [B, T].

        `positions` [B, T] places the tokens; PADDING marks tokens that none attends to, on either side. None: every
        sequence begins at 0 and has no padding. With a `cache` the T tokens follow what the cache holds, and are
        added to it; then `positions` must be given.
        """
        B, T = ids.shape
        assert self.config.context >= T, f"{T} tokens are more than the context of {self.config.context}"
        if positions is None:
            assert cache is None, "tokens that go into a cache need positions"
            x = self.tokens(ids) + self.positions.weight[:T]
            step = Step()
        else:
            assert positions.shape == (B, T), f"positions {tuple(positions.shape)} for ids {(B, T)}"
            x = self.tokens(ids) + self.positions(positions.clamp(min=0))
            step = Step(_mask(positions)) if cache is None else Step(attend=cached_attention(positions, cache).attend)
        x = F.dropout(x, self.config.dropout, self.training)
        for layer, block in enumerate(self.blocks):
            x = block(x, layer, step)
        return self.norm(x)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., C]."""
        if self.head is not None:
            return self.head(hidden)  # type: ignore[no-any-return]
        return F.linear(hidden, self.output_weight)

    @property
    def output_weight(self) -> Tensor:
        """The matrix [V, C] of the output layer."""
        return self.tokens.weight if self.output is None else self.output.weight


def _mask(positions: Tensor) -> Tensor:
    """Which keys each query attends to: those at its own position and before. Padding queries, whose output nobody
    reads, attend to position 0, since a softmax over nothing is NaN."""
    keys, queries = positions[:, None, :], positions.clamp(min=0)[:, :, None]
    return ((keys >= 0) & (keys <= queries))[:, None]


def left_pad(sequences: Sequence[Sequence[int]], columns: int = 1) -> tuple[Tensor, Tensor]:
    """Ids and positions [B, T] of sequences of different lengths, so that all of them end in the last column.

    T is that of the longest, and at least `columns`.
    """
    longest = max(columns, *map(len, sequences))
    ids = torch.zeros((len(sequences), longest), dtype=torch.long)  # any token will do as padding
    positions = torch.full((len(sequences), longest), PADDING, dtype=torch.long)
    for row, sequence in enumerate(sequences):
        start = longest - len(sequence)
        ids[row, start:] = torch.tensor(sequence, dtype=torch.long)
        positions[row, start:] = torch.arange(len(sequence))
    return ids, positions
