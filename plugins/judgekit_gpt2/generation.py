"""Batched generation with a KV cache: sequences join, grow by a token a step, and leave when they are finished.

A sequence does not depend on its batch. Its random numbers come from a generator of its own; and where the last
bits of a logit depend on the other rows of a matrix product, a choice that these bits could turn is made again
from the sequence alone (see `choose`). A model from `inference.prepare` mostly needs no second look.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from judgekit_gpt2.cache import KVCache
from judgekit_gpt2.model import GPT2, left_pad

Finish = Literal["stop", "length", "context"]

# How much a logit, and a sum of probabilities, may differ between batches in float32, with room to spare.
LOGIT_MARGIN = 1e-3
MASS_MARGIN = 1e-5


@dataclass(frozen=True)
class Drawing:
    """The way to draw a token. Temperature 0 takes the likeliest. `top_k`, then `top_p`, narrow what may be drawn."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None


@dataclass(frozen=True)
class Prompt:
    """A prompt's tokens, at least one and fewer than the context, and how to go on.

    `stopped` is asked after each token, with all new tokens, whether the text ends here. `alternatives` is how many of
    the likeliest tokens to note at each new one.
    """

    ids: Sequence[int]
    max_new_tokens: int
    drawing: Drawing = Drawing()
    seed: int = 0
    stopped: Callable[[Sequence[int]], bool] | None = None
    alternatives: int = 0


class TokenChoice(NamedTuple):
    """The log-probability of the token that was written, and the likeliest tokens at its place with theirs."""

    logprob: float
    top: list[tuple[int, float]]


class NextChoice(NamedTuple):
    """A token, and whether it is sure to be the same with logits that differ by a margin."""

    token: int
    sure: bool


class Boundary(NamedTuple):
    """The least of the logits that may be drawn, and the greatest that may not."""

    least: float
    excluded: float


@dataclass
class Generation:
    """New tokens, without the end of text, and why there are no more: `context` means that the model's was full.

    `choices`, where alternatives were asked for: for each token its natural log-probability (before temperature, top_k
    and top_p), and the likeliest tokens at its place with theirs.
    """

    ids: list[int] = field(default_factory=list)
    finish: Finish | None = None
    choices: list[TokenChoice] = field(default_factory=list)


def generate(
    model: GPT2, prompts: Sequence[Prompt], end_of_text: int, rows: int = 32, margin: float = LOGIT_MARGIN
) -> list[Generation]:
    """Continue every prompt, `rows` of them at a time: where one finishes, the next takes its place.

    `margin` is how much a logit may differ between batches; 0 where it never does (see `inference.margin`).
    """
    if not prompts:
        return []
    decoder = _BatchDecoder(model, prompts, end_of_text, rows, margin)
    with torch.inference_mode():
        while decoder.waiting or decoder.active:
            if decoder.waiting and len(decoder.active) < rows:
                decoder.join()
            else:
                decoder.step()
    return decoder.generations


class _Sequence:
    """A sequence that is being written."""

    def __init__(self, prompt: Prompt, generation: Generation) -> None:
        self.prompt, self.generation = prompt, generation
        self.random = torch.Generator().manual_seed(prompt.seed)

    @property
    def ids(self) -> list[int]:
        return [*self.prompt.ids, *self.generation.ids]

    @property
    def length(self) -> int:
        return len(self.prompt.ids) + len(self.generation.ids)


