"""Reading of the log-probabilities in a chat reply as Tokens. Pure; an unknown shape is a CallError."""

from __future__ import annotations

import sys
from typing import Any

from judgekit import BackendError, CallError, Request, Token

_ROUNDING = 1e-4  # a log-probability of 0 may come out as a little more


class NoLogprobs(BackendError):
    """The server ignored that it was asked for log-probabilities, as servers before 0.12.11 do."""


def read_tokens(entries: Any, request: Request, content: str, thinking: str) -> tuple[Token, ...]:
    """The tokens of the answer, each with at most `request.top_logprobs` alternatives.

    Ollama gives the tokens of the thoughts too. They are left out; where the answer's own cannot be told from them,
    there are none. Raises NoLogprobs where the server gave none, or none with alternatives.
    """
    if not request.top_logprobs:
        return ()
    if not entries:
        if content or thinking:
            raise NoLogprobs("the Ollama server answered without the log-probabilities that it was asked for")
        return ()  # the model ended its reply at once
    if not isinstance(entries, list):
        raise CallError(f"the server sent {type(entries).__name__} where log-probabilities were due")
    tokens = [_token(entry, request.top_logprobs) for entry in entries]
    if not any(token.top for token in tokens):
        raise NoLogprobs("the Ollama server gave log-probabilities without the alternatives that it was asked for")
    return _answer(tokens, content) if thinking else tuple(tokens)


def _token(entry: Any, most: int) -> Token:
    text, logprob = _pair(entry)
    top = entry.get("top_logprobs") or []
    if not isinstance(top, list):
        raise CallError(f"the server sent {type(top).__name__} where alternatives of a token were due")
    return Token(text=text, logprob=logprob, top=tuple(_pair(other) for other in top[:most]))


def _pair(entry: Any) -> tuple[str, float]:
    text, logprob = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
    if not isinstance(text, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        raise CallError("the server sent a token without its text or its log-probability")
    if not -sys.float_info.max <= logprob <= _ROUNDING:  # JSON's 1e999 is read as infinity
        raise CallError(f"the server sent {str(logprob)[:30]} as a log-probability")
    return text, min(float(logprob), 0.0)


def _answer(tokens: list[Token], content: str) -> tuple[Token, ...]:
    """The last tokens, as many as make up the answer; none if no number of them does."""
    text = ""
    for at in reversed(range(len(tokens))):
        text = tokens[at].text + text
        if text.strip() == content.strip() and text.strip():
            return tuple(tokens[at:])
    return ()
