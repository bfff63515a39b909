"""Answers, written in batches; each is the one that its request would get alone.

The last digits of a logit depend on what else is in the batch. A choice that leads by more than they can differ is the
same in every batch; a reply with a closer one is written again, alone. What is in a batch is padded: how much a model
minds is tried out, and one that minds gets its requests one at a time.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from judgekit import CallError, Reply, Request, Sampling, Token, Usage
from judgekit_transformers.loading import Loaded
from judgekit_transformers.loglikelihood import NOT_FINITE, tokens_of
from judgekit_transformers.prompts import PromptTokens, attempt, limit_of, prompt_of, too_long
from judgekit_transformers.sampling import choose

MAX_NEW_TOKENS = 256  # where the request does not say
_LEAST_MARGIN = 1e-3  # in logits
_HARM = {"float32": 1e-4, "float16": 0.02, "bfloat16": 0.05}  # by padding: the most, as a share of the logits' range


@dataclass(eq=False)
class _Answer:
    """An answer that is being written. `full`: the model's window, and not the request, sets `room`; `broken`: why
    there is none."""

    request: Request
    prompt: PromptTokens
    room: int
    full: str = ""
    written: list[int] = field(default_factory=list)
    finished: bool = False
    sure: bool = True
    broken: str = ""
    generator: Any = None

    def begin(self, device: Any) -> None:
        self.written, self.finished, self.sure, self.broken = [], False, True, ""
        self.generator = torch.Generator(device).manual_seed(self.request.sampling.seed or 0)


def generate(loaded: Loaded, requests: Sequence[Request], chat: bool, max_length: int | None) -> list[Reply]:
    """One reply a request: greedy at temperature 0 or none, else sampled, the same for the same seed (none is 0).

    `truncated`: cut off by max_new_tokens or by the end of the model's window, or too long to be read.
    """
    with loaded.lock, torch.inference_mode():
        rows = [attempt(lambda one=one: _row(loaded, one, chat, max_length)) for one in requests]  # type: ignore[misc]
        _write_all(loaded, [row for row in rows if isinstance(row, _Answer)])
        return [row if isinstance(row, Reply) else attempt(lambda row=row: _reply(loaded, row)) for row in rows]  # type: ignore[misc]


def _row(loaded: Loaded, request: Request, chat: bool, max_length: int | None) -> _Answer:
    if request.json_schema is not None:
        raise CallError("the backend transformers cannot hold an answer to a JSON schema")
    prompt, limit = prompt_of(loaded, request, chat), limit_of(loaded, max_length)
    wanted = MAX_NEW_TOKENS if request.sampling.max_new_tokens is None else request.sampling.max_new_tokens
    read = len(prompt.ids)
    if limit is None:
        return _Answer(request, prompt, wanted)
    # An encoder-decoder reads the prompt apart from its answer, each up to the limit.
    left = limit - read if loaded.kind == "causal" else limit if read <= limit else 0
    if left < 1:
        raise too_long(f"the prompt has {read} tokens", limit)
    full = f"the model's window of {limit} tokens was full" if left < wanted else ""
    return _Answer(request, prompt, min(wanted, left), full)


def _write_all(loaded: Loaded, rows: list[_Answer]) -> None:
    margin = _margin(loaded) if len(rows) > 1 else None
    alone = rows
    if margin is not None:
        groups = _groups(loaded, rows)
        alone = [row for group in groups if len(group) == 1 for row in group]
        for group in groups:
            if len(group) > 1:
                try:
                    _write(loaded, group, margin)
                    alone += [row for row in group if row.broken or not row.sure]
                except torch.OutOfMemoryError:
                    alone += group
    for row in alone:
        try:
            _write(loaded, [row], 0.0)
        except torch.OutOfMemoryError:
            row.broken = f"the memory of {loaded.model.device} does not hold this prompt and its answer"


def _groups(loaded: Loaded, rows: list[_Answer]) -> list[list[_Answer]]:
    """Rows that can be written together: one that is finished is fed on until the last one is, and must not leave the
    window meanwhile. (The answers of an encoder-decoder begin and end with the same places.)"""
    if loaded.kind == "seq2seq" or loaded.window is None:
        return [rows]
    groups: list[list[_Answer]] = []
    for row in sorted(rows, key=lambda row: len(row.prompt.ids)):
        for group in groups:
            room = max(row.room, *(one.room for one in group))
            if len(row.prompt.ids) + room <= loaded.window:
                group.append(row)
                break
        else:
            groups.append([row])
    return groups


def _write(loaded: Loaded, rows: Sequence[_Answer], margin: float) -> None:
    """Let the model write all rows at once, each by its own request."""
    transformers: Any = importlib.import_module("transformers")  # its types say less than they seem to
    for row in rows:
        row.begin(loaded.model.device)
    writer = _TokenChooser(loaded, rows, margin)
    loaded.model.generate(
        **_batch(loaded, [row.prompt.ids for row in rows]),
        generation_config=_config(loaded, max(row.room for row in rows)),
        logits_processor=transformers.LogitsProcessorList([writer.choose]),
        stopping_criteria=transformers.StoppingCriteriaList([writer.finished]),
    )


def _batch(loaded: Loaded, prompts: Sequence[list[int]]) -> dict[str, Any]:
    """Token ids and mask [rows, longest]: padded on the left, where a causal model goes on from the right; an encoder
    is padded on the right. Which token pads does not matter, since the mask hides it: none needs to be named."""
    longest = max(map(len, prompts))
    ids, mask = torch.zeros(len(prompts), longest, dtype=torch.long), torch.zeros(len(prompts), longest).long()
    for row, prompt in enumerate(prompts):
        place = slice(longest - len(prompt), None) if loaded.kind == "causal" else slice(len(prompt))
        ids[row, place], mask[row, place] = torch.tensor(prompt), 1
    return {"input_ids": ids.to(loaded.model.device), "attention_mask": mask.to(loaded.model.device)}


def _config(loaded: Loaded, room: int, **more: Any) -> Any:
    transformers: Any = importlib.import_module("transformers")
    ends = list(loaded.ends)
    return transformers.GenerationConfig(
        max_new_tokens=room,
        eos_token_id=ends or None,
        pad_token_id=ends[0] if ends else 0,
        num_beams=1,
        do_sample=False,  # `_TokenChooser` chooses, row by row
        **more,
    )


class _TokenChooser:
    """Chooses each row's next token, and says which rows are finished: between the model's forward passes."""

    def __init__(self, loaded: Loaded, rows: Sequence[_Answer], margin: float) -> None:
        self.loaded, self.rows, self.margin = loaded, rows, margin

    def choose(self, input_ids: Any, scores: Any) -> Any:
        """Scores [rows, vocabulary] in which each row's choice alone is left."""
        chosen = torch.zeros(len(self.rows), dtype=torch.long)
        for at, row in enumerate(self.rows):
            if not row.finished:
                chosen[at] = self._next(row, scores[at])
        only = torch.full_like(scores, float("-inf"))
        return only.scatter(1, chosen[:, None].to(scores.device), 0.0)

    def finished(self, input_ids: Any, scores: Any, **options: Any) -> Any:
        return torch.tensor([row.finished for row in self.rows], device=input_ids.device)

    def _next(self, row: _Answer, logits: Any) -> int:
        if bool(logits.isnan().any()):
            row.finished, row.broken = True, NOT_FINITE
            return 0
        token, sure = choose(logits, row.request.sampling, row.generator, self.margin)
        row.written.append(token)
        row.sure = row.sure and sure
        stopped = bool(row.request.sampling.stop) and _cut(_decoded(self.loaded, row), row.request.sampling)[1]
        row.finished = stopped or not row.sure or token in self.loaded.ends or len(row.written) >= row.room
        return token


