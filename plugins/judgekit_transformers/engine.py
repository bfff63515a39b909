"""What is computed with a loaded model: the log-probabilities of given tokens, and sampled text.

One request at a time. The last digits of a matrix product depend on its shape, so in a batch a reply would depend on
its neighbours, and a run that was killed and resumed (with other neighbours) could not give the same bytes. A forward
pass over a hundred tokens is bound by arithmetic as it is: batches of 8 took 15 % less time, and changed the fifth
digit of one log-probability in eight.
"""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Sequence
from typing import Any

from judgekit import CallError, Continuation, Message, Reply, Request, Sampling, Usage
from judgekit_transformers.loading import Loaded

MAX_NEW_TOKENS = 256  # where the request does not say
DIGITS = 6  # of a log-probability; float32 holds no more


def text_of(loaded: Loaded, messages: Sequence[Message], chat: bool) -> str:
    """The prompt: the model's chat template up to where its answer begins, or the plain contents."""
    if not chat:
        return "\n\n".join(message.content for message in messages)
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        return str(loaded.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    except Exception as error:  # templates are programs of the model's makers and raise what they like
        raise CallError(f"the model's chat template refuses these messages: {error}") from error


def prompt_ids(loaded: Loaded, text: str, chat: bool) -> list[int]:
    """The prompt's tokens, at least one. A chat template brings its own special tokens, plain text gets the model's."""
    ids: list[int] = loaded.tokenizer(text, add_special_tokens=not chat).input_ids
    start = loaded.tokenizer.bos_token_id
    if start is None:
        start = loaded.tokenizer.eos_token_id
    if not ids and start is None:
        raise CallError("an empty prompt, and the model has no token to begin with")
    return ids or [start]


def window(loaded: Loaded) -> int | None:
    """How many tokens the model was made for; None where its config does not say."""
    size = getattr(loaded.model.config, "max_position_embeddings", None)
    return int(size) if size else None


def loglikelihood(loaded: Loaded, request: Request, chat: bool) -> Reply:
    """The log-probability of each token of each continuation, in nats.

    Prompt and continuation are tokenised apart and joined, so that the boundary is where the request puts it, and a
    continuation has the same tokens after every prompt. Raises CallError where they are longer than the window.
    """
    with loaded.lock:
        prompt = prompt_ids(loaded, text_of(loaded, request.messages, chat), chat)
        given = [loaded.tokenizer(text, add_special_tokens=False).input_ids for text in request.continuations]
        longest, limit = len(prompt) + max(map(len, given), default=0), window(loaded)
        if limit is not None and longest > limit:
            raise CallError(f"prompt and continuation have {longest} tokens, and the model reads {limit}")
        rows = _token_logprobs(loaded.model, prompt, given)
    scored = tuple(Continuation(token_logprobs=tuple(round(x, DIGITS) for x in row)) for row in rows)
    return Reply(continuations=scored, usage=Usage(prompt_tokens=longest))


def _token_logprobs(model: Any, prompt: list[int], given: Sequence[list[int]]) -> list[list[float]]:
    """One list a continuation. With several, the prompt is computed once and its keys and values are used again."""
    import torch

    with torch.inference_mode():
        if len(given) == 1:
            (ids,) = given
            return [_picked(_logits(model, prompt + ids[:-1], len(ids)), ids)] if ids else [[]]
        begun = _forward(model, prompt, 1, use_cache=True)
        rows = []
        for ids in given:
            logits = begun.logits[0]
            if len(ids) > 1:
                cache = copy.deepcopy(begun.past_key_values)  # every kind of cache can be copied, not all be cut
                rest = _forward(model, ids[:-1], len(ids) - 1, past_key_values=cache, use_cache=True)
                logits = torch.cat((logits, rest.logits[0]))
            rows.append(_picked(logits, ids) if ids else [])
        return rows


def _logits(model: Any, ids: list[int], last: int) -> Any:
    """Logits (last, vocabulary) after the last `last` of the tokens `ids`."""
    return _forward(model, ids, last, use_cache=False).logits[0]


def _forward(model: Any, ids: list[int], last: int, **options: Any) -> Any:
    """A forward pass with the output layer, which a large vocabulary makes the dearest, on `last` positions only."""
    import torch

    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        return model(torch.tensor([ids], device=model.device), logits_to_keep=last, **options)
    out = model(torch.tensor([ids], device=model.device), **options)
    out.logits = out.logits[:, -last:]
    return out


def _picked(logits: Any, ids: list[int]) -> list[float]:
    """The log-probability of ids[i] in row i, normalised in float32 at least."""
    import torch

    rows = torch.log_softmax(logits.float(), dim=-1)
    picked: list[float] = rows.gather(1, torch.tensor(ids, device=rows.device)[:, None])[:, 0].tolist()
    return picked


def generate(loaded: Loaded, request: Request, chat: bool) -> Reply:
    """The model's answer: greedy at temperature 0 or none, else sampled, the same for the same seed.

    `truncated`: it was cut off by max_new_tokens or by the end of the model's window.
    """
    import torch

    sampling = request.sampling
    with loaded.lock, torch.inference_mode(), torch.random.fork_rng(devices=_cuda(loaded.model)):
        ids = prompt_ids(loaded, text_of(loaded, request.messages, chat), chat)
        limit = window(loaded)
        room = MAX_NEW_TOKENS if sampling.max_new_tokens is None else sampling.max_new_tokens
        room = room if limit is None else min(room, limit - len(ids))
        if room < 1:
            raise CallError(f"the prompt has {len(ids)} tokens, and the model reads {limit}")
        torch.manual_seed(sampling.seed) if sampling.seed is not None else torch.seed()
        prompt = torch.tensor([ids], device=loaded.model.device)
        stops = _StopTexts(loaded.tokenizer, len(ids), sampling.stop)
        out = loaded.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            generation_config=_config(loaded, sampling, room),
            stopping_criteria=[stops] if sampling.stop else None,
        )[0, len(ids) :].tolist()
    ended = bool(out) and out[-1] in _ends(loaded)
    text, stopped = stops.cut(loaded.tokenizer.decode(out, skip_special_tokens=True))
    usage = Usage(prompt_tokens=len(ids), completion_tokens=len(out))
    return Reply(text=text, status="complete" if ended or stopped else "truncated", usage=usage)


