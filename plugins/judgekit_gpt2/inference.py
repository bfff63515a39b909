"""A model made ready for inference: its matrices in the form that is multiplied fastest, whole or as int8.

What it answers does not depend on the batch: on a CPU with oneDNN (any x86-64 build of torch) each row of a product
is summed in the same order whatever the other rows are, and `cache.py` does the rest. `independent` looks whether
that is so here, to the last bit, and `margin` says what to do where it is not.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from judgekit_gpt2.cache import KVCache
from judgekit_gpt2.generation import LOGIT_MARGIN
from judgekit_gpt2.model import GPT2, TransformerBlock, left_pad

LOW_PRECISION_MARGIN = 0.5  # as LOGIT_MARGIN, for bfloat16 and int8


def prepare(
    model: GPT2,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    quantise: Literal["int8"] | None = None,
    compiled: bool = False,
) -> GPT2:
    """Make a model (float32, on the CPU) ready in place: afterwards it cannot be trained or saved.

    Activations, norms and embeddings are of `dtype`; `quantise` keeps every matrix as int8 (see `Int8Linear`).
    `compiled` leaves the matrices in an order that torch's compiler can read (see `compiled.py`).
    """
    output = model.output_weight.detach()
    if quantise or dtype != torch.float32:
        # A softmax does not see what is added to all logits. In GPT-2 that is large: without it, bfloat16 has room
        # for the differences.
        output = output - output.mean(0)
    model.requires_grad_(False)

    def ready(weight: Tensor, bias: Tensor | None) -> nn.Module:
        if quantise:
            return Int8Linear(weight, bias)
        weight, bias = weight.to(device, dtype), bias if bias is None else bias.to(device, dtype)
        return PackedLinear(weight, bias) if _has_onednn(weight) and not compiled else PlainLinear(weight, bias)

    for block in model.blocks:
        assert isinstance(block, TransformerBlock)
        for parent in (block.attention, block.mlp):
            for name, layer in parent.named_children():
                assert isinstance(layer, nn.Linear), f"{name} is {type(layer).__name__}: merge adapters first"
                setattr(parent, name, ready(layer.weight, layer.bias))
    model.head, model.output = ready(output, None), None
    return model.to(device, dtype).eval()


def _has_onednn(weight: Tensor) -> bool:
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return weight.dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class PlainLinear(nn.Module):
    """y = x Wᵀ + b, with a weight [out, in] that may be a view of the embeddings."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            y = _one_row(x, self.weight).to(x.dtype)
            return y if self.bias is None else y + self.bias
        return F.linear(x, self.weight, self.bias)


class PackedLinear(nn.Module):
    """The same with the weight in oneDNN's own order: about twice as fast as torch's product in float32 and for
    single rows in bfloat16, because nothing is reordered at each call. It is what torch's compiler emits, too."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        alone = x.numel() == x.shape[-1]
        if alone:  # a single row has a kernel of its own, which sums in another order
            x = torch.stack([x, x])
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return y[0] if alone else y


class Int8Linear(nn.Module):
    """The same with a weight of int8, one scale for each output: w ≈ scale · q, where q is from -127 to 127.

    A CPU with instructions for products of bytes multiplies it by activations of two bytes (see `_by_bytes`), in
    exact sums of whole numbers. Elsewhere the weight is converted at each call.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        # The scale is rounded to bfloat16 before it is used, so that its rounding costs nothing.
        scale = (weight.detach().abs().amax(1).clamp(min=1e-12) / 127).bfloat16()  # [out]
        q = (weight.detach() / scale.float()[:, None]).round().clamp(-127, 127)
        self.register_buffer("weight", q.to(torch.int8))  # [out, in]
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            y = _one_row(x, self.weight) * self.scale
        elif x.is_cpu and multiplies_bytes():
            y = _by_bytes(x.reshape(-1, x.shape[-1]).float(), self.weight).mul_(self.scale).view(*x.shape[:-1], -1)
        else:
            y = F.linear(x, self.weight.to(x.dtype)) * self.scale
        y = y.to(x.dtype)
        return y if self.bias is None else y.add_(self.bias)


