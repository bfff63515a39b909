"""Reading of a chat completion's JSON as a Reply. Pure; an answer of an unknown shape is a CallError, never a guess."""

from __future__ import annotations

import math
from typing import Any

from judgekit import CallError, Reply, Token, Usage, shortened

_MOST = 2**31  # tokens; a larger number from a server is nonsense and is not used
_REASONING = ("reasoning", "reasoning_content", "thinking")  # vLLM, llama.cpp and DeepSeek, others

_CALLED = ("tool_calls", "function_call")  # finish reasons of a reply that calls a tool


def read_reply(body: Any, notes: tuple[str, ...] = ()) -> Reply:
    """The first choice of a completion.

    finish_reason `stop` → complete, `length` → truncated, `content_filter` or a `refusal` → refused. A tool call
    without content is complete, and empty. Anything else (a reason that is missing or unknown) is a CallError: such a
    reply may be half of one.
    """
    if not isinstance(body, dict):
        raise CallError(f"the server sent {type(body).__name__} where a chat completion was due")
    if body.get("error"):
        raise CallError(f"the server sent an error under status 200: {_words(body['error'])}")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise CallError("the server sent a chat completion without choices")
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
    called = reason in _CALLED or any(message.get(key) for key in ("tool_calls", "function_call"))
    reply = _with_status(reply, reason, message.get("refusal"), called)
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


def _with_status(reply: Reply, reason: Any, refusal: Any, called: bool = False) -> Reply:
    if isinstance(refusal, str) and refusal:
        return reply.model_copy(
            update={"status": "refused", "text": reply.text or refusal, "detail": "the model refused to answer"}
        )
    if reason == "content_filter":
        return reply.model_copy(update={"status": "refused", "detail": "cut by the server's content filter"})
    only = [what for what, there in (("reasoning", reply.reasoning), ("a tool call", called)) if there]
    silent = "" if reply.text.strip() else "no content" + (f", only {' and '.join(only)}" if only else "")
    if reason == "length":
        detail = "cut at the token limit" + (f"; the reply holds {silent}" if silent else "")
        return reply.model_copy(update={"status": "truncated", "detail": detail})
    if reason == "stop" or (silent and reason in _CALLED):
        return reply.model_copy(update={"detail": f"the reply holds {silent}"}) if silent else reply
    raise CallError(f"the reply ended with finish_reason {reason!r}, which is neither stop, length nor content_filter")


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
