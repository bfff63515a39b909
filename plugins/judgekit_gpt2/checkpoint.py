"""Checkpoint folders in the hub's layout, read without torch: config, tensor headers, and a hash of it all.

A folder holds `config.json`, the weights as `model.safetensors` or `pytorch_model.bin` (each whole, or as shards that
a `….index.json` names), and the vocabulary as `vocab.json` and `merges.txt`, or as `tokenizer.json`; without these
the vocabulary is GPT-2's own. All errors are CheckpointErrors that name the file, and the tensor where there is one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import judgekit
import judgekit.data
from judgekit_gpt2.config import OUTPUT_LAYER, GPT2Config, from_hub, tensor_shapes

CONFIG = "config.json"
SAFETENSORS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"
VOCABULARY = "vocab.json"
MERGES = "merges.txt"
TOKENIZER = "tokenizer.json"

# What DataParallel, torch.compile and Lightning put before the names of a model's weights, and the hub before its own.
_PREFIXES = re.compile(r"(?:(?:module|_orig_mod|model|transformer)\.)+")

Shape = tuple[int, ...]
T = TypeVar("T")

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_MAX_HEADER = 100_000_000  # the format's own limit
# Causal masks, which older files of the hub, and the book's, keep as if they were weights.
_MASK = re.compile(r"h\.\d+\.attn\.(masked_)?bias|trf_blocks\.\d+\.att\.mask")


def require_torch() -> None:
    """Raises UsageError with the line that installs torch, where it is missing."""
    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise judgekit.UsageError(f"{missing[0]} is not installed; `{judgekit.install_hint('gpt2')}` brings it")


def require_compiler(quantise: str | None = None) -> None:
    """Raises UsageError where torch's compiler would not find a C++ compiler, or no Python headers, or where its code
    for this processor gives wrong logits."""
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")  # as torch has it
    if shutil.which(compiler) is None:
        raise judgekit.UsageError(f"compile: true needs a C++ compiler; {compiler} is not there (CXX names another)")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        raise judgekit.UsageError(f"compile: true needs Python's headers (Debian: python3-dev); {header} is not there")
    if quantise is not None and judgekit.data.held_below_avx512():
        raise judgekit.UsageError(
            "compile: true with quantise needs AVX-512 (torch's code for AVX2 gives wrong logits)"
        )


def read_config(folder: Path) -> GPT2Config:
    """The shape that `config.json` describes."""
    if folder.is_file():
        advice = f"(`judgekit gpt2 convert {folder.name} --into FOLDER` may make one of it)"
        what = f"is a file; a checkpoint is a folder with {CONFIG} and {SAFETENSORS} {advice}"
        raise judgekit.CheckpointError(what, path=folder)
    if not folder.is_dir():
        made, brought = "`judgekit gpt2 pretrain TEXT --into FOLDER`", "`judgekit gpt2 fetch gpt2 --into FOLDER`"
        what = f"no such checkpoint folder; {made} makes one, {brought} brings one"
        raise judgekit.CheckpointError(what, path=folder)
    values = read_json(folder / CONFIG)
    try:
        return from_hub(values)
    except ValueError as error:
        raise judgekit.CheckpointError(str(error), path=folder / CONFIG) from None


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights: one, or the shards that an index names; safetensors before pickles."""
    for whole, index in ((SAFETENSORS, INDEX), (PICKLE, PICKLE_INDEX)):
        if (folder / whole).is_file():
            return [folder / whole]
        if (folder / index).is_file():
            return _shards(folder, folder / index)
    raise judgekit.CheckpointError(f"no weights: there is no {SAFETENSORS} in it", path=folder)


def _shards(folder: Path, index: Path) -> list[Path]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise judgekit.CheckpointError("has no weight_map", path=index)
    # The hub's own cache keeps a snapshot's files as links into the folder blobs/ beside snapshots/.
    home = folder.resolve()
    allowed = (home, home.parent.parent / "blobs")
    files = []
    for name in sorted({str(place) for place in places.values()}):
        file = folder / name
        if Path(name).name != name or name == "..":
            raise judgekit.CheckpointError(f"the shard {name!r} is not in the folder", path=index)
        if not file.is_file():
            raise judgekit.CheckpointError(f"the shard {name} is missing", path=folder)
        if file.resolve().parent not in allowed:
            raise judgekit.CheckpointError(f"the shard {name} is not in the folder: a link leads out of it", path=index)
        files.append(file)
    return files


def is_pickle(path: Path) -> bool:
    """Whether a file of weights is read as a pickle, which only loading can do."""
    return path.suffix != ".safetensors"


def check(folder: Path) -> GPT2Config:
    """Check a folder without reading the weights; a pickle's tensors are only checked when it is loaded."""
    from judgekit_gpt2.tokens import Tokenizer

    config = read_config(folder)
    files = weight_files(folder)
    if not any(map(is_pickle, files)):
        headers = {file: hub_names(file, read_header(file)) for file in files}
        check_tensors(config, {file: {name: entry.shape for name, entry in headers[file].items()} for file in files})
    if any((folder / name).is_file() for name in (MERGES, TOKENIZER)):
        Tokenizer.of_checkpoint(folder, config.vocabulary)
    return config