def _reply(loaded: Loaded, row: _Answer) -> Reply:
    if row.broken:
        raise CallError(row.broken)
    ended = bool(row.written) and row.written[-1] in loaded.ends
    text, stopped = _cut(_decoded(loaded, row), row.request.sampling)
    complete = ended or stopped
    tokens: tuple[Token, ...] = ()
    if row.request.top_logprobs:
        forced = len(loaded.beginning) - 1 if loaded.kind == "seq2seq" else 0
        own = row.written[forced : -1 if ended else None]
        tokens = tokens_of(loaded, row.prompt.ids, own, row.request.top_logprobs)
        while tokens and len("".join(token.text for token in tokens[:-1])) >= len(text) and stopped:
            tokens = tokens[:-1]  # of the stop text
    return Reply(
        text=text,
        status="complete" if complete else "truncated",
        detail="" if complete else row.full,
        tokens=tokens,
        usage=Usage(prompt_tokens=len(row.prompt.ids), completion_tokens=len(row.written)),
        notes=row.prompt.notes,
    )


def _decoded(loaded: Loaded, row: _Answer) -> str:
    return str(loaded.tokenizer.decode(row.written, skip_special_tokens=True))


def _cut(text: str, sampling: Sampling) -> tuple[str, bool]:
    """The text before the first stop text, and whether there was one."""
    places = [at for stop in sampling.stop if stop and (at := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


def _margin(loaded: Loaded) -> float | None:
    """By how much a choice must lead to be the same in every batch; None for a model that minds being padded, and 0
    where no margin would help: in low precision each reply would be written again (see the backend's `batch`)."""
    if isinstance(loaded.margin, str):
        loaded.margin = _tried(loaded)
    return loaded.margin


def _tried(loaded: Loaded) -> float | None:
    dice = torch.Generator().manual_seed(0)
    longest = min(loaded.window or 32, 32) - 2
    lengths = [length for length in (longest, 5, 17, 1) if 0 < length <= longest]
    if len(lengths) < 2:
        return None
    prompts = [torch.randint(loaded.rows, (length,), generator=dice).tolist() for length in lengths]
    together = _two_steps(loaded, prompts)
    harm = spread = 0.0
    for at, prompt in enumerate(prompts):
        alone = _two_steps(loaded, [prompt])[0]
        harm = max(harm, float((together[at] - alone).abs().max()))
        spread = max(spread, float(alone.max() - alone.min()))
    dtype = str(loaded.model.dtype).removeprefix("torch.")
    if not harm <= _HARM[dtype] * spread:
        return None
    return max(_LEAST_MARGIN, 8 * harm) if dtype == "float32" else 0.0


def _two_steps(loaded: Loaded, prompts: Sequence[list[int]]) -> Any:
    """Logits [rows, 2, vocabulary] after each prompt, and after one more token, which is always the same."""
    transformers: Any = importlib.import_module("transformers")

    def same(input_ids: Any, scores: Any) -> Any:
        only = torch.full_like(scores, float("-inf"))
        only[:, loaded.rows // 2] = 0.0
        return only

    out = loaded.model.generate(
        **_batch(loaded, prompts),
        generation_config=_config(loaded, 2, output_logits=True, return_dict_in_generate=True),
        logits_processor=transformers.LogitsProcessorList([same]),
    )
    return torch.stack(out.logits, 1)
