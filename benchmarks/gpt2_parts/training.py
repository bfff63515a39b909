"""Tokens a second in training: the 124M model, a step of 8 × 128 tokens, beside the book's model and transformers'.

The rivals take the book's step (its model and AdamW) and the usual one with transformers (autocast, fused AdamW); ours
is a step of the trainer itself. Utilisation (MFU) is against the machine's own matrix product, measured in this run.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import judgekit
import judgekit.data
from gpt2_parts.table import Figure, Missing, copy_of, if_installed, in_turns, pair, ratios
from judgekit_gpt2.config import GPT2Config
from judgekit_gpt2.data import IGNORED, Batch
from judgekit_gpt2.distributed import Team
from judgekit_gpt2.tokens import Tokenizer
from judgekit_gpt2.training import Fitting, NextToken, Precision, Recipe, Task

ROWS, TOKENS, RESPONSE = 8, 128, 16  # the last 16 targets of a row are its response
AIMS = {"all targets": 2.1, "response only": 2.3}
OVER_TRANSFORMERS = 1.05
SIZE = 2048  # of the square matrices whose product is the machine's ceiling


def figures(config: GPT2Config, rounds: int) -> Iterator[Figure]:
    book = if_installed(lambda: _book(config))
    _, theirs = pair(config)
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(0, config.vocabulary, (ROWS, TOKENS + 1), generator=generator)
    whole = Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
    masked = whole.targets.clone()
    masked[:, :-RESPONSE] = IGNORED
    response = Batch(whole.inputs, masked)
    with tempfile.TemporaryDirectory() as folder:

        def ours(precision: Precision, compiled: bool) -> Callable[[Batch], int]:
            return _ours(copy_of(theirs, config), precision, compiled, Path(folder), [whole])

        full, low, best = ours("float32", False), ours("bfloat16", False), ours("bfloat16", True)
        works: dict[str, Callable[[], int]] = {
            "transformers, float32": _theirs(theirs, whole, low=False),
            "transformers, bfloat16": _theirs(theirs, whole, low=True),
            "float32": lambda: full(whole),
            "bfloat16": lambda: low(whole),
            "bfloat16, compiled": lambda: best(whole),
            "bfloat16, compiled, response only": lambda: best(response),
        }
        if book:
            works["the book's"] = lambda: book(whole)
        rates = in_turns(works, rounds)
    for name, values in rates.items():
        yield Figure(name, values, "tokens/s")
    compiled, responses = rates["bfloat16, compiled"], rates["bfloat16, compiled, response only"]
    if book:
        for name, values in (("all targets", compiled), ("response only", responses)):
            yield Figure(f"{name}, over the book's", ratios(values, rates["the book's"]), "×", AIMS[name])
    for precision, mine in (("float32", "float32"), ("bfloat16", "bfloat16, compiled")):
        over = ratios(rates[mine], rates[f"transformers, {precision}"])
        yield Figure(f"{mine}, over transformers' {precision}", over, "×", OVER_TRANSFORMERS)
    yield from _utilisation(config, {"float32": rates["float32"], "bfloat16": compiled}, rounds)


def _utilisation(config: GPT2Config, rates: dict[str, list[float]], rounds: int) -> Iterator[Figure]:
    """MFU: 6 operations a weight and token (the embeddings are looked up, the output layer is multiplied), and 12 a
    layer, width and attended token for attention, of which a causal one needs half."""
    operations = 6 * (config.parameters - config.context * config.width) + 6 * config.layers * config.width * TOKENS
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        matrix = torch.randn(SIZE, SIZE, dtype=dtype)
        ceiling = in_turns({name: lambda m=matrix: (m @ m).numel() * 2 * SIZE}, rounds)[name]
        shares = [100 * rate * operations / most for rate, most in zip(rates[name], ceiling, strict=True)]
        yield Figure(f"utilisation of the matrix product, {name}", shares, "%")


def _ours(model: Any, precision: Precision, compiled: bool, folder: Path, epoch: list[Batch]) -> Callable[[Batch], int]:
    task = Task(model, Tokenizer.gpt2(), NextToken(model), lambda number: epoch)
    recipe = Recipe(steps=1000, lr=1e-5, warmup=0, precision=precision, compile=compiled)
    fitting = Fitting(
        task, recipe, judgekit.data.TrainingState(folder, ""), Team(0, 1, torch.device("cpu")), lambda *_: None
    )

    def step(batch: Batch) -> int:
        fitting.step([batch])
        return batch.inputs.numel()

    return step


def _theirs(model: Any, batch: Batch, *, low: bool) -> Callable[[], int]:
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.1, fused=True)

    def step() -> int:
        model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            loss = _cross_entropy(model(batch.inputs).logits, batch)
        _descend(model, optimiser, loss, clip=1.0)
        return batch.inputs.numel()

    return step


def _book(config: GPT2Config) -> Callable[[Batch], int]:
    try:
        chapter = importlib.import_module("llms_from_scratch.ch04")
    except ImportError:
        raise Missing("the book's code is not installed: pip install --no-deps llms-from-scratch") from None
    sizes = {"vocab_size": config.vocabulary, "context_length": config.context, "emb_dim": config.width}
    torch.manual_seed(0)
    model = chapter.GPTModel(
        {**sizes, "n_heads": config.heads, "n_layers": config.layers, "drop_rate": config.dropout, "qkv_bias": True}
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.1)

    def step(batch: Batch) -> int:
        model.train()
        _descend(model, optimiser, _cross_entropy(model(batch.inputs), batch), clip=None)
        return batch.inputs.numel()

    return step


def _cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)


def _descend(model: Any, optimiser: torch.optim.Optimizer, loss: Tensor, *, clip: float | None) -> None:
    loss.backward()  # type: ignore[no-untyped-call]
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
