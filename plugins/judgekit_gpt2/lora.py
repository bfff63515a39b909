"""LoRA as in "LoRA: Low-Rank Adaptation of Large Language Models" (Hu et al., 2021).

A frozen matrix W [out, in] gets a trained companion of low rank: x Wᵀ + (α / r) · (x Aᵀ) Bᵀ, A [r, in], B [out, r].
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import judgekit
from judgekit_gpt2.model import GPT2
from judgekit_gpt2.options import Adapters


class Adapted(nn.Module):
    """A frozen Linear and its adapter. B is zero at first, so that the start is the model as it was."""

    def __init__(self, base: nn.Linear, settings: Adapters, generator: torch.Generator) -> None:
        super().__init__()
        outer, inner = base.weight.shape
        self.base = base.requires_grad_(False)
        self.scale, self.dropout = settings.alpha / settings.rank, settings.dropout
        a = torch.empty(settings.rank, inner)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)  # U(±1/√in), as Linear's own
        self.a = nn.Parameter(a.to(base.weight))  # [r, in]
        self.b = nn.Parameter(base.weight.new_zeros(outer, settings.rank))  # [out, r]
        self.train(base.training)

    def forward(self, x: Tensor) -> Tensor:
        low = F.linear(F.dropout(x, self.dropout, self.training), self.a)  # [B, T, r]
        return self.base(x) + F.linear(self.scale * low, self.b)  # type: ignore[no-any-return]


def attach(model: GPT2, settings: Adapters, generator: torch.Generator) -> None:
    """Freeze every weight of the model and put adapters on the targets: from now on they alone are trained.

    Raises UsageError for a model that has adapters already, or whose matrices are no longer plain ones.
    """
    if any(isinstance(module, Adapted) for module in model.modules()):
        raise judgekit.UsageError("the model has LoRA adapters already; merge them before it gets others")
    model.requires_grad_(False)
    for part in list(model.modules()):
        for name, module in part.named_children():
            if name in settings.targets:
                if not isinstance(module, nn.Linear):
                    raise judgekit.UsageError(f"{name} is a {type(module).__name__}; LoRA needs a plain Linear")
                setattr(part, name, Adapted(module, settings, generator))


def merged(model: GPT2, weights: Mapping[str, Tensor] | None = None) -> GPT2:
    """An ordinary model, ready for inference, that computes what the adapted one does; that one stays as it is.

    The two share the weights that have no adapter. A model without adapters is given back as its like. `weights` are
    the model's, if it does not hold them itself, in one piece.
    """
    weights = {name.replace(".base.", "."): tensor for name, tensor in (weights or model.state_dict()).items()}
    for name, module in model.named_modules():
        if isinstance(module, Adapted):
            a, b, matrix = weights.pop(f"{name}.a"), weights.pop(f"{name}.b"), f"{name}.weight"
            weights[matrix] = weights[matrix] + module.scale * (b @ a)  # W + (α / r) · B A, [out, in]
    return GPT2.holding(model.config, weights).eval()
