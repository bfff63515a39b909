"""The command `judgekit gpt2 convert`: weights from elsewhere become a checkpoint in the hub's layout.

Read are a folder of the hub, a file of its tensors alone, and a file as in "Build a Large Language Model (From
Scratch)", whose model has other names, Linear's orientation, queries, keys and values apart, and an output layer of
its own: one that was trained stays apart, one that is still the token embeddings is tied to them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

import judgekit
from judgekit_gpt2 import checkpoint, weights
from judgekit_gpt2.checkpoint import Shape
from judgekit_gpt2.config import GPT2_VOCABULARY, OUTPUT_LAYER, PRESETS, GPT2Config, tensor_shapes
from judgekit_gpt2.tokens import Tokenizer

# What a file by itself is held against, in the words of its errors.
_REST = "the rest of the file"

# The hub's name → the book's; in a block, without its prefix. The hub's c_attn is the book's three in a row.
_BOOK = {
    OUTPUT_LAYER: ("out_head.weight",),
    "wte.weight": ("tok_emb.weight",),
    "wpe.weight": ("pos_emb.weight",),
    "ln_f.weight": ("final_norm.scale",),
    "ln_f.bias": ("final_norm.shift",),
    "ln_1.weight": ("norm1.scale",),
    "ln_1.bias": ("norm1.shift",),
    "ln_2.weight": ("norm2.scale",),
    "ln_2.bias": ("norm2.shift",),
    "attn.c_attn.weight": ("att.W_query.weight", "att.W_key.weight", "att.W_value.weight"),
    "attn.c_attn.bias": ("att.W_query.bias", "att.W_key.bias", "att.W_value.bias"),
    "attn.c_proj.weight": ("att.out_proj.weight",),
    "attn.c_proj.bias": ("att.out_proj.bias",),
    "mlp.c_fc.weight": ("ff.layers.0.weight",),
    "mlp.c_fc.bias": ("ff.layers.0.bias",),
    "mlp.c_proj.weight": ("ff.layers.2.weight",),
    "mlp.c_proj.bias": ("ff.layers.2.bias",),
}
_EMBEDDINGS, _OUTPUT = "wte.weight", OUTPUT_LAYER
_BOOK_EMBEDDINGS, _BOOK_OUTPUT = "tok_emb.weight", "out_head.weight"


def convert(
    source: Path,
    into: Path,
    *,
    heads: int | None = None,
    vocabulary: Path | None = None,
    dtype: torch.dtype = torch.float32,
    max_shard_bytes: int | None = None,
) -> GPT2Config:
    """Make of `source` a checkpoint in the new folder `into`, which is there whole or not at all; return its shape.

    `heads` and the folder of a `vocabulary` (`merges.txt`) are for a file by itself, which does not tell them: without
    these, heads of 64 in the four known widths, and GPT-2's vocabulary. `dtype` and `max_shard_bytes` as in
    `weights.save`. Raises CheckpointError, UsageError and StorageError.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise judgekit.UsageError("is not empty; a checkpoint needs a folder of its own", path=into)
    if not source.exists():
        raise judgekit.CheckpointError("there is no such file or folder", path=source)
    if source.is_file():
        model, tokenizer = _read_file(source, heads, vocabulary)
    elif heads is None and vocabulary is None:
        model, tokenizer = weights.load(source)
    else:
        option = "--vocabulary" if heads is None else "--heads"
        raise judgekit.UsageError(f"{option} is for a file by itself; a folder says it", path=source)
    target = into.resolve()
    checkpoint.make_folder(target.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as place:
            made = Path(place) / "checkpoint"
            weights.save(made, model, tokenizer, dtype, max_shard_bytes)
            made.replace(target)
    except OSError as error:
        raise judgekit.StorageError(f"cannot be written: {error.strerror}", path=into) from None
    return model.config


def _read_file(path: Path, heads: int | None, vocabulary: Path | None) -> weights.Checkpoint:
    file = weights.open_file(path)
    book = _BOOK_EMBEDDINGS in file.shapes
    config = _infer(file.shapes, book, heads, path)
    embeddings, output = (_BOOK_EMBEDDINGS, _BOOK_OUTPUT) if book else (_EMBEDDINGS, _OUTPUT)
    if file.shapes.get(output) == file.shapes[embeddings]:
        file = _Held(file, (embeddings, output))
        config = replace(config, tied=torch.equal(file.held[embeddings], file.held[output]))
    if vocabulary is None and config.vocabulary != GPT2_VOCABULARY:
        raise judgekit.UsageError(
            f"{config.vocabulary} tokens are not GPT-2's; name the folder of their merges.txt as --vocabulary",
            path=path,
        )
    tokenizer = Tokenizer.gpt2() if vocabulary is None else _vocabulary(vocabulary, config.vocabulary)
    model = weights.build(config, [_Book(file, config) if book else file], _REST)
    return weights.Checkpoint(model, tokenizer)


def _vocabulary(folder: Path, size: int) -> Tokenizer:
    if not any((folder / name).is_file() for name in (checkpoint.MERGES, checkpoint.TOKENIZER)):
        raise judgekit.CheckpointError(f"there is no {checkpoint.MERGES} in it", path=folder)
    return Tokenizer.of_checkpoint(folder, size)


def _infer(shapes: Mapping[str, Shape], book: bool, heads: int | None, path: Path) -> GPT2Config:
    """The sizes that the embeddings' shapes and the blocks' numbers tell, and the heads that they do not."""
    tokens, positions, blocks = (
        (_BOOK_EMBEDDINGS, "pos_emb.weight", r"trf_blocks\.(\d+)\.")
        if book
        else ("wte.weight", "wpe.weight", r"h\.(\d+)\.")
    )
    for name in (tokens, positions):
        if name not in shapes:
            strange = (
                "; its tensors are named neither as the hub's GPT-2 nor as the book's" if name == "wte.weight" else ""
            )
            raise judgekit.CheckpointError(f"the tensor {name} is missing{strange}", path=path)
        if len(shapes[name]) != 2:
            raise judgekit.CheckpointError(f"{name} has the shape {list(shapes[name])}, not two sizes", path=path)
    (vocabulary, width), (context, _) = shapes[tokens], shapes[positions]
    known = heads or {preset.width: preset.heads for preset in PRESETS.values()}.get(width)
    if known is None:
        raise judgekit.UsageError(
            f"the number of heads cannot be known from a width of {width}; give it as --heads", path=path
        )
    layers = len({match[1] for match in map(re.compile(blocks).match, shapes) if match})
    try:
        return GPT2Config(vocabulary, context, width, layers, known)
    except ValueError as error:
        raise judgekit.UsageError(f"{error}" + ("; give another --heads" if heads else ""), path=path) from None


class _Held:
    """A file of which some tensors were taken already, to be looked at."""

    def __init__(self, file: weights.TensorFile, names: Sequence[str]) -> None:
        self.path, self.shapes, self._file = file.path, file.shapes, file
        self.held = {name: weights.checked(file.take(name), name, file.path) for name in names}

    def take(self, name: str) -> Tensor:
        return self.held.pop(name) if name in self.held else self._file.take(name)


class _Book:
    """A file with the book's names, seen as one with the hub's."""

    def __init__(self, file: weights.TensorFile, config: GPT2Config) -> None:
        self.path, self._file = file.path, file
        self.shapes: Mapping[str, Shape] = tensor_shapes(config)
        # A model without biases on queries, keys and values, which the book has too, is one in which they are 0.
        self._plain = not any(re.search(r"\.att\.W_\w+\.bias$", name) for name in file.shapes)
        expected: dict[str, Shape] = {}
        for name, shape in self.shapes.items():
            parts = self._parts(name)
            turned = shape[::-1] if _is_matrix_of_block(name, shape) else shape  # [out, in]
            expected |= {part: (turned[0] // len(parts), *turned[1:]) for part in parts}
        output = {_BOOK_OUTPUT: self.shapes["wte.weight"]}
        checkpoint.compare(expected, {file.path: file.shapes}, _REST, optional=output)

    def _parts(self, name: str) -> tuple[str, ...]:
        """The book's tensors that make up one of the hub's."""
        if self._plain and name.endswith("attn.c_attn.bias"):
            return ()
        match = re.fullmatch(r"h\.(\d+)\.(.+)", name)
        return tuple(f"trf_blocks.{match[1]}.{part}" for part in _BOOK[match[2]]) if match else _BOOK[name]

    def take(self, name: str) -> Tensor:
        shape = self.shapes[name]
        parts = [self._take(part) for part in self._parts(name)]
        if not parts:
            return torch.zeros(shape)
        tensor = torch.cat(parts) if len(parts) > 1 else parts[0]
        return tensor.t() if _is_matrix_of_block(name, shape) else tensor

    def _take(self, part: str) -> Tensor:
        return weights.checked(self._file.take(part), part, self.path)


def _is_matrix_of_block(name: str, shape: Shape) -> bool:
    return name.startswith("h.") and len(shape) == 2
