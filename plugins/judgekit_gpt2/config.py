"""The shape of a GPT-2, and its tensors in the layout of the Hugging Face hub. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

GPT2_VOCABULARY = 50257
OUTPUT_LAYER = "lm_head.weight"  # of its own, or tied to wte.weight; some files keep it though it is tied


@dataclass(frozen=True)
class GPT2Config:
    """Sizes of a GPT-2 (Radford et al., 2019); the defaults are those of the smallest, 124M.

    `context` is the longest sequence in tokens, `width` the size of a token's vector, `dropout` the probability
    used in training on embeddings, attention weights and the outputs of both sublayers. `tied`: the output layer is
    the token embeddings, as in the paper; otherwise it is a matrix of its own, as in models that the book trains.
    """

    vocabulary: int = GPT2_VOCABULARY
    context: int = 1024
    width: int = 768
    layers: int = 12
    heads: int = 12
    dropout: float = 0.1
    tied: bool = True

    def __post_init__(self) -> None:
        for name in ("vocabulary", "context", "width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} should be at least 1, not {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by {self.heads} heads")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout should be in [0, 1), not {self.dropout}")

    @property
    def parameters(self) -> int:
        """The number of weights; an output layer that shares the token embeddings counts once."""
        return sum(map(math.prod, tensor_shapes(self).values()))


PRESETS: dict[str, GPT2Config] = {
    "gpt2": GPT2Config(),
    "gpt2-medium": GPT2Config(width=1024, layers=24, heads=16),
    "gpt2-large": GPT2Config(width=1280, layers=36, heads=20),
    "gpt2-xl": GPT2Config(width=1600, layers=48, heads=25),
}


def tensor_shapes(config: GPT2Config) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a checkpoint. Matrices of the blocks are [in, out], as Conv1D keeps them."""
    width = config.width
    shapes: dict[str, tuple[int, ...]] = {
        "wte.weight": (config.vocabulary, width),
        "wpe.weight": (config.context, width),
    }
    for layer in range(config.layers):
        block = f"h.{layer}"
        for norm in ("ln_1", "ln_2"):
            shapes[f"{block}.{norm}.weight"] = shapes[f"{block}.{norm}.bias"] = (width,)
        for name, inner, outer in (
            ("attn.c_attn", width, 3 * width),
            ("attn.c_proj", width, width),
            ("mlp.c_fc", width, 4 * width),
            ("mlp.c_proj", 4 * width, width),
        ):
            shapes[f"{block}.{name}.weight"] = (inner, outer)
            shapes[f"{block}.{name}.bias"] = (outer,)
    shapes["ln_f.weight"] = shapes["ln_f.bias"] = (width,)
    return shapes if config.tied else shapes | {OUTPUT_LAYER: shapes["wte.weight"]}


def to_hub(config: GPT2Config, end_of_text: int) -> dict[str, Any]:
    """The content of the hub's `config.json`."""
    return {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": config.dropout,
        "bos_token_id": end_of_text,
        "embd_pdrop": config.dropout,
        "eos_token_id": end_of_text,
        "layer_norm_epsilon": 1e-5,
        "model_type": "gpt2",
        "n_embd": config.width,
        "n_head": config.heads,
        "n_layer": config.layers,
        "n_positions": config.context,
        "resid_pdrop": config.dropout,
        "tie_word_embeddings": config.tied,
        "vocab_size": config.vocabulary,
    }


# What GPT-2 fixes: a config.json that says otherwise describes another architecture, and the names under which
# it may say so.
_FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True, False),
}
_SIZES = {
    "vocabulary": "vocab_size",
    "context": "n_positions",
    "width": "n_embd",
    "layers": "n_layer",
    "heads": "n_head",
}


def from_hub(values: dict[str, Any]) -> GPT2Config:
    """The shape that a hub `config.json` describes. Raises ValueError naming the key that does not fit."""
    for key, allowed in _FIXED.items():
        if values.get(key, allowed[0]) not in allowed:
            raise ValueError(f"{key} is {values[key]!r}, which is not GPT-2's {allowed[0]!r}")
    sizes = {}
    for name, key in _SIZES.items():
        size = values.get(key)
        if not isinstance(size, int) or isinstance(size, bool):
            raise ValueError(f"{key} should be a whole number, not {size!r}")
        sizes[name] = size
    if values.get("n_inner") not in (None, 4 * sizes["width"]):
        raise ValueError(f"n_inner is {values['n_inner']!r}, which is not GPT-2's 4 × n_embd")
    dropout = values.get("resid_pdrop", 0.1)
    if not isinstance(dropout, int | float):
        raise ValueError(f"resid_pdrop should be a number, not {dropout!r}")
    return GPT2Config(**sizes, dropout=float(dropout), tied=values.get("tie_word_embeddings", True))
