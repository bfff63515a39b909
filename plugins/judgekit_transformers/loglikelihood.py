"""The log-probabilities of given tokens.

One request at a time. The last digits of a matrix product depend on its shape, so in a batch a value would depend on
its neighbours, and a run that was killed and resumed (with other neighbours) could not give the same bytes. Reading is
bound by arithmetic as it is: batches of 8 took 15 % less time, and changed the fifth digit of one value in eight.
What does save time is not to read twice: several continuations share their prompt, and long prompts the beginning that
they have in common with the prompt before, such as the worked examples of a subject.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch

from judgekit import CallError, Continuation, Reply, Request, Token, Usage
from judgekit_transformers.loading import Loaded
from judgekit_transformers.prompts import attempt, continuation_ids, limit_of, prompt_of, too_long

DIGITS = 6  # of a log-probability; float32 holds no more
_WHOLE = 256  # tokens; prompts up to here are read in one go
_PIECE = 64  # tokens; longer prompts are read in such pieces, so that what is shared is computed in the same shapes
NOT_FINITE = "the model's output is not finite; models made in bfloat16 overflow in float16: set dtype"
_BEFORE = 8  # tokens of context in which a token's text is found


def loglikelihood(loaded: Loaded, request: Request, chat: bool, max_length: int | None) -> Reply:
    """The log-probability of each token of each continuation, in nats; `truncated` where they are longer than the
    model's window."""
    return attempt(lambda: _scored(loaded, request, chat, max_length))


def _scored(loaded: Loaded, request: Request, chat: bool, max_length: int | None) -> Reply:
    with loaded.lock:
        prompt = prompt_of(loaded, request, chat)
        given = [continuation_ids(loaded, text) for text in request.continuations]
        longest, limit = max(map(len, given), default=0), limit_of(loaded, max_length)
        causal = loaded.kind == "causal"
        total = len(prompt.ids) + longest if causal else max(len(prompt.ids), longest + len(loaded.beginning) - 1)
        if limit is not None and total > limit:
            parts = "prompt and continuation have" if causal else "prompt or continuation has"
            raise too_long(f"{parts} {total} tokens", limit)
        rows = token_logprobs(loaded, prompt.ids, given)
    scored = tuple(Continuation(token_logprobs=tuple(map(_rounded, row))) for row in rows)
    return Reply(continuations=scored, usage=Usage(prompt_tokens=total), notes=prompt.notes)


def token_logprobs(loaded: Loaded, prompt: list[int], given: Sequence[list[int]]) -> list[list[float]]:
    """One list a continuation: the log-probability of each of its tokens."""
    with torch.inference_mode():
        if loaded.kind == "seq2seq":
            return _answers(loaded, prompt, given)
        if len(given) == 1:
            (ids,) = given
            return [_picked(logits_after(loaded, prompt, ids), ids)]
        first, cache = _read(loaded, prompt)
        rows = []
        for ids in given:
            logits = first
            if len(ids) > 1:
                again = copy.deepcopy(cache)  # every kind of cache can be copied, not all be cut
                rest = _forward(loaded, ids[:-1], len(ids) - 1, past_key_values=again, use_cache=True)
                logits = torch.cat((first, rest.logits[0]))
            rows.append(_picked(logits, ids))
        return rows


def logits_after(loaded: Loaded, prompt: list[int], ids: list[int]) -> Any:
    """Logits (len(ids), vocabulary): row i is what the model says before ids[i], in one pass over the text."""
    if loaded.kind == "seq2seq":
        device = loaded.model.device
        answer = torch.tensor([[*loaded.beginning, *ids[:-1]]], device=device)
        out = loaded.model(input_ids=torch.tensor([prompt], device=device), decoder_input_ids=answer, use_cache=False)
        return out.logits[0, -len(ids) :]
    return _forward(loaded, prompt + ids[:-1], len(ids), use_cache=False).logits[0, : len(ids)]


def _answers(loaded: Loaded, prompt: list[int], given: Sequence[list[int]]) -> list[list[float]]:
    """An encoder-decoder: the prompt is encoded once, the continuations are decoded in one batch, padded at their
    ends, which what stands before does not see."""
    model, device = loaded.model, loaded.model.device
    encoded = model.get_encoder()(input_ids=torch.tensor([prompt], device=device), return_dict=True)
    longest = max((len(ids) for ids in given), default=0)
    if not longest:
        return [[] for _ in given]
    begun = len(loaded.beginning) - 1
    padded = [[*loaded.beginning, *ids[:-1], *[0] * (longest - max(1, len(ids)))] for ids in given]
    encoded["last_hidden_state"] = encoded.last_hidden_state.expand(len(given), -1, -1)
    answers = torch.tensor(padded, device=device)
    out = model(encoder_outputs=encoded, decoder_input_ids=answers, use_cache=False)
    return [_picked(logits[begun : begun + len(ids)], ids) for logits, ids in zip(out.logits, given, strict=True)]