class _BatchDecoder:
    """The sequences at work: row n of the cache belongs to `active[n]`."""

    def __init__(self, model: GPT2, prompts: Sequence[Prompt], end_of_text: int, rows: int, margin: float) -> None:
        context = model.config.context
        assert all(0 < len(prompt.ids) < context for prompt in prompts), "a prompt leaves room for a token"
        self.model, self.end_of_text, self.rows, self.margin = model, end_of_text, rows, margin
        self.device = model.tokens.weight.device
        self.generations = [Generation() for _ in prompts]
        every = [_Sequence(prompt, generation) for prompt, generation in zip(prompts, self.generations, strict=True)]
        self.waiting = deque(sorted(every, key=lambda row: row.length, reverse=True))  # equals join together
        self.active: list[_Sequence] = []
        longest = max(min(len(prompt.ids) + prompt.max_new_tokens, context) for prompt in prompts)
        self.cache = KVCache.empty(model.config, min(rows, len(prompts)), longest, model.tokens.weight)

    def join(self) -> None:
        """Read as many waiting prompts as there is room for, and write the first token of each."""
        first = len(self.active)
        while self.waiting and len(self.active) < self.rows:
            self.active.append(self.waiting.popleft())
        ids, positions = left_pad([row.ids for row in self.active[first:]], columns=2)  # one column would be a step
        self._write(first, ids, positions)

    def step(self) -> None:
        """Write the next token of every active sequence."""
        ids = torch.tensor([[row.generation.ids[-1]] for row in self.active])
        positions = torch.tensor([[row.length - 1] for row in self.active])
        self._write(0, ids, positions)

    def _write(self, first: int, ids: Tensor, positions: Tensor) -> None:
        cache = self.cache.rows(first, len(self.active))
        hidden = self.model(ids.to(self.device), positions.to(self.device), cache)[:, -1]
        logits = self.model.logits(hidden).float()  # [rows, V]
        likeliest, sure = _likeliest(logits, self.margin)
        for at in reversed(range(first, len(self.active))):  # from the end, since leaving moves the last row
            row, here = self.active[at], at - first
            if row.prompt.drawing.temperature == 0 and sure[here]:
                token = likeliest[here]
            else:
                token = self._choose(row, logits[here].cpu())
            if row.prompt.alternatives and token != self.end_of_text:
                row.generation.choices.append(_choice(logits[here], token, row.prompt.alternatives))
            row.generation.finish = self._finish(row, token)
            if row.generation.finish is not None:
                self._leave(at)

    def _choose(self, row: _Sequence, logits: Tensor) -> int:
        noise = None
        if row.prompt.drawing.temperature > 0:
            noise = -torch.empty(len(logits), dtype=torch.double).exponential_(generator=row.random).log_()
        token, sure = choose(logits, row.prompt.drawing, noise, self.margin)
        if not sure:
            alone = self.model(torch.tensor([row.ids], device=self.device))[0, -1]
            token, _ = choose(self.model.logits(alone).float().cpu(), row.prompt.drawing, noise)
        return token

    def _finish(self, row: _Sequence, token: int) -> Finish | None:
        if token == self.end_of_text:
            return "stop"
        new = row.generation.ids
        new.append(token)
        if row.prompt.stopped is not None and row.prompt.stopped(new):
            return "stop"
        if len(new) == row.prompt.max_new_tokens:
            return "length"
        return "context" if row.length == self.model.config.context else None

    def _leave(self, at: int) -> None:
        """Give the place of a finished sequence to the last one."""
        last = self.active.pop()
        if at < len(self.active):
            self.active[at] = last
            self.cache.copy_row(len(self.active), at, last.length)


def _choice(logits: Tensor, token: int, alternatives: int) -> TokenChoice:
    """The log-probability of a token by logits [V], and the likeliest tokens with theirs."""
    table = logits.log_softmax(-1)
    top = table.topk(min(alternatives, len(table)))
    return TokenChoice(float(table[token]), list(zip(top.indices.tolist(), top.values.tolist(), strict=True)))


def _likeliest(logits: Tensor, margin: float) -> tuple[list[int], list[bool]]:
    """Of logits [B, V] the largest of each row, and whether it leads by the margin: `choose` for greedy rows."""
    best = logits.argmax(-1, keepdim=True)
    if margin == 0:
        return best[:, 0].tolist(), [True] * len(logits)
    others = logits.scatter(1, best, float("-inf")).amax(-1)
    return best[:, 0].tolist(), (logits.gather(1, best)[:, 0] - others > margin).tolist()


def choose(logits: Tensor, drawing: Drawing, noise: Tensor | None, margin: float = LOGIT_MARGIN) -> NextChoice:
    """The next token from logits [V], and whether it is sure to be the same with logits that differ by the margin.

    Sampling is Gumbel-max: with `noise` [V] from a standard Gumbel distribution the largest of logits / temperature +
    noise is a draw from the softmax, so that a near tie looks alike whether drawn or not. The choice is sure if it
    leads by a margin over all that could be allowed, and is itself allowed by a margin.
    """
    scaled = logits.double() / (drawing.temperature or 1.0)
    scores = scaled if noise is None else scaled + noise
    margin /= drawing.temperature or 1.0
    least = possible = excluded = float("-inf")
    if noise is not None and (drawing.top_k or drawing.top_p):
        top_k, top_p = drawing.top_k or len(logits), drawing.top_p or 1.0
        least = boundary(scaled, top_k, top_p).least
        possible = boundary(scaled, top_k, top_p + MASS_MARGIN).least
        excluded = boundary(scaled, top_k, top_p - MASS_MARGIN).excluded
    token = int(scores.masked_fill(scaled < least, float("-inf")).argmax())
    if margin == 0:
        return NextChoice(token, True)
    two = scores.masked_fill(scaled < possible - margin, float("-inf")).topk(2)
    leads = int(two.indices[0]) == token and float(two.values[0] - two.values[1]) > margin
    return NextChoice(token, leads and float(scaled[token]) > excluded + margin)


def boundary(scaled: Tensor, top_k: int, top_p: float) -> Boundary:
    """Of logits [V] the least that may be drawn, and the greatest that may not.

    Allowed are the `top_k` likeliest tokens, and of these the fewest that have the share `top_p` of the probability.
    """
    ordered = scaled.topk(min(top_k + 1, len(scaled))).values
    count = min(top_k, len(scaled))
    if top_p < 1:
        mass = ordered[:count].softmax(0).cumsum(0)
        count = min(int((mass < top_p).sum()) + 1, count)
    excluded = float(ordered[count]) if count < len(ordered) else float("-inf")
    return Boundary(float(ordered[count - 1]), excluded)
