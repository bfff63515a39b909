"""Log-likelihoods of given continuations: what the model thinks of a text, not what it would say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from judgekit_gpt2.cache import PIECE, KVCache
from judgekit_gpt2.model import GPT2, PADDING, left_pad

_ROWS = 64  # of the output layer at a time: 13 MB of logits


class Continuations(NamedTuple):
    """The tokens of a prompt, and those of its continuations."""

    prompt: Sequence[int]
    continuations: Sequence[Sequence[int]]


class _Wanted(NamedTuple):
    """A log-probability to come: the list that it goes into, the number of the state that predicts it, the token."""

    values: list[float]
    state: int
    token: int


class PrefixScorer:
    """Scores continuations, prompt after prompt, and keeps the prompt that it has read last.

    What the next one shares with it from the start is not read again: worked examples that come before many questions
    are read once. They are shared in whole pieces, cut where attention cuts a text anyway (see cache.py), so that the
    results do not depend on what was read before. A prompt whose continuations are single tokens takes one forward
    pass over what is new in it, and one row of the output layer.
    """

    def __init__(self, model: GPT2) -> None:
        self.model = model
        self.device = model.tokens.weight.device
        self._cache: KVCache | None = None  # one sequence, as long as the context
        self._kept: list[int] = []  # the tokens in it

    @torch.inference_mode()
    def score(self, questions: Sequence[Continuations]) -> list[list[list[float]]]:
        """The natural log-probability of every token, by question and continuation.

        A prompt has at least one token. With a continuation it may have one token more than the context, since
        nothing follows the last one.
        """
        results: list[list[list[float]]] = [[[] for _ in continuations] for _, continuations in questions]
        states: list[Tensor] = []  # [n, C] each, N in all: the hidden states that predict a token
        wanted: list[_Wanted] = []
        count = 0
        for index in sorted(range(len(questions)), key=lambda at: list(questions[at][0])):  # like beside like
            prompt, continuations = questions[index]
            given = [(ids, values) for ids, values in zip(continuations, results[index], strict=True) if ids]
            if not given:
                continue
            assert len(prompt) > 0, "a prompt has at least one token"
            longest = max(len(ids) for ids, _ in given)
            assert len(prompt) + longest - 1 <= self.model.config.context, "prompt and continuation are too long"
            states.append(self._read(prompt))
            wanted += [_Wanted(values, count, ids[0]) for ids, values in given]
            count += 1
            longer = [(ids, values) for ids, values in given if len(ids) > 1]
            for (ids, values), following in zip(longer, self._follow([ids[:-1] for ids, _ in longer]), strict=True):
                states.append(following)
                wanted += [_Wanted(values, count + at, token) for at, token in enumerate(ids[1:])]
                count += len(ids) - 1
        if wanted:
            logprobs = self._log_probabilities(torch.cat(states), wanted)
            for one, value in zip(wanted, logprobs, strict=True):
                one.values.append(value)
        return results

    def _read(self, prompt: Sequence[int]) -> Tensor:
        """The hidden state [1, C] after a prompt, of which only what is new is read."""
        if self._cache is None:
            self._cache = KVCache.empty(self.model.config, 1, self.model.config.context, self.model.tokens.weight)
        most = min(len(self._kept), len(prompt) - 1)
        same = next((at for at in range(most) if self._kept[at] != prompt[at]), most)
        same -= same % PIECE
        self._kept = self._kept[:same]  # should the next line fail
        ids, positions = left_pad([prompt[same:]], columns=2)  # one column would be a step of generation
        positions = torch.where(positions == PADDING, PADDING, positions + same)
        hidden = self.model(ids.to(self.device), positions.to(self.device), self._cache)
        self._kept = list(prompt)
        return hidden[:, -1]  # type: ignore[no-any-return]

    def _follow(self, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
        """The hidden states [n, C] of each sequence after the prompt that was read last, all in one batch."""
        if not sequences:
            return []
        assert self._cache is not None
        longest, start = max(map(len, sequences)), len(self._kept)
        cache = KVCache.empty(self.model.config, len(sequences), start + longest, self.model.tokens.weight)
        ids = torch.zeros(len(sequences), longest, dtype=torch.long)
        positions = torch.full((len(sequences), longest), PADDING)
        for row, sequence in enumerate(sequences):
            self._cache.copy_row(0, row, start, into=cache)
            ids[row, : len(sequence)] = torch.tensor(sequence)
            positions[row, : len(sequence)] = torch.arange(start, start + len(sequence))
        hidden = self.model(ids.to(self.device), positions.to(self.device), cache)
        return [states[: len(sequence)] for states, sequence in zip(hidden, sequences, strict=True)]

    def _log_probabilities(self, states: Tensor, wanted: Sequence[_Wanted]) -> list[float]:
        """log P(token) by the hidden states [N, C], for what is wanted in the order of the states."""
        which, tokens = torch.tensor([(one.state, one.token) for one in wanted], device=self.device).T
        logprobs: list[float] = []
        for start in range(0, len(states), _ROWS):
            table = self.model.logits(states[start : start + _ROWS]).float().log_softmax(-1)  # [rows, V]
            here = (which >= start) & (which < start + _ROWS)
            logprobs += table[which[here] - start, tokens[here]].tolist()
        return logprobs


def loglikelihoods(model: GPT2, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[list[float]]:
    """The natural log-probability of every token of each continuation of one prompt: see `PrefixScorer.score`."""
    return PrefixScorer(model).score([Continuations(prompt, continuations)])[0]
