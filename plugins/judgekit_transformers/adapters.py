"""LoRA as in "LoRA: Low-Rank Adaptation of Large Language Models" (Hu et al., 2021), on a model of transformers.

A frozen matrix W [out, in] gets a trained companion of low rank: x Wᵀ + (α / r) · (x Aᵀ) Bᵀ, A [r, in], B [out, r].
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

import judgekit
from judgekit_transformers.tuning_options import Adapters


class Adapted(nn.Module):
    """A frozen layer and its adapter. B is zero at first, so that the start is the model as it was."""

    def __init__(self, base: nn.Linear | Conv1D, settings: Adapters, generator: torch.Generator) -> None:
        super().__init__()
        self.turned = isinstance(base, Conv1D)  # which keeps its matrix as [in, out]
        outer, inner = base.weight.shape[::-1] if self.turned else base.weight.shape
        self.base = base.requires_grad_(False)
        self.scale, self.dropout = settings.alpha / settings.rank, settings.dropout
        a = torch.empty(settings.rank, inner)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)  # U(±1/√in), as Linear's own
        self.a = nn.Parameter(a.to(base.weight))  # [r, in]
        self.b = nn.Parameter(base.weight.new_zeros(outer, settings.rank))  # [out, r]
        self.train(base.training)

    @property
    def weight(self) -> Tensor:
        """The frozen matrix, at whose type some models look."""
        return self.base.weight

    @property
    def bias(self) -> Tensor | None:
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        low = F.linear(F.dropout(x, self.dropout, self.training), self.a)  # [B, T, r]
        added: Tensor = self.base(x) + F.linear(self.scale * low, self.b)
        return added

    def merged(self) -> nn.Module:
        """The layer with the adapter in its matrix: W + (α / r) · B A."""
        change = self.scale * (self.b @ self.a).detach()
        self.base.weight.data += change.T if self.turned else change
        return self.base


def attach(model: Any, settings: Adapters, seed: int) -> None:
    """Freeze the model and put adapters on the targets: from now on they alone are trained.

    Raises UsageError for a target that is no layer of the model.
    """
    generator, output = torch.Generator().manual_seed(seed), model.get_output_embeddings()
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not output
    }
    leaves = sorted({_leaf(name) for name in layers})
    wanted = leaves if settings.targets == "all" else list(settings.targets)
    if unknown := [name for name in wanted if name not in leaves]:
        raise judgekit.UsageError(f"lora: no layer is named {unknown[0]!r}; the model has {', '.join(leaves)}")
    model.requires_grad_(False)
    for name, module in layers.items():
        if _leaf(name) in wanted:
            model.set_submodule(name, Adapted(module, settings, generator).to(module.weight.device))


def trained(model: Any) -> tuple[int, int]:
    """The number of weights that are trained, and of all; adapters are not counted among the latter."""
    learnt = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
    adapters = sum(module.a.numel() + module.b.numel() for module in model.modules() if isinstance(module, Adapted))
    return learnt, sum(weights.numel() for weights in model.parameters()) - adapters


def save(model: Any, folder: Path, settings: Adapters, base: str, kind: str) -> None:
    """Write the adapters as peft does. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    adapted = {name: module for name, module in model.named_modules() if isinstance(module, Adapted)}
    tensors: dict[str, Tensor] = {}
    for name, module in adapted.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = module.a.detach().cpu().contiguous()
        tensors[f"base_model.model.{name}.lora_B.weight"] = module.b.detach().cpu().contiguous()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "SEQ_2_SEQ_LM" if kind == "seq2seq" else "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "target_modules": sorted({_leaf(name) for name in adapted}),
        "fan_in_fan_out": any(module.turned for module in adapted.values()),
        "bias": "none",
        "inference_mode": True,
    }
    judgekit.write_atomically(folder / "adapter_config.json", json.dumps(config, indent=2).encode() + b"\n")


def merge(model: Any) -> None:
    """Make an ordinary model of the adapted one, which computes what that did."""
    for name, module in list(model.named_modules()):
        if isinstance(module, Adapted):
            model.set_submodule(name, module.merged())
    model.requires_grad_(True)


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]
