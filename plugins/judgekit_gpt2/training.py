"""The training loop: AdamW, warm-up and cosine, clipping, and a loss over the targets that count."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

import judgekit
from judgekit_gpt2.data import IGNORED, Batch
from judgekit_gpt2.model import GPT2

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Recipe:
    """How to train. `lr` is the peak learning rate, reached after `warmup` steps; it then falls to 0 by a cosine,
    or stays where it is. `weight_decay` acts on matrices only, `clip` is the largest norm of the gradient."""

    steps: int
    lr: float
    warmup: int
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = 0.1
    clip: float = 1.0
    evaluate_every: int = 50
    seed: int = 0

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step; steps count from 1."""
        if step <= self.warmup:
            return self.lr * step / self.warmup
        if self.schedule == "constant":
            return self.lr
        done = (step - self.warmup) / max(self.steps - self.warmup + 1, 1)
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))


def batch_loss(model: GPT2, batch: Batch) -> Tensor:
    """Mean cross-entropy, in nats, over the targets that are not IGNORED; no other logits are computed."""
    targets = batch.targets.flatten()
    counted = (targets != IGNORED).nonzero().squeeze(1)
    hidden = model(batch.inputs).flatten(0, 1)
    if len(counted) < len(targets):
        hidden, targets = hidden.index_select(0, counted), targets.index_select(0, counted)
    return F.cross_entropy(model.logits(hidden), targets)


@torch.inference_mode()
def mean_loss(model: GPT2, batches: Sequence[Batch]) -> float:
    """Mean cross-entropy a target over all batches, without dropout."""
    model.eval()
    total, count = 0.0, 0
    for batch in batches:
        targets = int((batch.targets != IGNORED).sum())
        total += float(batch_loss(model, batch)) * targets
        count += targets
    model.train()
    return total / count


def fit(
    model: GPT2,
    recipe: Recipe,
    epoch: Callable[[torch.Generator], Sequence[Batch]],
    validation: Sequence[Batch],
    progress: Progress,
) -> Iterator[judgekit.CurvePoint]:
    """Train in place; yields the loss curve as it comes: the training loss since the last point, then the
    validation loss, every `evaluate_every` steps and at the end, in nats a token.

    `epoch` makes the batches of one pass from a generator. The same seed, data, build of torch and number of threads
    give the same weights. Raises UsageError when the loss is not finite.
    """
    order = torch.Generator().manual_seed(recipe.seed)
    optimiser = _optimiser(model, recipe)
    since: list[float] = []
    if validation:
        yield _validate(model, validation, 0)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)  # dropout
        for step, batch in enumerate(_forever(epoch, order, recipe.steps), start=1):
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate(step)
            loss = batch_loss(model, batch)
            since.append(_finite(loss.item(), f"step {step}, {_describe(batch)}"))
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            progress(step, recipe.steps, f"loss {since[-1]:.3f}")
            if step % recipe.evaluate_every == 0 or step == recipe.steps:
                yield judgekit.CurvePoint(step=step, split="train", loss=math.fsum(since) / len(since))
                since = []
                if validation:
                    yield _validate(model, validation, step)
    model.eval()


def _forever(
    epoch: Callable[[torch.Generator], Sequence[Batch]], order: torch.Generator, steps: int
) -> Iterator[Batch]:
    """`steps` batches, one pass over the data after another."""
    while steps > 0:
        batches = epoch(order)[:steps]
        steps -= len(batches)
        yield from batches


def _optimiser(model: GPT2, recipe: Recipe) -> torch.optim.AdamW:
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.95), fused=True)


def _validate(model: GPT2, batches: Sequence[Batch], step: int) -> judgekit.CurvePoint:
    loss = _finite(mean_loss(model, batches), f"step {step}, validation")
    return judgekit.CurvePoint(step=step, split="validation", loss=loss)


def _describe(batch: Batch) -> str:
    rows = f" ({', '.join(batch.names)})" if any(batch.names) else ""
    return f"batch {list(batch.inputs.shape)}{rows}"


def _finite(loss: float, where: str) -> float:
    if not math.isfinite(loss):
        raise judgekit.UsageError(
            f"the loss became {loss} at {where}; if the data is sound, "
            "a lower learning rate or a longer warm-up mends it"
        )
    return loss
