"""The command `judgekit gpt2 convert`: weights from elsewhere become a checkpoint in the hub's layout.

Read are a folder of the hub, a file of its tensors alone, nanoGPT's `ckpt.pt`, and a file as in "Build a Large
Language Model (From Scratch)", whose model has other names, Linear's orientation, queries, keys and values apart, and
an output layer of its own: one that was trained stays apart, one that is still the token embeddings is tied to them.
Such a file is written, too, where the target ends in .pth.
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
import judgekit.data
from judgekit_gpt2 import checkpoint, weights
from judgekit_gpt2.checkpoint import Shape
from judgekit_gpt2.config import GPT2_VOCABULARY, OUTPUT_LAYER, PRESETS, GPT2Config, tensor_shapes
from judgekit_gpt2.model import GPT2
from judgekit_gpt2.tokens import END_OF_TEXT, Tokenizer, is_padded

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


_EMBEDDINGS = {"wte.weight", OUTPUT_LAYER, _BOOK_NAMES[0], _BOOK_NAMES[2]}
_ADDED = "added_tokens.json"
BOOK_FILES = (".pth", ".pt")


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
    An `into` that ends in .pth is a file as the book's.

    `heads` and the folder of a `vocabulary` (`merges.txt`) are for a file by itself, which does not tell them: without
    these, heads of 64 in the four known widths, and GPT-2's vocabulary. `dtype` and `max_shard_bytes` as in
    `weights.save`. Raises CheckpointError, UsageError and StorageError.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise judgekit.UsageError("is not empty; a checkpoint needs a folder of its own", path=into)
    if not source.exists():
        raise judgekit.CheckpointError("there is no such file or folder", path=source)
    if into.suffix == ".gguf":
        advice = "llama.cpp's convert_hf_to_gguf.py makes one of a checkpoint's folder, whose layout it reads"
        raise judgekit.UsageError(f"GGUF is not written here; {advice}", path=into)
    if source.is_file():
        model, tokenizer = _read_file(source, heads, vocabulary)
    elif heads is None and vocabulary is None:
        model, tokenizer = _read_folder(source)
    else:
        option = "--vocabulary" if heads is None else "--heads"
        raise judgekit.UsageError(f"{option} is for a file by itself; a folder says it", path=source)
    if into.suffix in BOOK_FILES:
        _write_book(into, model, dtype)
        return model.config
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


def _read_folder(folder: Path) -> weights.Checkpoint:
    """A folder of the hub, without the embeddings beyond its tokens."""
    config, files = checkpoint.read_config(folder), checkpoint.weight_files(folder)
    tokenizer = Tokenizer.of_checkpoint(folder, config.vocabulary, padded=True)
    if tokenizer.size == config.vocabulary:
        return weights.load(folder)
    if added := [token for token in _added(folder) if "pad" not in token.lower()]:
        what = f"has tokens of its own beside GPT-2's, which cannot be kept: {', '.join(map(repr, added[:5]))}"
        raise judgekit.CheckpointError(what, path=folder)
    cut = _say_cut(config, tokenizer, folder)
    return weights.Checkpoint(weights.build(cut, [_Cut(weights.open_file(file), cut) for file in files]), tokenizer)


def _added(folder: Path) -> list[str]:
    """The tokens that were added to a vocabulary."""
    added = [*checkpoint.read_json(folder / _ADDED)] if (folder / _ADDED).is_file() else []
    if (folder / checkpoint.TOKENIZER).is_file():
        listed = checkpoint.read_json(folder / checkpoint.TOKENIZER).get("added_tokens") or []
        added += [str(one.get("content")) for one in listed if isinstance(one, dict)]
    return [token for token in dict.fromkeys(added) if token != END_OF_TEXT]


def _say_cut(config: GPT2Config, tokenizer: Tokenizer, path: Path) -> GPT2Config:
    """The shape without the embeddings that pad the vocabulary."""
    rows = judgekit.counted(config.vocabulary - tokenizer.size, "embedding")
    judgekit.data.tell_once(f"{path.name}: {rows} beyond the {tokenizer.size:,} tokens cut, which no text is made of")
    return replace(config, vocabulary=tokenizer.size)


def _read_file(path: Path, heads: int | None, vocabulary: Path | None) -> weights.Checkpoint:
    file = weights.open_file(path)
    book = _BOOK_NAMES[0] in file.shapes
    config = _infer(file.shapes, book, heads or getattr(file, "heads", None), path)
    padded = is_padded(config.vocabulary, GPT2_VOCABULARY)
    if vocabulary is None and config.vocabulary != GPT2_VOCABULARY and not padded:
        advice = "name the folder of their merges.txt as --vocabulary"
        raise judgekit.UsageError(f"{config.vocabulary} tokens are not GPT-2's; {advice}", path=path)
    if vocabulary and not any((vocabulary / name).is_file() for name in (checkpoint.MERGES, checkpoint.TOKENIZER)):
        raise judgekit.CheckpointError(f"there is no {checkpoint.MERGES} in it", path=vocabulary)
    tokenizer = Tokenizer.of_checkpoint(vocabulary, config.vocabulary, padded=True) if vocabulary else Tokenizer.gpt2()
    if tokenizer.size < config.vocabulary:
        config = _say_cut(config, tokenizer, path)
        file = _Cut(file, config)
    if not book and _is_linear(file.shapes, config.width):
        file = _Linear(file, config)
        judgekit.data.tell_once(
            f"{path.name}: taken for nanoGPT's, whose GELU is exact where GPT-2's is approximated by tanh: logits "
            "differ by about a thousandth"
        )
    model = weights.build(config, [_Book(file, config) if book else file], _REST)
    if model.output is not None and torch.equal(model.output.weight, model.tokens.weight):  # as it was, untrained
        tensors = {name: tensor for name, tensor in model.state_dict().items() if name != "output.weight"}
        model = GPT2.holding(replace(config, tied=True), tensors).eval()
    return weights.Checkpoint(model, tokenizer)


def _is_linear(shapes: Mapping[str, Shape], width: int) -> bool:
    """Whether a file by the hub's names has its matrices as Linear keeps them, [out, in], as nanoGPT has."""
    return shapes.get("h.0.attn.c_attn.weight") == (3 * width, width)


