"""The processes that train together: those that `torchrun` started, or this one alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import judgekit.data
from judgekit_gpt2.model import TransformerBlock

Sharding = Literal["none", "full"]
_IN_ORDER = "gloo_in_order"


@dataclass(frozen=True)
class Team:
    """`rank` of `size` processes, and the device that this one computes on."""

    rank: int
    size: int
    device: torch.device

    def prepare(self, objective: nn.Module, sharding: Sharding) -> nn.Module:
        """The objective as the team computes it: gradients averaged (DDP), or weights shared out too (FSDP)."""
        objective.to(self.device)
        if self.size == 1:
            return objective
        if sharding == "none":
            return DistributedDataParallel(objective)
        for block in objective.modules():
            if isinstance(block, TransformerBlock):
                fully_shard(block)
        fully_shard(objective)
        return objective

    def total(self, value: float) -> float:
        """The sum of a value over the team, the same in every process."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.item()


def accumulating(trainee: nn.Module) -> AbstractContextManager[object]:
    """While this lasts, DDP's gradients stay where they are; FSDP reduces each time, since it has no room for all."""
    return trainee.no_sync() if isinstance(trainee, DistributedDataParallel) else nullcontext()


@contextmanager
def team(device: Literal["auto", "cpu", "cuda"]) -> Iterator[Team]:
    """The team that torchrun's variables in the environment describe; it parts at the end.

    Raises UsageError for a GPU where there is none.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    cuda = judgekit.data.uses_cuda(device)
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if size == 1:
        yield Team(0, 1, place)
        return
    dist.init_process_group("nccl" if cuda else _gloo())
    try:
        yield Team(rank, size, place)
        dist.barrier()  # part together
    finally:
        dist.destroy_process_group()


def _gloo() -> str:
    """Gloo with one thread instead of two: the name of a backend that torch knows from now on.

    A thread of gloo's that still holds a tensor of the last exchange while the interpreter ends aborts the process, and
    FSDP's caches keep those threads beyond the group's end. One thread works in order: when the barrier at the end is
    through, it has let go of everything before.
    """
    if not hasattr(dist.Backend, _IN_ORDER.upper()):
        dist.Backend.register_backend(_IN_ORDER, _start_gloo, devices=["cpu"])
    return _IN_ORDER


def _start_gloo(store: Any, rank: int, size: int, timeout: timedelta) -> dist.ProcessGroupGloo:
    options = dist.ProcessGroupGloo._Options()  # type: ignore[attr-defined]
    options._devices = [dist.ProcessGroupGloo.create_default_device()]
    options._threads, options._timeout = 1, timeout
    return dist.ProcessGroupGloo(store, rank, size, options)