def _read(loaded: Loaded, prompt: list[int]) -> tuple[Any, Any]:
    """Logits (1, vocabulary) after a prompt, and its cache, not to be changed. Whole pieces that a long prompt shares
    with the one before are not read again; the pieces are the same without it, and so is the result, to the bit."""
    if len(prompt) <= _WHOLE:
        out = _forward(loaded, prompt, 1, use_cache=True)
        return out.logits[0], out.past_key_values
    same, cache = _kept(loaded, prompt)
    for at in range(same, len(prompt), _PIECE):
        out = _forward(loaded, prompt[at : at + _PIECE], 1, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
    loaded.prefix = (prompt, cache) if _can_be_cut(cache) else None
    return out.logits[0], cache


def _kept(loaded: Loaded, prompt: list[int]) -> tuple[int, Any]:
    """How many tokens need not be read again, and the cache cut to them."""
    if loaded.prefix is None:
        return 0, None
    ids, cache = loaded.prefix
    loaded.prefix = None  # it is about to be changed
    most = min(len(ids), len(prompt) - 1)
    same = next((at for at in range(most) if ids[at] != prompt[at]), most) // _PIECE * _PIECE
    if not same:
        return 0, None
    if len(ids) > same:
        cache.crop(same - len(ids))
    return same, cache


def _can_be_cut(cache: Any) -> bool:
    """Whether each layer keeps every token apart: not where a window slides or a state sums up the text."""
    layers = getattr(cache, "layers", None) or ()
    return bool(layers) and all(type(layer).__name__ == "DynamicLayer" for layer in layers)


def _forward(loaded: Loaded, ids: list[int], last: int, **options: Any) -> Any:
    """A forward pass with the output layer, which a large vocabulary makes the dearest, on `last` positions only."""
    model, last = loaded.model, max(last, 1)  # 0 would mean all of them
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        return model(torch.tensor([ids], device=model.device), logits_to_keep=last, **options)
    out = model(torch.tensor([ids], device=model.device), **options)
    out.logits = out.logits[:, -last:]
    return out


def _picked(logits: Any, ids: list[int]) -> list[float]:
    """The log-probability of ids[i] in row i, normalised in float32 at least."""
    if not ids:
        return []
    rows = torch.log_softmax(logits.float(), dim=-1)
    picked: list[float] = rows.gather(1, torch.tensor(ids, device=rows.device)[:, None])[:, 0].tolist()
    return picked


def tokens_of(loaded: Loaded, prompt: list[int], written: list[int], top: int) -> tuple[Token, ...]:
    """The tokens of a reply, each with the `top` likeliest at its place, read in one pass over the finished reply: so
    they are what `loglikelihood` says, whatever batch the reply was written in."""
    if not written:
        return ()
    with torch.inference_mode():
        rows = torch.log_softmax(logits_after(loaded, prompt, written).float(), dim=-1)
        likeliest = rows.topk(min(top, rows.shape[-1]))
    tokens: list[Token] = []
    for at, token in enumerate(written):
        before = written[max(0, at - _BEFORE) : at]
        pairs = zip(likeliest.indices[at].tolist(), likeliest.values[at].tolist(), strict=True)
        others = tuple((_text(loaded.tokenizer, before, one), _rounded(value)) for one, value in pairs)
        own = _rounded(float(rows[at, token]))
        tokens.append(Token(text=_text(loaded.tokenizer, before, token), logprob=own, top=others))
    return tuple(tokens)


def _text(tokenizer: Any, before: list[int], token: int) -> str:
    """What the token adds to the text of those before it; nothing, where it ends within a character."""
    if token in tokenizer.all_special_ids:
        return str(tokenizer.convert_ids_to_tokens(token))
    known, whole = (str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in (before, [*before, token]))
    known, whole = known.rstrip("�"), whole.rstrip("�")
    return whole[len(known) :] if whole.startswith(known) else str(tokenizer.decode([token]))


def _rounded(value: float) -> float:
    if value - value != 0:  # NaN or infinite
        raise CallError(NOT_FINITE)
    return round(value, DIGITS)
