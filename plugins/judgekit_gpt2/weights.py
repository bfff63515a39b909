"""Weights between files in the hub's layout and the model: names, and the transposition of Conv1D's matrices.

Tensors are read and written one at a time, so that a model is in memory once and not twice.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

import judgekit
from judgekit_gpt2 import checkpoint
from judgekit_gpt2.checkpoint import Shape
from judgekit_gpt2.config import OUTPUT_LAYER, GPT2Config, tensor_shapes, to_hub
from judgekit_gpt2.model import GPT2
from judgekit_gpt2.tokens import Tokenizer

# The hub's name → ours. Its matrices of the blocks are Conv1D's, [in, out]; ours are Linear's, [out, in].
_NAMES = {
    "lm_head": "output",
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
_HUB_NAMES = {ours: hub for hub, ours in _NAMES.items()}
_HUB_NAME = re.compile(r"(?:h\.(\d+)\.)?(.+)\.(weight|bias)")
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class TensorFile(Protocol):
    """A file of weights by the hub's names, or by its own where these are not the hub's. Each is taken once."""

    path: Path
    shapes: Mapping[str, Shape]

    def take(self, name: str) -> Tensor: ...


class _Safetensors:
    """Reads a tensor when it is taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries = checkpoint.hub_names(path, checkpoint.read_header(path))
        self.shapes: Mapping[str, Shape] = {name: entry.shape for name, entry in self._entries.items()}

    def take(self, name: str) -> Tensor:
        entry = self._entries[name]
        tensor = torch.empty(entry.shape, dtype=_DTYPES[entry.dtype])
        with checkpoint.os_errors(self.path, "read", judgekit.CheckpointError), self.path.open("rb") as file:
            file.seek(entry.begin)
            read = file.readinto(_bytes(tensor))
        if read != entry.end - entry.begin:
            raise judgekit.CheckpointError(f"truncated within {name}", path=self.path)
        return tensor


class _Pickle:
    """Holds the whole file, and lets go of a tensor when it is taken. `heads`: how many, where the file says it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        tensors, self.heads = _read_pickle(path)
        self._tensors = checkpoint.hub_names(path, tensors)
        self.shapes: Mapping[str, Shape] = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def take(self, name: str) -> Tensor:
        return self._tensors.pop(name)


def open_file(path: Path) -> TensorFile:
    """A `.safetensors` file, or else a pickle. Raises CheckpointError."""
    return _Pickle(path) if checkpoint.is_pickle(path) else _Safetensors(path)


class Checkpoint(NamedTuple):
    """A model and the vocabulary that it reads and writes."""

    model: GPT2
    tokenizer: Tokenizer


def load(folder: Path) -> Checkpoint:
    """The model, in float32 on the CPU and ready for inference, and its tokenizer.

    Raises CheckpointError when a file is missing, truncated, of another shape, or holds code or NaN.
    """
    config = checkpoint.check(folder)
    tokenizer = Tokenizer.of_checkpoint(folder, config.vocabulary)
    return Checkpoint(build(config, [open_file(file) for file in checkpoint.weight_files(folder)]), tokenizer)


def build(config: GPT2Config, files: Sequence[TensorFile], authority: str = checkpoint.CONFIG) -> GPT2:
    """The model whose weights the files hold, in float32 and ready for inference; `authority` asks for its shape.

    Raises CheckpointError naming the tensor that is missing, superfluous, of another shape or type, or not finite.
    """
    checkpoint.check_tensors(config, {file.path: file.shapes for file in files}, authority)
    tensors: dict[str, Tensor] = {}
    output: tuple[Tensor, Path] | None = None
    for file in files:
        for name in file.shapes:
            tensor = checked(file.take(name), name, file.path)
            if name == OUTPUT_LAYER and config.tied:
                output = tensor, file.path
            else:
                tensors[_our_name(name)] = turned(name, tensor).contiguous()
    model = GPT2.holding(config, tensors)
    if output is not None and not torch.equal(output[0], model.tokens.weight.detach()):
        differs = f"{OUTPUT_LAYER} differs from wte.weight, but {authority} says that they are tied"
        raise judgekit.CheckpointError(differs, path=output[1])
    return model.eval()


def assign(model: GPT2, tensors: Mapping[str, Tensor]) -> None:
    """Give the model weights that have the hub's names and orientation, in float32."""
    ours = {_our_name(name): turned(name, tensor).detach().float().contiguous() for name, tensor in tensors.items()}
    for name, parameter in model.named_parameters():
        assert ours[name].shape == parameter.shape, f"{name}: {ours[name].shape} for {parameter.shape}"
    model.load_state_dict(ours, assign=True)


