"""Checkpoint folders of GPT-2 in other layouts: edited, and as older folders of the hub have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from judgekit_gpt2 import checkpoint


class Code:
    """What a pickle must not be able to do: touch a file when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


def edit(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Rewrite the weights after `change`."""
    tensors = load_file(folder / checkpoint.SAFETENSORS)
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / checkpoint.SAFETENSORS)


def pickled_shards(folder: Path, tensors: dict[str, torch.Tensor] | None = None) -> None:
    """The weights as three pickles and their index, as older folders of the hub have them."""
    tensors = tensors or load_file(folder / checkpoint.SAFETENSORS)
    (folder / checkpoint.SAFETENSORS).unlink(missing_ok=True)
    places = {}
    for number in range(3):
        file = f"pytorch_model-{number + 1:05d}-of-00003.bin"
        part = {name: tensors[name] for name in sorted(tensors)[number::3]}
        torch.save(part, folder / file)
        places |= dict.fromkeys(part, file)
    (folder / checkpoint.PICKLE_INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
