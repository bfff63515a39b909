"""Reading of a chat completion's JSON as a Reply. Pure; an answer of an unknown shape is a CallError, never a guess."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from judgekit import CallError, Reply, Token, Usage, shortened
from judgekit_openai.words import End, end_of

_MOST = 2**31  # tokens; a larger number from a server is nonsense and is not used
_DECLINED = "the model refused to answer"
_REASONING = ("reasoning", "reasoning_content", "thinking")  # vLLM, llama.cpp and DeepSeek, others


def read_reply(
    body: Any, notes: tuple[str, ...] = (), *, reasons: Mapping[str, End] | None = None, cap: int | None = None
) -> Reply:
    """The first choice of a completion; its status follows its finish_reason, by `reasons` and the table of `words`.

    A reason that is missing or unknown beside content is a whole reply, unless it took as many tokens as it may have
    (`cap`): then it is taken to be cut. Without content it is a CallError, as is a reply that the server broke off. A
    reply that stopped to call a tool is not whole; one that is only a call is complete, and empty.
    """
    if not isinstance(body, dict):
        raise CallError(f"the server sent {type(body).__name__} where a chat completion was due")
    if body.get("error"):
        raise CallError(f"the server sent an error under status 200: {_words(body['error'])}")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        others = json.dumps({key: value for key, value in body.items() if value})
        raise CallError(f"the server sent a chat completion without choices: {shortened(others, 200)}")
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise CallError("the server sent a choice without a message")
    reply = Reply(
        text=_text(message.get("content")),
        reasoning=_reasoning(message),
        usage=_usage(body.get("usage")),
        notes=notes,
    )
    reason = choices[0].get("finish_reason")
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        reply = reply.model_copy(
            update={"status": "refused", "text": reply.text or message["refusal"], "detail": _DECLINED}
        )
    else:
        tools = bool(message.get("tool_calls") or message.get("function_call"))
        reply = ended(reply, "finish_reason", reason, end_of(reason, reasons or {}), cap, tools)
    spent = _reasoning_tokens(body.get("usage"))
    if reply.status == "truncated" and not reply.text and spent:
        detail = f"{reply.detail}; {spent} tokens went into reasoning: raise max_new_tokens"
        return reply.model_copy(update={"detail": detail})
    return reply


def read_tokens(body: Any) -> tuple[Token, ...]:
    """The generated tokens with their natural log-probabilities, and the likeliest alternatives at each place.

    Empty where the completion has no log-probabilities; CallError where they are of an unknown shape. −9999 is the
    API's "very unlikely", and is kept as it is.
    """
    logprobs = body["choices"][0].get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else logprobs
    if content is None:
        return ()
    try:
        return tuple(_token(item) for item in content)
    except (TypeError, KeyError, ValueError, AttributeError):
        raise CallError("the server sent log-probabilities of an unknown shape") from None


def answer_tokens(tokens: tuple[Token, ...], text: str) -> tuple[Token, ...]:
    """The last tokens, as many as make up the answer of a model that thought before it; none if no number of them
    does. Some servers give the tokens of the thoughts too."""
    said = ""
    for at in reversed(range(len(tokens))):
        said = tokens[at].text + said
        if said.strip() == text.strip() and said.strip():
            return tokens[at:]
    return ()


def _token(item: Any) -> Token:
    # JSON has no −∞: some servers write null for an alternative that cannot be.
    listed = [top for top in item.get("top_logprobs") or () if top["logprob"] is not None]
    tops = tuple((_string(top["token"]), _logprob(top["logprob"])) for top in listed)
    return Token(text=_string(item["token"]), logprob=_logprob(item["logprob"]), top=tops)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _logprob(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def ended(
    reply: Reply,
    named: str,
    reason: Any,
    end: End | None,
    cap: int | None,
    tools: bool = False,
    thoughts: str = "reasoning",
) -> Reply:
    """The reply with the status that `end` gives it. `named`: the field that holds the reason; `cap`: the most tokens
    that it may have; `tools`: it calls some; `thoughts`: what the server calls those."""
    only = ", only a tool call" if tools or end == "tool_calls" else f", only {thoughts}" if reply.reasoning else ""
    silent = "" if reply.text.strip() else f"no content{only}"
    if end == "content_filter":
        return reply.model_copy(update={"status": "refused", "detail": "cut by the server's content filter"})
    if end == "length":
        detail = "cut at the token limit" + (f"; the reply holds {silent}" if silent else "")
        return reply.model_copy(update={"status": "truncated", "detail": detail})
    taken = reply.usage.completion_tokens if reply.usage is not None else 0
    if end is None and cap is not None and taken >= cap:
        detail = f"taken as cut: it has all of its {cap} tokens, and why it ended is not known ({named} {reason!r})"
        return reply.model_copy(update={"status": "truncated", "detail": detail})
    if end == "error" or (end is None and silent and not tools and not reply.reasoning):
        broken = "the server broke off the reply" if end == "error" else "the reply holds no content"
        raise CallError(f"{broken}: {named} {reason!r}")
    if end == "tool_calls" and not silent:
        detail = f"it stopped to call a tool ({named} {reason!r}), so what it wrote is not the whole answer"
        return reply.model_copy(update={"status": "truncated", "detail": detail})
    if silent:
        return reply.model_copy(update={"detail": f"the reply holds {silent}"})
    if end is not None or reason is None or reason == "":
        return reply
    word = shortened(" ".join(str(reason).split()), 60)
    settled = f"`finish_reasons: {{{word}: stop}}` (or length) settles it"
    note = f"{named} {word!r} is not known and was taken as stop; {settled}"
    return reply.model_copy(update={"detail": note, "notes": (*reply.notes, note)})


def _text(content: Any) -> str:
    """The content: a string, null, or a list of parts (only those of text count)."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        if all(isinstance(text, str) for text in texts):
            return "".join(str(text) for text in texts)
    raise CallError(f"the server sent {type(content).__name__} as a message's content")


def _reasoning(message: dict[str, Any]) -> str:
    """The model's reasoning: in a field of the message, or in parts of its content."""
    said = next((text for key in _REASONING if isinstance(text := message.get(key), str) and text), "")
    content = message.get("content")
    if said or not isinstance(content, list):
        return said
    thoughts = [part.get("thinking") for part in content if isinstance(part, dict) and part.get("type") == "thinking"]
    return "".join(
        thought if isinstance(thought, str) else _text(thought)
        for thought in thoughts
        if isinstance(thought, str | list)
    )


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    counts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
    if not all(isinstance(count, int) and not isinstance(count, bool) and 0 <= count < _MOST for count in counts):
        return None
    return Usage(prompt_tokens=usage["prompt_tokens"], completion_tokens=usage["completion_tokens"])


def _reasoning_tokens(usage: Any) -> int:
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    spent = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return spent if isinstance(spent, int) and spent > 0 else 0


def _words(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return shortened(" ".join(str(message).split()), 300)
