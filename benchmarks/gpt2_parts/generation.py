"""Tokens a second, greedy, 64 new ones after 64, and what bfloat16 and int8 cost in accuracy. The 124M model."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch

from gpt2_parts.table import Figure, copy_of, in_turns, pair, ratios
from judgekit_gpt2.compiled import CompiledGPT2
from judgekit_gpt2.config import GPT2Config
from judgekit_gpt2.generation import Drawing, Prompt, generate
from judgekit_gpt2.inference import margin, prepare
from judgekit_gpt2.loglikelihood import loglikelihoods
from judgekit_gpt2.model import GPT2

READ, NEW = 64, 64
# By batch and weights: how many times transformers' best, at least.
AIMS = {(1, "bfloat16"): 1.7, (1, "int8"): 3.3, (64, "bfloat16"): 1.4}
COMPILED = ", compiled"
OPTIONS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"dtype": torch.bfloat16},
    "int8": {"quantise": "int8"},
}


def forms(theirs: Any, config: GPT2Config) -> dict[str, GPT2]:
    return {weights: prepare(copy_of(theirs, config), **options) for weights, options in OPTIONS.items()}


def compiled_forms(theirs: Any, config: GPT2Config) -> dict[str, GPT2]:
    return {
        weights + COMPILED: CompiledGPT2(prepare(copy_of(theirs, config), **options, compiled=True))
        for weights, options in OPTIONS.items()
    }


def figures(config: GPT2Config, rounds: int) -> Iterator[Figure]:
    _, theirs = pair(config)
    ours = forms(theirs, config)
    rivals = {"float32": theirs, "bfloat16": copy.deepcopy(theirs).bfloat16()}
    alone = compiled_forms(theirs, config)
    leads = {form: margin(model) for form, model in ours.items()} | dict.fromkeys(alone, 0.0)
    for batch in (1, 16, 64):
        models = ours | alone if batch == 1 else ours
        prompts = torch.randint(0, config.vocabulary, (batch, READ), generator=torch.Generator().manual_seed(batch))
        works = {form: _writing(model, [(row, NEW) for row in prompts.tolist()], batch, leads[form])
                 for form, model in models.items()}  # fmt: skip
        works |= {f"transformers {form}": _their_writing(model, prompts) for form, model in rivals.items()}
        rates = in_turns(works, rounds)
        for name, values in rates.items():
            yield Figure(f"batch {batch}, {name}", values, "tokens/s")
        best = [rates[f"transformers {form}"] for form in rivals]
        for form in models:
            yield Figure(f"batch {batch}, {form} over transformers' best", ratios(rates[form], *best), "×")
        for (at, weights), aim in AIMS.items():
            if at == batch:
                both = zip(rates[weights], rates.get(weights + COMPILED, rates[weights]), strict=True)
                quicker = [max(round_) for round_ in both]
                name = f"batch {batch}, {weights} in its quicker form over transformers' best"
                yield Figure(name, ratios(quicker, *best), "×", aim)
    yield from _mixed(ours["bfloat16"], leads["bfloat16"], rounds)
    yield from _accuracy(config)


def _writing(model: GPT2, asked: Sequence[tuple[list[int], int]], rows: int, lead: float) -> Callable[[], int]:
    prompts = [Prompt(ids, new) for ids, new in asked]
    return lambda: sum(len(written.ids) for written in generate(model, prompts, -1, rows, lead))


def _their_writing(model: Any, prompts: torch.Tensor) -> Callable[[], int]:
    settings = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": False, "pad_token_id": 0}
    mask = torch.ones_like(prompts)
    return lambda: int(model.generate(prompts, attention_mask=mask, **settings)[:, READ:].numel())


def _mixed(model: GPT2, lead: float, rounds: int) -> Iterator[Figure]:
    """64 requests in 16 rows, as many new tokens in all: every request alike, or from 8 to 120 of them."""
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(0, model.config.vocabulary, (64, READ), generator=generator).tolist()
    lengths = [8 + (112 * at) // 63 for at in torch.randperm(64, generator=generator).tolist()]
    rates = in_turns(
        {
            "alike": _writing(model, [(row, NEW) for row in ids], 16, lead),
            "mixed": _writing(model, list(zip(ids, lengths, strict=True)), 16, lead),
        },
        rounds,
    )
    yield Figure("64 requests in 16 rows, bfloat16, lengths alike", rates["alike"], "tokens/s")
    yield Figure("64 requests in 16 rows, bfloat16, mixed lengths", rates["mixed"], "tokens/s")
    yield Figure("mixed over alike", ratios(rates["mixed"], rates["alike"]), "×")


def _accuracy(config: GPT2Config) -> Iterator[Figure]:
    """On texts that the float32 model draws itself, with weights whose logits lie as far apart as a trained one's."""
    _, theirs = pair(config, spread=1.0)
    ours = forms(theirs, config)
    start = Prompt([config.vocabulary - 1], 255, Drawing(1.0))
    texts = [written.ids for written in generate(ours["float32"], [replace(start, seed=at) for at in range(4)], -1)]
    tables = {form: _tables(model, texts) for form, model in ours.items()}
    exact = tables["float32"]
    for form, table in tables.items():
        values = [loglikelihoods(ours[form], start.ids, [text])[0] for text in texts]
        loss = -math.fsum(chain.from_iterable(values)) / sum(map(len, values))
        yield Figure(f"perplexity of float32's own texts, {form}", [math.exp(loss)])
        if form != "float32":
            same = (table.argmax(-1) == exact.argmax(-1)).float().mean()
            yield Figure(f"likeliest token as in float32, {form}", [100 * float(same)], "%")
            yield Figure(f"mean |Δ log p|, {form}", [float((table - exact).abs().mean())], "nats")


@torch.inference_mode()
def _tables(model: GPT2, texts: Sequence[list[int]]) -> torch.Tensor:
    """Log-probabilities at every fourth place."""
    return torch.cat([model.logits(model(torch.tensor([text]))[0, ::4]).float().log_softmax(-1) for text in texts])