def _config(loaded: Loaded, sampling: Sampling, room: int) -> Any:
    """All that shapes the distribution is said, so that no default of the model's folder changes it in silence."""
    transformers: Any = importlib.import_module("transformers")  # its types say less than they seem to
    ends = sorted(_ends(loaded))
    drawn: dict[str, float | int | bool] = {"do_sample": False}
    if sampling.temperature:
        drawn = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
            "top_k": sampling.top_k or 0,
        }
    return transformers.GenerationConfig(
        max_new_tokens=room, eos_token_id=ends or None, pad_token_id=ends[0] if ends else None, num_beams=1, **drawn
    )


def _ends(loaded: Loaded) -> frozenset[int]:
    """The tokens that end an answer, by the tokenizer and by the model's generation config."""
    named = loaded.model.generation_config.eos_token_id
    several = named if isinstance(named, list) else [named]
    return frozenset(token for token in (*several, loaded.tokenizer.eos_token_id) if token is not None)


def _cuda(model: Any) -> list[Any]:
    return [model.device] if model.device.type == "cuda" else []


class _StopTexts:
    """Stops when one of the texts has been written; a stopping criterion of transformers."""

    def __init__(self, tokenizer: Any, start: int, texts: Sequence[str]) -> None:
        self.tokenizer, self.start, self.texts = tokenizer, start, texts

    def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:
        import torch

        written = self.tokenizer.decode(input_ids[0, self.start :], skip_special_tokens=True)
        return torch.tensor([self.cut(written)[1]], device=input_ids.device)

    def cut(self, text: str) -> tuple[str, bool]:
        """The text before the first stop text, and whether there was one."""
        found = [at for stop in self.texts if stop and (at := text.find(stop)) >= 0]
        return (text[: min(found)], True) if found else (text, False)
