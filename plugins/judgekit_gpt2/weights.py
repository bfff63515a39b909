"""Weights between files in the hub's layout and the model: names, and the transposition of Conv1D's matrices."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import judgekit
from judgekit_gpt2 import checkpoint
from judgekit_gpt2.config import tensor_shapes, to_hub
from judgekit_gpt2.model import GPT2
from judgekit_gpt2.tokens import Tokenizer

# The hub's name → ours. Its matrices of the blocks are Conv1D's, [in, out]; ours are Linear's, [out, in].
_NAMES = {
    "wte": "tokens",
    "wpe": "positions",
    "ln_f": "norm",
    "ln_1": "norm1",
    "ln_2": "norm2",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.out",
    "mlp.c_fc": "mlp.up",
    "mlp.c_proj": "mlp.down",
}
_HUB_NAME = re.compile(r"(?:h\.(\d+)\.)?(.+)\.(weight|bias)")


def load(folder: Path) -> tuple[GPT2, Tokenizer]:
    """The model, in float32 on the CPU and ready for inference, and its tokenizer.

    Raises CheckpointError when a file is missing, truncated, of another shape, or holds code or NaN.
    """
    config = checkpoint.check(folder)
    tokenizer = Tokenizer.of_checkpoint(folder, config.vocabulary)
    files = checkpoint.weight_files(folder)
    tensors: dict[str, Tensor] = {}
    shapes: dict[str, tuple[tuple[int, ...], Path]] = {}
    for file in files:
        part = _read_pickle(file) if file.name == checkpoint.PICKLE else _read_safetensors(file)
        tensors |= {checkpoint.hub_name(name): tensor for name, tensor in part.items()}
        shapes |= {name: (tuple(tensor.shape), file) for name, tensor in part.items()}
    checkpoint.check_shapes(config, shapes, folder)
    tensors.pop("", None)
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise judgekit.CheckpointError(f"{name} has a value that is not finite", path=files[0])
    output = tensors.pop(checkpoint.OUTPUT_LAYER, None)
    if output is not None and not torch.equal(output, tensors["wte.weight"]):
        raise judgekit.CheckpointError(
            f"{checkpoint.OUTPUT_LAYER} differs from wte.weight; GPT-2 ties them", path=files[0]
        )
    with torch.device("meta"):
        model = GPT2(config)
    assign(model, tensors)
    return model.eval(), tokenizer


def assign(model: GPT2, tensors: Mapping[str, Tensor]) -> None:
    """Give the model weights that have the hub's names and orientation, in float32."""
    ours = {_our_name(name): _turn(name, tensor).detach().float().contiguous() for name, tensor in tensors.items()}
    for name, parameter in model.named_parameters():
        assert ours[name].shape == parameter.shape, f"{name}: {ours[name].shape} for {parameter.shape}"
    model.load_state_dict(ours, assign=True)


def save(folder: Path, model: GPT2, tokenizer: Tokenizer) -> None:
    """Write a self-contained checkpoint that `transformers` loads too, each file whole or not at all.

    Raises StorageError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder)
    config = json.dumps(to_hub(model.config, tokenizer.end_of_text), indent=2) + "\n"
    checkpoint.write_atomically(folder / checkpoint.CONFIG, config.encode())
    tensors = {f"transformer.{name}": tensor for name, tensor in hub_tensors(model).items()}
    target = folder / checkpoint.SAFETENSORS
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        save_file(tensors, temporary, metadata={"format": "pt"})
        checkpoint.publish(temporary, target)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise judgekit.StorageError(f"cannot be written: {error}", path=target) from None


def with_dropout(model: GPT2, dropout: float) -> GPT2:
    """The same weights in a model with another dropout."""
    with torch.device("meta"):
        other = GPT2(replace(model.config, dropout=dropout))
    other.load_state_dict(model.state_dict(), assign=True)
    return other


def hub_tensors(model: GPT2) -> dict[str, Tensor]:
    """The model's weights under the hub's names and in its orientation."""
    ours = dict(model.named_parameters())
    names = tensor_shapes(model.config)
    tensors = {name: _turn(name, ours[_our_name(name)].detach()).contiguous() for name in names}
    for name, shape in names.items():
        assert tensors[name].shape == shape, f"{name}: {tensors[name].shape} for {shape}"
    return tensors


def _our_name(name: str) -> str:
    match = _HUB_NAME.fullmatch(name)
    assert match is not None, name
    block = "" if match[1] is None else f"blocks.{match[1]}."
    return f"{block}{_NAMES[match[2]]}.{match[3]}"


def _turn(name: str, tensor: Tensor) -> Tensor:
    """Transpose the matrices of the blocks; everything else stays."""
    return tensor.t() if name.startswith("h.") and tensor.ndim == 2 else tensor


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise judgekit.CheckpointError(f"cannot be read: {error}", path=path) from None


def _read_pickle(path: Path) -> dict[str, Tensor]:
    """A state dict from a pickle without code: torch's own unpickler, with weights only, and never another one."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise judgekit.CheckpointError(
            "refused: a pickle that is more than tensors, so that it may run code", path=path
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise judgekit.CheckpointError(f"truncated or damaged: {str(error).splitlines()[0]}", path=path) from None
    if not isinstance(values, dict) or not all(isinstance(tensor, Tensor) for tensor in values.values()):
        raise judgekit.CheckpointError("should hold a dictionary of tensors and nothing else", path=path)
    return values
