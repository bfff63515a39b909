"""The next token from its logits: drawn as transformers draws it, by each request's own random numbers."""

from __future__ import annotations

from typing import Any

import torch

from judgekit import Sampling


def choose(logits: Any, sampling: Sampling, generator: Any, margin: float) -> tuple[int, bool]:
    """The next token from float32 logits [V], and whether logits that differ by `margin` would give the same one.

    The likeliest at temperature 0 or none; else a draw after temperature, top-k and top-p, in this order, by the
    random numbers of `generator` (a torch.Generator on the logits' device).
    """
    if sampling.temperature:
        scaled = logits / sampling.temperature
        noise = torch.empty_like(logits).exponential_(1, generator=generator)
        allowed = (scaled >= _boundary(scaled, sampling, 0.0)[0]) if _cuts(sampling) else None
        kept = scaled if allowed is None else scaled.masked_fill(~allowed, float("-inf"))
        race = kept.softmax(-1) / noise  # the first to arrive: torch.multinomial's own way to draw one
        if not bool(race.isnan().any()):
            token = int(race.argmax())
            return token, margin == 0 or _sure_draw(scaled, sampling, noise, token, margin / sampling.temperature)
        # A temperature so low that the logits overflow is none.
    token = int(logits.argmax())
    first, second = logits.topk(2).values.tolist() if len(logits) > 1 else (0.0, float("-inf"))
    return token, margin == 0 or first - second > margin


def _cuts(sampling: Sampling) -> bool:
    return bool(sampling.top_k) or (sampling.top_p is not None and sampling.top_p < 1)


def _boundary(scaled: Any, sampling: Sampling, spare: float) -> tuple[float, float]:
    """The least of the logits [V] that may be drawn, and the greatest that may not (-inf where all may be): of the
    `top_k` likeliest tokens the fewest that have the share `top_p` of their probability, give or take `spare`."""
    ordered = scaled.sort(descending=True).values
    count = min(sampling.top_k or len(ordered), len(ordered))
    if sampling.top_p is not None and sampling.top_p < 1:
        mass = ordered[:count].softmax(-1).cumsum(-1)
        count = min(int((mass < sampling.top_p + spare).sum()) + 1, count)
    return float(ordered[count - 1]), float(ordered[count]) if count < len(ordered) else float("-inf")


def _sure_draw(scaled: Any, sampling: Sampling, noise: Any, token: int, margin: float) -> bool:
    """Whether the token leads by the margin over all that might be allowed, and is itself allowed by the margin.

    Logits that are off by `margin` / 2 change a share s of the probability by s (1 − s) `margin` at most.
    """
    race = scaled - noise.log()
    if _cuts(sampling):
        race = race.masked_fill(scaled < _boundary(scaled, sampling, margin)[0] - margin, float("-inf"))
        if float(scaled[token]) <= _boundary(scaled, sampling, -margin)[1] + margin:
            return False
    two = race.topk(min(2, len(race)))
    leads = len(race) == 1 or float(two.values[0] - two.values[1]) > margin
    return int(two.indices[0]) == token and leads
