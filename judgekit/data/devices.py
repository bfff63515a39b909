"""The device that a trainer computes on, and its precision. PyTorch is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from judgekit.errors import UsageError

if TYPE_CHECKING:
    import torch


def uses_cuda(wanted: Literal["auto", "cpu", "cuda"]) -> bool:
    """Whether to train on a GPU. Raises UsageError for one that is not there."""
    import torch

    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UsageError("'device: cuda', but torch sees no GPU here")
    return wanted != "cpu" and available


def gains_from_bfloat16(device: torch.device) -> bool:
    """Whether torch has instructions for matrix products in bfloat16; without them it is slower than float32.

    Held to fewer than the processor has (ATEN_CPU_CAPABILITY), torch's attention refuses bfloat16.
    """
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if not hasattr(torch.cpu, "get_capabilities") or held_below_avx512():
        return False  # an older torch cannot tell
    known = torch.cpu.get_capabilities()
    return bool(known.get("amx_bf16") or known.get("avx512_bf16"))


def held_below_avx512() -> bool:
    """Whether torch computes with AVX2 or less, by the processor or by ATEN_CPU_CAPABILITY."""
    import torch

    return torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")
