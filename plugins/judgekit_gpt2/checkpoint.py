"""Checkpoint folders in the hub's layout, read without torch: config, tensor headers, and a hash of it all.

A folder holds `config.json`, the weights as `model.safetensors` (or sharded, with `model.safetensors.index.json`,
or as `pytorch_model.bin`), and the vocabulary as `vocab.json` and `merges.txt`; without those two the vocabulary is
GPT-2's own. All errors are CheckpointErrors that name the file, and the tensor where there is one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import judgekit
from judgekit_gpt2.config import GPT2Config, from_hub, tensor_shapes

CONFIG = "config.json"
SAFETENSORS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
VOCABULARY = "vocab.json"
MERGES = "merges.txt"

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_MAX_HEADER = 100_000_000  # the format's own limit
# Causal masks, which older files keep as if they were weights.
_MASK = re.compile(r"h\.\d+\.attn\.(masked_)?bias")
OUTPUT_LAYER = "lm_head.weight"  # tied to wte.weight; some files keep it twice


def require_torch() -> None:
    """Raises UsageError with the line that installs torch, where it is missing."""
    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise judgekit.UsageError(f"{missing[0]} is not installed; `pip install 'judgekit[gpt2]'` brings it")


def read_config(folder: Path) -> GPT2Config:
    """The shape that `config.json` describes."""
    if folder.is_file():
        raise judgekit.CheckpointError(
            f"is a file; a checkpoint is a folder with {CONFIG} and {SAFETENSORS}", path=folder
        )
    if not folder.is_dir():
        raise judgekit.CheckpointError(
            "no such checkpoint folder; `judgekit gpt2 pretrain TEXT --into FOLDER` makes one", path=folder
        )
    values = _read_json(folder / CONFIG)
    try:
        return from_hub(values)
    except ValueError as error:
        raise judgekit.CheckpointError(str(error), path=folder / CONFIG) from None


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights: one, or the shards that the index names."""
    for name in (SAFETENSORS, PICKLE):
        if (folder / name).is_file():
            return [folder / name]
    if not (folder / INDEX).is_file():
        raise judgekit.CheckpointError(f"no weights: there is no {SAFETENSORS} in it", path=folder)
    shards = _read_json(folder / INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise judgekit.CheckpointError("has no weight_map", path=folder / INDEX)
    files = []
    for name in sorted({str(shard) for shard in shards.values()}):
        if Path(name).name != name:
            raise judgekit.CheckpointError(f"the shard {name!r} is not in the folder", path=folder / INDEX)
        if not (folder / name).is_file():
            raise judgekit.CheckpointError(f"the shard {name} is missing", path=folder)
        files.append(folder / name)
    return files


def check(folder: Path) -> GPT2Config:
    """Check a folder without reading the weights; a `pytorch_model.bin` is only checked when it is loaded."""
    config = read_config(folder)
    files = weight_files(folder)
    if files[0].name != PICKLE:
        shapes = {name: (shape, file) for file in files for name, shape in read_header(file).items()}
        check_shapes(config, shapes, folder)
    return config


def read_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a safetensors file; sizes in the header are held against the file's own."""

    def bad(problem: str) -> judgekit.CheckpointError:
        return judgekit.CheckpointError(problem, path=path)

    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8 or length > _MAX_HEADER:
                raise bad("not a safetensors file, or truncated within its header")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        tensors = {str(name): _tensor(entry) for name, entry in header.items()}
    except OSError as error:
        raise bad(f"cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise bad("not a safetensors file: its header cannot be read") from None
    expected = 8 + length + max((end for _, _, end in tensors.values()), default=0)
    if size != expected:
        raise bad(f"truncated or damaged: {size} bytes, where its header needs {expected}")
    for name, (dtype, shape, _) in tensors.items():
        if dtype not in _BYTES and not _MASK.fullmatch(name.removeprefix("transformer.")):
            raise bad(f"{name} is of type {dtype}, shape {list(shape)}; weights should be floating-point")
    return {name: shape for name, (_, shape, _) in tensors.items()}


def _tensor(entry: Any) -> tuple[str, tuple[int, ...], int]:
    """(type, shape, end of its bytes) of one entry of a header."""
    shape = tuple(int(size) for size in entry["shape"])
    _, end = entry["data_offsets"]
    return str(entry["dtype"]), shape, int(end)


def check_shapes(config: GPT2Config, shapes: Mapping[str, tuple[tuple[int, ...], Path]], folder: Path) -> None:
    """Hold the tensors there are, each with shape and file, against those the config asks for."""
    expected = tensor_shapes(config)
    found = {hub_name(name): found for name, found in shapes.items() if hub_name(name)}
    where = folder / SAFETENSORS if not shapes else next(iter(shapes.values()))[1]
    for name, shape in expected.items():
        if name not in found:
            raise judgekit.CheckpointError(f"the tensor {name} is missing", path=where)
        if found[name][0] != shape:
            raise judgekit.CheckpointError(
                f"{name} has the shape {list(found[name][0])}, where {CONFIG} needs {list(shape)}", path=found[name][1]
            )
    for name, (_, file) in found.items():
        if name not in expected and name != OUTPUT_LAYER:
            raise judgekit.CheckpointError(f"has a tensor {name}, for which {CONFIG} has no place", path=file)


def hub_name(name: str) -> str:
    """A tensor's name without the prefix that some files have; empty for a causal mask, which is no weight."""
    name = name.removeprefix("transformer.")
    return "" if _MASK.fullmatch(name) else name


def files(folder: Path) -> list[Path]:
    """Every file of a checkpoint that decides what its model answers."""
    return [folder / CONFIG, *weight_files(folder), *(path for path in [folder / MERGES] if path.is_file())]


def identity(folder: Path) -> str:
    """sha256 over the names and contents of those files."""
    total = hashlib.sha256()
    for path in files(folder):
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise judgekit.CheckpointError(f"cannot be read: {error.strerror}", path=path) from None
        total.update(f"{path.name} {digest}\n".encode())
    return total.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all. Raises StorageError."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
        publish(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise judgekit.StorageError(f"cannot be written: {error.strerror}", path=path) from None


def publish(temporary: Path, path: Path) -> None:
    """Give a written file its name, once its bytes are on the disk."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise judgekit.CheckpointError(f"there is no {path.name} in it", path=path.parent) from None
    except (OSError, ValueError, RecursionError) as error:
        raise judgekit.CheckpointError(f"not JSON: {error}", path=path) from None
    if not isinstance(values, dict):
        raise judgekit.CheckpointError(f"should be a JSON object, not {type(values).__name__}", path=path)
    return values
