"""The command `judgekit gpt2 convert`: weights from elsewhere become a checkpoint in the hub's layout.

Read are a folder of the hub, a file of its tensors alone, and a file as in "Build a Large Language Model (From
Scratch)", whose model has other names, Linear's orientation, queries, keys and values apart, and an output layer of
its own: one that was trained stays apart, one that is still the token embeddings is tied to them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

import judgekit
from judgekit_gpt2 import checkpoint, weights
from judgekit_gpt2.checkpoint import Shape
from judgekit_gpt2.config import GPT2_VOCABULARY, OUTPUT_LAYER, PRESETS, GPT2Config, tensor_shapes
from judgekit_gpt2.model import GPT2
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
# Embeddings of tokens and of positions, output layer, and what numbers a block: in a file of the book, and of the hub.
_BOOK_NAMES = ("tok_emb.weight", "pos_emb.weight", "out_head.weight", r"trf_blocks\.(\d+)\.")
_HUB_NAMES = ("wte.weight", "wpe.weight", OUTPUT_LAYER, r"h\.(\d+)\.")


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
    with (
        checkpoint.os_errors(into, "written"),
        tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as place,
    ):
        made = Path(place) / "checkpoint"
        weights.save(made, model, tokenizer, dtype, max_shard_bytes)
        made.replace(target)
    return model.config


def _read_file(path: Path, heads: int | None, vocabulary: Path | None) -> weights.Checkpoint:
    file = weights.open_file(path)
    book = _BOOK_NAMES[0] in file.shapes
    config = _infer(file.shapes, book, heads, path)
    if vocabulary is None and config.vocabulary != GPT2_VOCABULARY:
        advice = "name the folder of their merges.txt as --vocabulary"
        raise judgekit.UsageError(f"{config.vocabulary} tokens are not GPT-2's; {advice}", path=path)
    if vocabulary and not any((vocabulary / name).is_file() for name in (checkpoint.MERGES, checkpoint.TOKENIZER)):
        raise judgekit.CheckpointError(f"there is no {checkpoint.MERGES} in it", path=vocabulary)
    tokenizer = Tokenizer.of_checkpoint(vocabulary, config.vocabulary) if vocabulary else Tokenizer.gpt2()
    model = weights.build(config, [_Book(file, config) if book else file], _REST)
    if model.output is not None and torch.equal(model.output.weight, model.tokens.weight):  # as it was, untrained
        tensors = {name: tensor for name, tensor in model.state_dict().items() if name != "output.weight"}
        model = GPT2.holding(replace(config, tied=True), tensors).eval()
    return weights.Checkpoint(model, tokenizer)


def _infer(shapes: Mapping[str, Shape], book: bool, heads: int | None, path: Path) -> GPT2Config:
    """The sizes that the embeddings' shapes and the blocks' numbers tell, and the heads that they do not. An output
    layer with a row for each token is taken to be one of its own."""
    tokens, positions, output, blocks = _BOOK_NAMES if book else _HUB_NAMES
    for name in (tokens, positions):
        if name not in shapes:
            strange = "; its tensors are named neither as the hub's GPT-2 nor as the book's"
            missing = f"the tensor {name} is missing{strange if name == 'wte.weight' else ''}"
            raise judgekit.CheckpointError(missing, path=path)
        if len(shapes[name]) != 2:
            raise judgekit.CheckpointError(f"{name} has the shape {list(shapes[name])}, not two sizes", path=path)
    (vocabulary, width), (context, _) = shapes[tokens], shapes[positions]
    known = heads or {preset.width: preset.heads for preset in PRESETS.values()}.get(width)
    if known is None:
        unknown = f"the number of heads cannot be known from a width of {width}; give it as --heads"
        raise judgekit.UsageError(unknown, path=path)
    layers = len({match[1] for match in map(re.compile(blocks).match, shapes) if match})
    try:
        return GPT2Config(vocabulary, context, width, layers, known, tied=shapes.get(output) != shapes[tokens])
    except ValueError as error:
        raise judgekit.UsageError(f"{error}" + ("; give another --heads" if heads else ""), path=path) from None


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
            turned = shape[::-1] if name.startswith("h.") else shape  # [out, in]
            expected |= {part: (turned[0] // len(parts), *turned[1:]) for part in parts}
        output = {_BOOK_NAMES[2]: self.shapes["wte.weight"]}
        checkpoint.compare(expected, {file.path: file.shapes}, _REST, optional=output)

    def _parts(self, name: str) -> tuple[str, ...]:
        """The book's tensors that make up one of the hub's."""
        if self._plain and name.endswith("attn.c_attn.bias"):
            return ()
        match = re.fullmatch(r"h\.(\d+)\.(.+)", name)
        return tuple(f"trf_blocks.{match[1]}.{part}" for part in _BOOK[match[2]]) if match else _BOOK[name]

    def take(self, name: str) -> Tensor:
        parts = [weights.checked(self._file.take(part), part, self.path) for part in self._parts(name)]
        return weights.turned(name, torch.cat(parts)) if parts else torch.zeros(self.shapes[name])