@cache
def multiplies_bytes() -> bool:
    """Whether the CPU has fast and exact products of bytes, summed in 32 bits.

    AVX-512 VNNI and its successors have; what came before adds pairs of products in 16 bits, which overflow.
    """
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.cpu, "get_capabilities"):  # type: ignore[no-untyped-call]
        return False
    known = torch.cpu.get_capabilities()
    if not any(known.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8")):
        return False
    most = torch.full((2, 64), 127, dtype=torch.int8)
    return bool((torch._int_mm(most, most.T) == 64 * 127**2).all())


def _by_bytes(x: Tensor, weight: Tensor) -> Tensor:
    """x qᵀ for float32 rows [N, in] and int8 weights [out, in]."""
    rows = len(x)
    step = x.abs().amax(1, keepdim=True).clamp_(min=1e-30).div_(_LARGEST)
    whole = (x / step).round_()
    high = (whole / 128).round_()  # from -127 to 127
    halves = x.new_empty(2 * rows, x.shape[1], dtype=torch.int8)
    halves[:rows] = high
    halves[rows:] = whole.sub_(high, alpha=128)  # from -64 to 64
    sums = torch._int_mm(halves, weight.T)  # [2 N, out]
    return sums[:rows].float().mul_(128).add_(sums[rows:]).mul_(step)


_LARGEST = 127 * 128 + 63  # of the whole numbers that two bytes, each times an int8, stand for


def _one_row(x: Tensor, weight: Tensor) -> Tensor:
    """x Wᵀ in float32 for a single row [..., in], written as sums: compiled, they are a loop that reads every weight
    once, at the speed of the memory, and converts it on the way.

    It reads from several places at once, since a processor fetches nothing ahead beyond the page that it reads. A
    stride that is given keeps what makes x out of the loop.
    """
    x = torch.as_strided(x, (x.shape[-1],), (1,)).float()
    parts = torch.split(weight, max(1, len(weight) // _PLACES))  # the last one may have up to three rows
    return torch.cat([(x * part.float()).sum(-1) for part in parts]).view(1, 1, -1)


_PLACES = 4


@torch.inference_mode()
def independent(model: GPT2) -> bool:
    """Whether the results for a sequence are the same, to the last bit, alone and in a batch.

    Tried with the first block and the output layer, on sequences of several lengths, read and then continued.
    """
    with torch.device("meta"):
        shallow = GPT2(replace(model.config, layers=1, tied=True))
    shallow.tokens, shallow.positions, shallow.blocks[0] = model.tokens, model.positions, model.blocks[0]
    shallow.norm, shallow.head = model.norm, model.head
    shallow.eval()
    generator = torch.Generator().manual_seed(0)
    longest = min(45, model.config.context - 1)
    lengths = [min(length, longest) for length in (45, 1, 7, 33, 20, 2, 45, 3, 16)]
    sequences = [torch.randint(model.config.vocabulary, (n,), generator=generator).tolist() for n in lengths]
    together = _read_and_continue(shallow, sequences)
    return all(
        torch.equal(_read_and_continue(shallow, sequences[row : row + 1])[0], together[row])
        for row in range(len(sequences))
    )


def _read_and_continue(model: GPT2, sequences: list[list[int]]) -> Tensor:
    """Logits [B, 2, V] after each sequence, and after one more token."""
    device = model.tokens.weight.device
    lengths = torch.tensor([[len(sequence)] for sequence in sequences], device=device)
    cache = KVCache.empty(model.config, len(sequences), int(lengths.max()) + 1, model.tokens.weight)
    ids, positions = left_pad(sequences, columns=2)
    last = model(ids.to(device), positions.to(device), cache)[:, -1]
    after = model(torch.zeros_like(lengths), lengths, cache)[:, -1]
    return torch.stack([model.logits(last), model.logits(after)], 1)


def margin(model: GPT2) -> float:
    """The lead in logits from which on a choice is the same in every batch (see `generation`): none is needed where
    sequences are independent."""
    if independent(model):
        return 0.0
    whole = model.tokens.weight.dtype == torch.float32 and not isinstance(model.head, Int8Linear)
    return LOGIT_MARGIN if whole else LOW_PRECISION_MARGIN