def _write_book(path: Path, model: GPT2, dtype: torch.dtype) -> None:
    """A state dict for the book's GPTModel with `qkv_bias`: its names, and its causal masks. Raises StorageError."""
    tensors = {weights.hub_name(name): tensor.detach() for name, tensor in model.state_dict().items()}
    tensors.setdefault(OUTPUT_LAYER, tensors["wte.weight"])
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        parts = _parts(name)
        state |= {part: one.to(dtype).clone() for part, one in zip(parts, tensor.chunk(len(parts)), strict=True)}
    mask = torch.ones(model.config.context, model.config.context).triu(1)
    state |= {f"trf_blocks.{layer}.att.mask": mask for layer in range(model.config.layers)}
    with checkpoint.writing(path) as temporary:
        torch.save(state, temporary)


def _parts(name: str) -> tuple[str, ...]:
    """The book's tensors that make up one of the hub's."""
    match = re.fullmatch(r"h\.(\d+)\.(.+)", name)
    return tuple(f"trf_blocks.{match[1]}.{part}" for part in _BOOK[match[2]]) if match else _BOOK[name]


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


class _Cut:
    """A file without the embeddings beyond a vocabulary."""

    def __init__(self, file: weights.TensorFile, config: GPT2Config) -> None:
        self.path, self._file, self._rows = file.path, file, config.vocabulary
        self.shapes: Mapping[str, Shape] = {
            name: (min(shape[0], self._rows), *shape[1:]) if name in _EMBEDDINGS else shape
            for name, shape in file.shapes.items()
        }

    def take(self, name: str) -> Tensor:
        tensor = self._file.take(name)
        return tensor[: self._rows].contiguous() if name in _EMBEDDINGS else tensor


class _Linear:
    """A file by the hub's names with Linear's orientation, seen as one with Conv1D's. A model without biases is one in
    which they are 0."""

    def __init__(self, file: weights.TensorFile, config: GPT2Config) -> None:
        self.path, self._file = file.path, file
        there = {
            name: shape[::-1] if name.startswith("h.") and len(shape) == 2 else shape
            for name, shape in file.shapes.items()
        }
        plain = not any(name.endswith(".bias") for name in there)
        zeros = {name: shape for name, shape in tensor_shapes(config).items() if plain and name.endswith(".bias")}
        self.shapes: Mapping[str, Shape] = there | zeros

    def take(self, name: str) -> Tensor:
        if name not in self._file.shapes:
            return torch.zeros(self.shapes[name])
        tensor = self._file.take(name)
        return tensor.t() if name.startswith("h.") and tensor.ndim == 2 else tensor


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
        return () if self._plain and name.endswith("attn.c_attn.bias") else _parts(name)

    def take(self, name: str) -> Tensor:
        parts = [weights.checked(self._file.take(part), part, self.path) for part in self._parts(name)]
        return weights.turned(name, torch.cat(parts)) if parts else torch.zeros(self.shapes[name])