class TensorEntry(NamedTuple):
    """One tensor of a safetensors file: its type, its shape, and where its bytes begin and end in the file."""

    dtype: str
    shape: Shape
    begin: int
    end: int


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Every tensor of a safetensors file; what the header says of their bytes is held against the file's size.

    The format (https://huggingface.co/docs/safetensors): the header's length in 8 bytes, the header as JSON, and the
    tensors' bytes without gaps; the offsets in the header count from its own end.
    """

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
        tensors = {str(name): _entry(entry, 8 + length) for name, entry in header.items()}
    except OSError as error:
        raise bad(f"cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise bad("not a safetensors file: its header cannot be read") from None
    expected = max((entry.end for entry in tensors.values()), default=8 + length)
    if size != expected:
        raise bad(f"truncated or damaged: {size} bytes, where its header needs {expected}")
    position = 8 + length
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        is_weight = not _MASK.fullmatch(_bare(name))
        if is_weight and entry.dtype not in _BYTES:
            raise bad(f"{name} is of type {entry.dtype}, shape {list(entry.shape)}; weights should be floating-point")
        needed = math.prod(entry.shape) * _BYTES[entry.dtype] if is_weight else entry.end - entry.begin
        if (entry.begin, entry.end) != (position, position + needed):
            raise bad(f"damaged: the bytes of {name} are not where its header should place them")
        position = entry.end
    return tensors


def _entry(values: Any, start: int) -> TensorEntry:
    begin, end = values["data_offsets"]
    shape = tuple(map(int, values["shape"]))
    return TensorEntry(str(values["dtype"]), shape, start + int(begin), start + int(end))


def hub_names(path: Path, tensors: Mapping[str, T]) -> dict[str, T]:
    """What a file has of each weight, by the hub's name for it, without the prefixes that some files have.

    Causal masks are left out: they are no weights.
    """
    named: dict[str, T] = {}
    for own, tensor in tensors.items():
        name = _bare(own)
        if name in named:
            raise judgekit.CheckpointError(f"has {name} twice", path=path)
        if not _MASK.fullmatch(name):
            named[name] = tensor
    return named


def _bare(name: str) -> str:
    match = _PREFIXES.match(name)
    return name[match.end() :] if match else name


def check_tensors(config: GPT2Config, files: Mapping[Path, Mapping[str, Shape]], authority: str = CONFIG) -> None:
    """Hold the weights that files have, by the hub's names, against those of this shape; `authority` says so."""
    compare(tensor_shapes(config), files, authority, optional={OUTPUT_LAYER: (config.vocabulary, config.width)})


def compare(
    expected: Mapping[str, Shape],
    files: Mapping[Path, Mapping[str, Shape]],
    authority: str,
    optional: Mapping[str, Shape],
) -> None:
    """Hold names and shapes against those that should be there. The first that is amiss is named."""
    holders: dict[str, Path] = {}
    for path, shapes in files.items():
        for name in shapes:
            if name in holders:
                raise judgekit.CheckpointError(f"has {name}, which {holders[name].name} has too", path=path)
            holders[name] = path
    paths = list(files)
    if missing := [name for name in expected if name not in holders]:
        place = paths[0] if len(paths) == 1 else paths[0].parent
        raise judgekit.CheckpointError(f"the tensor {missing[0]} is missing", path=place)
    for name, needed in {**expected, **optional}.items():
        if name in holders and (shape := files[holders[name]][name]) != needed:
            differs = f"{name} has the shape {list(shape)}, where {authority} needs {list(needed)}"
            raise judgekit.CheckpointError(differs, path=holders[name])
    for name, path in holders.items():
        if name not in expected and name not in optional:
            raise judgekit.CheckpointError(f"has a tensor {name}, for which {authority} has no place", path=path)


def files(folder: Path) -> list[Path]:
    """Every file of a checkpoint that decides what its model answers."""
    vocabulary = [folder / name for name in (MERGES, TOKENIZER) if (folder / name).is_file()]
    return [folder / CONFIG, *weight_files(folder), *vocabulary[:1]]


def identity(folder: Path) -> str:
    """sha256 over the names and contents of those files."""
    total = hashlib.sha256()
    for path in files(folder):
        with os_errors(path, "read", judgekit.CheckpointError), path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


@contextmanager
def os_errors(path: Path, undone: str, kind: type[judgekit.JudgekitError] = judgekit.StorageError) -> Iterator[None]:
    """Turn an OSError into the error of that kind which says that the path cannot be read, written, …"""
    try:
        yield
    except OSError as error:
        raise kind(f"cannot be {undone}: {error.strerror or error}", path=path) from None


def make_folder(folder: Path) -> None:
    """Raises StorageError."""
    with os_errors(folder, "made"):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """The name of a file to write beside a path, whose folder is made; it gets the path's name once its bytes are on
    the disk, or is deleted. Raises StorageError."""
    temporary = path.with_name(f".{path.name}.tmp")
    with os_errors(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            publish(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Give a written file its name, once its bytes are on the disk."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise judgekit.CheckpointError(f"there is no {path.name} in it", path=path.parent) from None
    except (OSError, ValueError, RecursionError) as error:
        raise judgekit.CheckpointError(f"not JSON: {error}", path=path) from None
    if not isinstance(values, dict):
        raise judgekit.CheckpointError(f"should be a JSON object, not {type(values).__name__}", path=path)
    return values
