"""Next tokens by torch's compiler: blocks become one loop nest, which reads each weight once, with nothing between.

At a single sequence, where a step waits for Python and for the memory, that is about twice as fast. It needs a C++
compiler, and half a minute at first; what was compiled is kept by torch for the next process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import BackendCompilerFailed

import judgekit
from judgekit_gpt2.cache import CompiledStep, KVCache
from judgekit_gpt2.model import GPT2, Step

_TOGETHER = 6  # blocks in one graph: more of them take longer to compile, with fewer Python is between them more often
_OPTIONS: dict[str, str | int | bool | Callable[..., object]] = {
    "cpp.enable_floating_point_contract_flag": "fast"  # products and sums in one instruction
}


class CompiledGPT2(GPT2):
    """A model from `inference.prepare(…, compiled=True)`, whose tensors it shares, with next tokens compiled.

    Compiled are single tokens of single sequences. Whatever else is asked is not, and differs in the last bits: so let
    it write one sequence at a time.
    """

    def __init__(self, model: GPT2) -> None:
        nn.Module.__init__(self)
        self.config, self.tokens, self.positions = model.config, model.tokens, model.positions
        self.blocks, self.norm, self.output, self.head = model.blocks, model.norm, model.output, model.head
        self._groups = [model.blocks[at : at + _TOGETHER] for at in range(0, len(model.blocks), _TOGETHER)]
        # Each shape and form of a model is compiled once; torch would give up at the eighth.
        torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
        self.eval()

    def forward(self, ids: Tensor, positions: Tensor | None = None, cache: KVCache | None = None) -> Tensor:
        if positions is None or cache is None or positions.shape != (1, 1) or bool(positions < 0):
            return super().forward(ids, positions, cache)
        x = self.tokens(ids) + self.positions(positions)
        unseen = torch.arange(cache.keys.shape[3]) > positions[0]
        bias = torch.zeros_like(unseen, dtype=cache.keys.dtype).masked_fill(unseen, float("-inf"))
        torch._dynamo.mark_dynamic(bias, 0)
        keys, values = cache.keys[:, 0].unbind(0), cache.values[:, 0].unbind(0)  # [H, S, D] each
        for tensor in (*keys, *values):
            torch._dynamo.mark_dynamic(tensor, 1)
        for at, blocks in enumerate(self._groups):
            layers = slice(at * _TOGETHER, (at + 1) * _TOGETHER)
            x = _run(_next_token, blocks, x, keys[layers], values[layers], positions[0], bias)
        return self.norm(x)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        if hidden.numel() > self.config.width:
            return super().logits(hidden)
        assert self.head is not None
        return _run(_one_row, self.head, hidden.flatten()).view(*hidden.shape[:-1], -1)


def _run(compiled: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Raises UsageError where the compiler is there (see `checkpoint.require_compiler`) and does not work."""
    try:
        return compiled(*arguments)
    except BackendCompilerFailed as error:
        reason = str(error).strip().splitlines()[0]
        raise judgekit.UsageError(f"compile: true cannot be had, torch's compiler failed: {reason}") from error


@torch.compile(fullgraph=True, options=_OPTIONS)
def _next_token(
    blocks: nn.ModuleList,
    x: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    position: Tensor,
    bias: Tensor,
) -> Tensor:
    """Hidden states [1, 1, C] after some blocks, to whose `keys` and `values` [H, S, D] the token's are added."""
    for block, of_keys, of_values in zip(blocks, keys, values, strict=True):
        x = block(x, 0, Step(attend=CompiledStep(of_keys, of_values, position, bias).attend))
    return x


@torch.compile(fullgraph=True, options=_OPTIONS)
def _one_row(head: nn.Module, hidden: Tensor) -> Tensor:
    return head(hidden)  # type: ignore[no-any-return]
