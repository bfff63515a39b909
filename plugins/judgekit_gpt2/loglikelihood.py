"""Log-likelihoods of given continuations: what the model thinks of a text, not what it would say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from judgekit_gpt2.model import GPT2, PADDING, KVCache


@torch.inference_mode()
def loglikelihoods(model: GPT2, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[list[float]]:
    """The natural log-probability of every token of each continuation of a prompt.

    The prompt (at least one token) is read once. Continuations of a single token need nothing more; longer ones
    follow as one batch. A prompt is computed apart from others, so that its figures do not depend on them. Prompt and
    continuation together may have one token more than the context, since nothing follows the last one.
    """
    if not continuations:
        return []
    longest = max(map(len, continuations))
    assert len(prompt) > 0, "a prompt has at least one token"
    assert len(prompt) + longest - 1 <= model.config.context, "prompt and continuation are too long"
    device = model.tokens.weight.device
    cache = KVCache.empty(model.config, len(continuations), len(prompt) + longest, model.tokens.weight)
    positions = torch.arange(len(prompt), device=device)[None]
    hidden = model(torch.tensor([prompt], device=device), positions, cache.rows(0, 1))[0, -1]
    first = _log_probabilities(model, hidden)  # [V]
    results = [[float(first[ids[0]])] if ids else [] for ids in continuations]
    longer = [index for index, ids in enumerate(continuations) if len(ids) > 1]
    if not longer:
        return results
    for row in range(1, len(longer)):
        cache.copy_row(0, row, len(prompt))
    ids = torch.zeros(len(longer), longest - 1, dtype=torch.long)
    positions = torch.full((len(longer), longest - 1), PADDING)
    for row, index in enumerate(longer):
        read = torch.tensor(continuations[index][:-1])
        ids[row, : len(read)] = read
        positions[row, : len(read)] = torch.arange(len(prompt), len(prompt) + len(read))
    states = model(ids.to(device), positions.to(device), cache.rows(0, len(longer)))  # [rows, T, C]
    for row, index in enumerate(longer):
        following = torch.tensor(continuations[index][1:], device=device)
        table = _log_probabilities(model, states[row, : len(following)])  # [T, V]
        results[index] += table.gather(1, following[:, None])[:, 0].tolist()
    return results


def _log_probabilities(model: GPT2, hidden: Tensor) -> Tensor:
    return model.logits(hidden).float().log_softmax(-1)
