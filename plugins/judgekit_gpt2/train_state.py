"""The tensors of a training's state: the weights that are trained and the optimiser's moments, in one safetensors file.

Random numbers need no state, since each step draws its own from the seed and its number. So a training that was killed
at any step ends with the very weights of one that was not.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

import judgekit
import judgekit.data
from judgekit_gpt2 import checkpoint

_FILE = "state.safetensors"
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)


def restore(state: judgekit.data.TrainingState, objective: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Go back to the newest whole state, or clear away what a training left that had none.

    Raises UsageError when the folder holds the state of another training, and StorageError.
    """
    if state.of_another():
        other = "holds the state of another training (other data or options); delete it to start over"
        raise judgekit.UsageError(other, path=state.states)
    tensors = state.restore(_read)
    if tensors is not None:
        _load(tensors, objective, optimiser)
        return
    for left in (state.folder / "best", state.folder / "last", *state.folder.glob("epoch-*")):
        shutil.rmtree(left, ignore_errors=True)


def save(
    state: judgekit.data.TrainingState, objective: nn.Module, optimiser: torch.optim.Optimizer, leads: bool
) -> None:
    """Put a state beside those there are. All processes gather it, the leading one writes. Raises StorageError."""
    folder = state.begin()
    weights: dict[str, Any] = get_model_state_dict(objective, options=_WHOLE)
    moments: dict[str, Any] = get_optimizer_state_dict(objective, optimiser, options=_WHOLE)
    if leads:
        tensors = {f"weights/{name}": tensor for name, tensor in weights.items()}
        for name, values in moments["state"].items():
            tensors |= {f"optimiser/{name}/{key}": tensor for key, tensor in values.items()}
        with checkpoint.writing(folder / _FILE) as temporary:
            try:
                save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
            except SafetensorError as error:
                raise OSError(str(error)) from None
        state.seal()


def _read(folder: Path) -> dict[str, Tensor] | None:
    """The tensors of a state; None where they are truncated or damaged."""
    try:
        return load_file(folder / _FILE)
    except (SafetensorError, OSError, ValueError):
        return None


def _load(tensors: dict[str, Tensor], objective: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Weights and optimiser as they were; what the optimiser has besides tensors is the recipe's."""
    trained: dict[str, Any] = {}
    moments: dict[str, dict[str, Tensor]] = {}
    for path, tensor in tensors.items():
        kind, name, *key = path.split("/")
        if kind == "weights":
            trained[name] = tensor
        else:
            moments.setdefault(name, {})[key[0]] = tensor
    fresh: dict[str, Any] = get_optimizer_state_dict(objective, optimiser)
    state: dict[str, Any] = {"state": moments, "param_groups": fresh["param_groups"]}
    set_model_state_dict(objective, trained, options=replace(_WHOLE, strict=False))
    set_optimizer_state_dict(objective, optimiser, state, options=_WHOLE)