def save(
    folder: Path,
    model: GPT2,
    tokenizer: Tokenizer,
    dtype: torch.dtype | None = None,
    max_shard_bytes: int | None = None,
) -> None:
    """Write a self-contained checkpoint that `transformers` loads too, each file whole or not at all.

    The weights are stored as `dtype` (None: as they are), in one file, or in shards where they are more than
    `max_shard_bytes`. What an earlier save left in another layout is removed. Raises StorageError, and UsageError
    when `dtype` cannot hold a weight.
    """
    checkpoint.make_folder(folder)
    tokenizer.save(folder)
    config = json.dumps(to_hub(model.config, tokenizer.end_of_text), indent=2) + "\n"
    judgekit.write_atomically(folder / checkpoint.CONFIG, config.encode())
    weights = _Stored(model, dtype)
    shards = weights.shards(max_shard_bytes)
    _remove(folder / checkpoint.INDEX)  # with the old one, new shards and old ones could be mixed
    count = len(shards)
    numbered = [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
    files = dict(zip(numbered if count > 1 else [checkpoint.SAFETENSORS], shards, strict=True))
    for file, names in files.items():
        _write(folder / file, weights, names)
    if count > 1:
        places = {_stored_name(name): file for file, names in files.items() for name in names}
        index = {"metadata": {"total_size": weights.bytes(weights.shapes)}, "weight_map": dict(sorted(places.items()))}
        judgekit.write_atomically(folder / checkpoint.INDEX, (json.dumps(index, indent=2) + "\n").encode())
    for old in folder.glob("model*.safetensors"):
        if old.name not in files and re.fullmatch(r"model(-\d{5}-of-\d{5})?\.safetensors", old.name):
            _remove(old)


class _Stored:
    """A model's weights as they are to be stored: the hub's names and orientation, one at a time."""

    def __init__(self, model: GPT2, dtype: torch.dtype | None) -> None:
        self._ours = dict(model.named_parameters())
        self.dtype = dtype or model.tokens.weight.dtype
        self.shapes = tensor_shapes(model.config)

    def tensor(self, name: str) -> Tensor:
        tensor = turned(name, self._ours[_our_name(name)].detach())
        assert tensor.shape == self.shapes[name], f"{name}: {tensor.shape} for {self.shapes[name]}"
        stored = tensor.to("cpu", self.dtype).contiguous()
        if self.dtype != tensor.dtype and not _is_finite(stored):
            raise judgekit.UsageError(f"{name} has a value that {str(self.dtype).removeprefix('torch.')} cannot hold")
        return stored

    def bytes(self, names: Iterable[str]) -> int:
        return sum(math.prod(self.shapes[name]) for name in names) * self.dtype.itemsize

    def shards(self, most: int | None) -> list[list[str]]:
        """The names, in order, in groups of at most that many bytes; a tensor that is larger has one for itself."""
        groups: list[list[str]] = [[]]
        for name in self.shapes:
            if most is not None and groups[-1] and self.bytes([*groups[-1], name]) > most:
                groups.append([])
            groups[-1].append(name)
        return groups


def _write(path: Path, weights: _Stored, names: Sequence[str]) -> None:
    """A safetensors file of some of the weights; see `checkpoint.read_header` for the format."""
    names = sorted(names)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in names:
        begin, end = end, end + weights.bytes([name])
        header[_stored_name(name)] = {
            "dtype": _DTYPE_NAMES[weights.dtype],
            "shape": weights.shapes[name],
            "data_offsets": [begin, end],
        }
    content = json.dumps(header, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 8)  # so that the tensors are aligned
    with checkpoint.writing(path) as temporary, temporary.open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        for name in names:
            file.write(_bytes(weights.tensor(name)))


def _stored_name(name: str) -> str:
    """The name of a weight in a file: all but the output layer belong to the part that the hub calls transformer."""
    return name if name == OUTPUT_LAYER else f"transformer.{name}"


def _remove(path: Path) -> None:
    with checkpoint.os_errors(path, "removed"):
        path.unlink(missing_ok=True)


def with_dropout(model: GPT2, dropout: float) -> GPT2:
    """The same weights in a model with another dropout."""
    return GPT2.holding(replace(model.config, dropout=dropout), model.state_dict())


def _our_name(name: str) -> str:
    match = _HUB_NAME.fullmatch(name)
    assert match is not None, name
    block = "" if match[1] is None else f"blocks.{match[1]}."
    return f"{block}{_NAMES[match[2]]}.{match[3]}"


def hub_name(ours: str) -> str:
    """The hub's name of one of our weights."""
    name, _, kind = ours.rpartition(".")
    block = re.match(r"blocks\.(\d+)\.", name)
    prefix, own = (f"h.{block[1]}.", name[block.end() :]) if block else ("", name)
    return f"{prefix}{_HUB_NAMES[own]}.{kind}"


def turned(name: str, tensor: Tensor) -> Tensor:
    """Transpose the matrices of the blocks; everything else stays."""
    return tensor.t() if name.startswith("h.") and tensor.ndim == 2 else tensor


def _bytes(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    return tensor.view(-1).view(torch.uint8).numpy().data


def checked(tensor: Tensor, name: str, path: Path) -> Tensor:
    """In float32, if it is an ordinary tensor of finite numbers."""
    if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.device.type != "cpu":
        what = f"{name} is a tensor of {tensor.dtype}, {tensor.layout}, on {tensor.device}"
        raise judgekit.CheckpointError(f"{what}; weights should be plain floating-point numbers", path=path)
    if not _is_finite(tensor):
        raise judgekit.CheckpointError(f"{name} has a value that is not finite", path=path)
    return tensor.detach().float()


def _is_finite(tensor: Tensor) -> bool:
    """Without the copies that `torch.isfinite` of a whole tensor makes; NaN is its own least and greatest."""
    return all(math.isfinite(bound) for bound in torch.aminmax(tensor.detach()))


# Where a dictionary of more than weights has them, and the arguments of its model.
_WEIGHTS = ("model_state_dict", "state_dict", "model")
_ARGUMENTS = ("model_args", "model_config", "config", "cfg", "hyper_parameters")


def _read_pickle(path: Path) -> tuple[dict[str, Tensor], int | None]:
    """A state dict from a pickle without code (torch's own unpickler, with weights only, and never another one), and
    the number of heads, if it says so.

    A dictionary that holds one as `model_state_dict`, beside an optimizer's, or as nanoGPT's `model`, will do.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        refused = "refused: a pickle that is more than tensors, so that it may run code, or is damaged"
        raise judgekit.CheckpointError(refused, path=path) from None
    except Exception as error:  # what an unpickler trips over in damaged bytes is anything
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise judgekit.CheckpointError(f"truncated or damaged: {reason}", path=path) from None
    heads = None
    if isinstance(values, dict) and (inner := next((key for key in _WEIGHTS if isinstance(values.get(key), dict)), "")):
        said = [values[key] for key in _ARGUMENTS if isinstance(values.get(key), dict)]
        heads = next(
            (one[name] for one in said for name in ("n_head", "n_heads") if isinstance(one.get(name), int)), None
        )
        values = values[inner]
    if not isinstance(values, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in values.items()
    ):
        raise judgekit.CheckpointError("should hold a dictionary of tensors and nothing else", path=path)
    return values, heads
