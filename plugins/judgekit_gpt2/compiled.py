"""Next tokens by torch's compiler: a block becomes one loop nest, which reads each weight once, with nothing between.

At a single sequence, where a step waits for Python and for the memory, that is two to three times as fast. It needs a
C++ compiler, and several seconds at first; what was compiled is kept by torch for the next process.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from judgekit_gpt2.cache import NextToken, NextTokens
from judgekit_gpt2.inference import sharing
from judgekit_gpt2.model import GPT2, Step

_OPTIONS: dict[str, str | int | bool | Callable[..., object]] = {
    "cpp.enable_floating_point_contract_flag": "fast"  # products and sums in one instruction
}


def compiled(model: GPT2) -> GPT2:
    """The same model, whose tensors it shares, with the single next token of a single sequence compiled.

    `model` comes from `inference.prepare(…, compiled=True)`. Whatever else is asked of the result is not compiled and
    differs in the last bits: so let it write one sequence at a time.
    """
    assert model.head is not None
    # Each shape and form of a model is compiled once or twice; torch would give up at the eighth.
    torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
    return sharing(model, [_NextTokenBlock(block) for block in model.blocks], _OneRowHead(model.head))


class _NextTokenBlock(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, layer: int, step: Step) -> Tensor:
        if not isinstance(step.reading, NextTokens) or len(x) > 1:
            return self.block(x, layer, step)  # type: ignore[no-any-return]
        here = step.reading.alone(layer)
        for tensor in (here.keys, here.values, here.bias):
            torch._dynamo.mark_dynamic(tensor, 0)
        return _next_token(self.block, x, here.keys, here.values, here.position, here.bias)


class _OneRowHead(nn.Module):
    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, hidden: Tensor) -> Tensor:
        alone = hidden.numel() == hidden.shape[-1]
        return _one_row(self.head, hidden.flatten()).view(*hidden.shape[:-1], -1) if alone else self.head(hidden)


@torch.compile(fullgraph=True, options=_OPTIONS)
def _next_token(block: nn.Module, x: Tensor, keys: Tensor, values: Tensor, position: Tensor, bias: Tensor) -> Tensor:
    return block(x, 0, Step(reading=NextToken(keys, values, position, bias)))  # type: ignore[no-any-return]


@torch.compile(fullgraph=True, options=_OPTIONS)
def _one_row(head: nn.Module, hidden: Tensor) -> Tensor:
    return head(hidden)  # type: ignore[no-any-return]
