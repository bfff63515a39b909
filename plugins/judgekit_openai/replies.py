"""A chat completion's JSON → Reply. Pure; an answer of an unknown shape is a CallError, never a guess."""

from __future__ import annotations

from typing import Any

from judgekit import CallError, Reply, Usage

_REASONING = ("reasoning", "reasoning_content", "thinking")  # vLLM, llama.cpp and DeepSeek, others


def read_reply(body: Any, notes: tuple[str, ...] = ()) -> Reply:
    """The first choice of a completion.

    finish_reason `stop` → complete, `length` → truncated, `content_filter` or a `refusal` → refused. Anything else
    (a tool call, a reason that is missing or unknown) is a CallError: such a reply may be half of one.
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
        reasoning=next((text for key in _REASONING if isinstance(text := message.get(key), str) and text), ""),
        usage=_usage(body.get("usage")),
        notes=notes,
    )
    return _with_status(reply, choices[0].get("finish_reason"), message.get("refusal"))


def _with_status(reply: Reply, reason: Any, refusal: Any) -> Reply:
    if isinstance(refusal, str) and refusal:
        return reply.model_copy(
            update={"status": "refused", "text": reply.text or refusal, "detail": "the model refused to answer"}
        )
    if reason == "content_filter":
        return reply.model_copy(update={"status": "refused", "detail": "cut by the server's content filter"})
    silent = "" if reply.text else "no content" + (", only reasoning" if reply.reasoning else "")
    if reason == "length":
        detail = "cut at the token limit" + (f"; the reply holds {silent}" if silent else "")
        return reply.model_copy(update={"status": "truncated", "detail": detail})
    if reason == "stop":
        return reply.model_copy(update={"detail": f"the reply holds {silent}"}) if silent else reply
    raise CallError(f"the reply ended with finish_reason {reason!r}, which is neither stop, length nor content_filter")


def _text(content: Any) -> str:
    """The content: a string, null, or a list of parts of which the text ones count."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        if all(isinstance(text, str) for text in texts):
            return "".join(str(text) for text in texts)
    raise CallError(f"the server sent {type(content).__name__} as a message's content")


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    counts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    return Usage(prompt_tokens=usage["prompt_tokens"], completion_tokens=usage["completion_tokens"])


def _words(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(message).split())[:300]
