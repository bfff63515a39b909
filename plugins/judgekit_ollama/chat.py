"""Ollama's native /api/chat: Request → body, JSON answer → Reply. Pure; an unknown shape is a CallError."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import JsonValue

from judgekit import CallError, Reply, Request, Usage, shortened
from judgekit_ollama.tokens import read_tokens
from judgekit_openai.replies import ended
from judgekit_openai.words import End, end_of

# The server only logs a name that it does not know, so they are checked here.
_NAMES = """
    num_keep min_p typical_p repeat_last_n repeat_penalty presence_penalty frequency_penalty penalize_newline tfs_z
    mirostat mirostat_tau mirostat_eta draft_num_predict
    numa num_batch num_gpu main_gpu low_vram f16_kv use_mmap use_mlock num_thread
"""
OPTION_NAMES = frozenset(_NAMES.split())
_NO_SEED = 2**32 - 1  # llama.cpp reads 32 bits of a seed, and this one as "draw one at random"
_OWN_KEYS = {
    "num_ctx": "num_ctx",
    "num_predict": "max_new_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "stop": "stop",
}


def check_option_names(names: Iterable[str]) -> None:
    """Raises ValueError for an option that Ollama does not know, or that has a key of its own in the config."""
    for name in names:
        if name in _OWN_KEYS:
            raise ValueError(f"{name!r} has a key of its own, beside `options`: {_OWN_KEYS[name]}")
        if name not in OPTION_NAMES:
            near = difflib.get_close_matches(name, [*OPTION_NAMES, *_OWN_KEYS], 1)
            raise ValueError(f"Ollama knows no option {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def chat_body(
    request: Request,
    *,
    model: str,
    num_ctx: int,
    keep_alive: str | int,
    think: bool | str,
    options: Mapping[str, JsonValue],
) -> dict[str, JsonValue]:
    """The body of POST /api/chat.

    `truncate` and `shift` are false: by default an over-long prompt loses its beginning, which in a judge prompt is
    the rubric, under status 200. `num_ctx` is always sent and never changes, since another value reloads the model.
    """
    sampling = request.sampling
    drawn: dict[str, JsonValue] = {
        "num_ctx": num_ctx,
        "seed": None if sampling.seed is None else sampling.seed % _NO_SEED,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "num_predict": sampling.max_new_tokens,
        "stop": list(sampling.stop) or None,
    }
    body: dict[str, JsonValue] = {
        "model": model,
        "messages": [message.model_dump(mode="json") for message in request.messages],
        "stream": False,
        "think": think,
        "truncate": False,
        "shift": False,
        "keep_alive": keep_alive,
        "options": {**options, **{name: value for name, value in drawn.items() if value is not None}},
    }
    if request.json_schema is not None:
        body["format"] = request.json_schema
    if request.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    return body


def read_reply(body: Any, request: Request, reasons: Mapping[str, End] | None = None) -> Reply:
    """The status follows done_reason, by `reasons` and the words of other servers. Whether the prompt was read whole is
    not looked at here.

    Raises CallError for load, unload and a reply that was broken off, for no content with a reason that is missing or
    unknown, for an error under status 200, and NoLogprobs where the server ignored that it was asked for
    log-probabilities.
    """
    if not isinstance(body, dict):
        raise CallError(f"the server sent {type(body).__name__} where a chat reply was due")
    if body.get("error"):
        said = shortened(" ".join(str(body["error"]).split()), 300)
        raise CallError(f"the server sent an error under status 200: {said}")
    message, reason = body.get("message"), body.get("done_reason")
    if body.get("done") is not True or not isinstance(message, dict):
        raise CallError("the server sent half of a chat reply")
    content, thinking = message.get("content"), message.get("thinking")
    thinking = thinking if isinstance(thinking, str) else ""
    if not isinstance(content, str):
        raise CallError("the server sent a message without content")
    tokens = read_tokens(body.get("logprobs"), request, content, thinking)
    read, made = _count(body.get("prompt_eval_count")), _count(body.get("eval_count"))
    notes = [] if read else ["the server gave no prompt_eval_count: a cut prompt would go unseen"]
    if request.top_logprobs and thinking and not tokens:
        notes.append("the log-probabilities of the answer cannot be told from those of the thoughts: left out")
    usage = Usage(prompt_tokens=read, completion_tokens=made) if read else None
    reply = Reply(text=content, reasoning=thinking, tokens=tokens, usage=usage, notes=tuple(notes))
    end, tools = end_of(reason, reasons or {}), bool(message.get("tool_calls"))
    return ended(reply, "done_reason", reason, end, request.sampling.max_new_tokens, tools, "thoughts")


def _count(value: Any) -> int:
    """A number of tokens; 0 where the server left it out, or sent nonsense."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else 0
