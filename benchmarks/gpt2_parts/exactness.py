"""Equal to transformers: logits of all four shapes, greedy tokens, letters; and the same in every batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from gpt2_parts.table import Figure, copy_of, pair
from judgekit_gpt2.cache import KVCache
from judgekit_gpt2.config import PRESETS, GPT2Config
from judgekit_gpt2.generation import Drawing, Prompt, generate
from judgekit_gpt2.inference import margin, prepare
from judgekit_gpt2.model import GPT2, left_pad

LETTERS = [317, 347, 327, 360]


def figures(config: GPT2Config, rounds: int) -> Iterator[Figure]:
    shapes = {"gpt2": config}
    if config.width == PRESETS["gpt2"].width:  # the other published shapes beside it
        shapes |= {name: replace(shape, layers=2, dropout=0.0) for name, shape in PRESETS.items() if name != "gpt2"}
    for name, shape in shapes.items():
        ours, theirs = pair(shape, spread=1.0)
        for form, model in (("as trained", ours), ("ready", prepare(copy_of(theirs, shape)))):
            for way, difference in differences(model, theirs).items():
                yield Figure(f"max |Δ logit|, {name}, {form}, {way}", [difference], at_most=1e-4)
    _, theirs = pair(config)
    ours = prepare(copy_of(theirs, config))
    yield Figure("max |Δ letter logit|", [letters(ours, theirs)], at_most=1e-5)
    yield Figure("greedy texts equal token by token, of 50", [equal_texts(ours, theirs)], at_least=50)
    for form, model in (
        ("float32", ours),
        ("bfloat16", prepare(copy_of(theirs, config), dtype=torch.bfloat16)),
        ("int8", prepare(copy_of(theirs, config), quantise="int8")),
    ):
        yield Figure(f"samples equal alone and in a batch, of 12, {form}", [equal_alone(model)], at_least=12)


def _prompts(config: GPT2Config, count: int, longest: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, longest, (count,), generator=generator).tolist()
    return [torch.randint(0, config.vocabulary, (length,), generator=generator).tolist() for length in lengths]


@torch.inference_mode()
def differences(ours: GPT2, theirs: Any) -> dict[str, float]:
    rows = [*_prompts(ours.config, 2, 40), _prompts(ours.config, 1, 2)[0] * 48]
    want = [theirs(torch.tensor([row])).logits[0] for row in rows]
    ids, positions = left_pad(rows)
    cache = KVCache.empty(ours.config, len(rows), 48, ours.tokens.weight)
    parts = zip(ids.split([30, 17, 1], 1), positions.split([30, 17, 1], 1), strict=True)
    found = {
        "plain": [ours.logits(ours(torch.tensor([row])))[0] for row in rows],
        "padded": ours.logits(ours(ids, positions)),
        "cached": ours.logits(torch.cat([ours(part, places, cache) for part, places in parts], 1)),
    }
    return {
        way: max(float((row[-len(w) :] - w).abs().max()) for row, w in zip(logits, want, strict=True))
        for way, logits in found.items()
    }


@torch.inference_mode()
def letters(ours: GPT2, theirs: Any) -> float:
    """The largest difference over 20 prompts, at the last position, read through the cache."""
    rows = _prompts(ours.config, 20, 150)
    ids, positions = left_pad(rows, columns=2)
    cache = KVCache.empty(ours.config, len(rows), 150, ours.tokens.weight)
    found = ours.logits(ours(ids, positions, cache)[:, -1])[:, LETTERS]
    want = torch.stack([theirs(torch.tensor([row])).logits[0, -1, LETTERS] for row in rows])
    return float((found - want).abs().max())


def equal_texts(ours: GPT2, theirs: Any) -> int:
    prompts = _prompts(ours.config, 50, 60)
    written = generate(ours, [Prompt(row, 16) for row in prompts], -1, rows=16, margin=margin(ours))
    settings = {"max_new_tokens": 16, "min_new_tokens": 16, "do_sample": False, "pad_token_id": 0}
    equal = 0
    for row, mine in zip(prompts, written, strict=True):
        ids = torch.tensor([row])
        want = theirs.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0, len(row) :].tolist()
        equal += mine.ids == want
    return equal


def equal_alone(ours: GPT2) -> int:
    ways = (Drawing(), Drawing(0.8), Drawing(1.0, top_k=50), Drawing(1.0, top_p=0.9))
    prompts = [Prompt(row, 12, ways[at % len(ways)], seed=at) for at, row in enumerate(_prompts(ours.config, 12, 60))]
    lead = margin(ours)
    alone = [generate(ours, [prompt], -1, margin=lead)[0] for prompt in prompts]
    batches = [generate(ours, prompts, -1, rows, lead) for rows in (5, 12)]
    batches.append(generate(ours, prompts[::-1], -1, 7, lead)[::-1])
    return sum(all(batch[at] == one for batch in batches) for at, one in enumerate(alone))
