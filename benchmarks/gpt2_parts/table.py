"""What the sections share: figures with their aims, turns, and pairs of models with the same weights."""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from judgekit_gpt2 import weights
from judgekit_gpt2.config import GPT2Config
from judgekit_gpt2.model import GPT2

T = TypeVar("T")


class Missing(Exception):
    """What a section compares with is not installed."""


@dataclass(frozen=True)
class Figure:
    """One line: values of the rounds (or a single one), and the least or most that they should be."""

    name: str
    values: Sequence[float]
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def is_speed(self) -> bool:
        """Whether it compares speeds, and so depends on the machine and on what else it is doing."""
        return self.unit == "×"

    @property
    def met(self) -> bool | None:
        if self.at_least is not None:
            return self.median >= self.at_least
        return None if self.at_most is None else self.median <= self.at_most


def show(figure: Figure) -> None:
    spread = f"({_number(min(figure.values))} to {_number(max(figure.values))})" if len(figure.values) > 1 else ""
    aim = "" if figure.at_least is None else f"aim: at least {_number(figure.at_least)}"
    aim = aim if figure.at_most is None else f"aim: at most {_number(figure.at_most)}"
    verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
    value = f"{_number(figure.median)} {figure.unit}"
    print(f"  {figure.name:58} {value:>18} {spread:24} {aim:22} {verdict}".rstrip(), flush=True)


def _number(value: float) -> str:
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:,.4g}"


def in_turns(works: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Units of work a second by name, one value a round, after one round to warm up."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            units = work()
            if turn:
                rates[name].append(units / (time.perf_counter() - start))
    return rates


def ratios(ours: Sequence[float], *others: Sequence[float]) -> list[float]:
    """Round by round: ours over the best of the others."""
    return [mine / max(theirs) for mine, *theirs in zip(ours, *others, strict=True)]


def transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError:
        raise Missing("transformers is not installed") from None


def if_installed(rival: Callable[[], T]) -> T | None:
    """What `rival` makes, or None, which is said, where it raises Missing: the rest of a section is measured all the
    same."""
    try:
        return rival()
    except Missing as error:
        print(f"  left out: {error}", flush=True)
        return None


def pair(config: GPT2Config, spread: float | None = None) -> tuple[GPT2, Any]:
    """Ours and theirs with the same random weights: their initialisation, or matrices of the given standard
    deviation times 1/√width, for logits as far apart as a trained model's."""
    hub = transformers()
    sizes = {"n_embd": config.width, "n_layer": config.layers, "n_head": config.heads, "n_positions": config.context}
    torch.manual_seed(0)
    theirs = hub.GPT2LMHeadModel(hub.GPT2Config(vocab_size=config.vocabulary, **sizes)).eval()
    if spread is not None:
        with torch.no_grad():
            for name, parameter in theirs.named_parameters():
                scale = spread * (3 if "wte" in name else 0.8) / config.width**0.5
                parameter.copy_(("ln_" in name and name.endswith("weight")) + torch.randn_like(parameter) * scale)
    return copy_of(theirs, config), theirs


def copy_of(theirs: Any, config: GPT2Config) -> GPT2:
    """A model of ours with their weights, its own to change."""
    model = GPT2(config)
    named = {name.removeprefix("transformer."): tensor.clone() for name, tensor in theirs.named_parameters()}
    weights.assign(model, named)
    return model.eval()
