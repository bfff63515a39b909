"""A fake of OpenAI's chat completions on loopback: scripted replies and faults in the shapes of the real API.

The shapes are proven by the official `openai` client in tests/openai. It does not stream. Its Batch API is in
openai_batches.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from json_server import Answer, Call, JsonServer
from openai_batches import Batches

Script = Callable[[dict[str, Any]], Answer | str] | Iterable[Answer | str] | str


def completion(
    text: str | None,
    *,
    finish_reason: str | None = "stop",
    refusal: str | None = None,
    model: str = "gpt-fake",
    prompt_tokens: int = 12,
    completion_tokens: int = 3,
    logprobs: list[dict[str, Any]] | None = None,
    **message: Any,
) -> Answer:
    """A chat completion; `message` adds fields to the message, such as `reasoning_content`."""
    content = None if logprobs is None else {"content": logprobs, "refusal": None}
    said = {"role": "assistant", "content": text, "refusal": refusal, **message}
    choice = {"index": 0, "message": said, "logprobs": content, "finish_reason": finish_reason}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    head = {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1_700_000_000, "model": model}
    usage |= {"total_tokens": prompt_tokens + completion_tokens}
    return Answer({**head, "choices": [choice], "usage": usage, "system_fingerprint": "fp_fake"})


def failure(
    status: int,
    message: str,
    *,
    code: str | int | None = None,
    kind: str = "invalid_request_error",
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """An error in OpenAI's shape."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return Answer({"error": error}, status=status, headers=headers or {})


def refuse_parameter(param: str, code: str = "unsupported_value") -> Answer:
    """What a reasoning model says to a sampling parameter."""
    return failure(400, f"Unsupported value: '{param}' does not support 0 with this model.", code=code, param=param)


class OpenAIFake(JsonServer):
    """`script`: one reply for all, a function of the request body, or replies in turn of which the last stays.

    `key`: the only one that is let in. `models`: the names of GET /models; a chat with another one is a 404.
    `batches` is its Batch API, whose lines are answered by the same script; None takes it away.
    """

    def __init__(self, script: Script = "50", *, key: str | None = None, models: Iterable[str] = (), port: int = 0):
        super().__init__(port=port)
        self.key = key
        self.models = list(models)
        self._function = script if callable(script) else None
        self._turns = [] if callable(script) else [script] if isinstance(script, str) else list(script)
        self._lock = threading.Lock()
        self.batches: Batches | None = Batches(self.chat)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the chat requests so far."""
        return [call.body for call in self.calls if call.path == "/v1/chat/completions"]

    def respond(self, call: Call) -> Answer:
        if self.key is not None and call.headers.get("authorization") != f"Bearer {self.key}":
            return failure(401, "Incorrect API key provided.", code="invalid_api_key")
        if call.method == "GET" and call.path == "/v1/models":
            listed = [{"id": name, "object": "model", "created": 0, "owned_by": "fake"} for name in self.models]
            return Answer({"object": "list", "data": listed})
        if self.batches is not None and (answer := self.batches.respond(call)) is not None:
            return answer
        if call.method != "POST" or call.path != "/v1/chat/completions":
            return failure(404, f"Invalid URL ({call.method} {call.path})")
        return self.chat(call.body)

    def chat(self, body: dict[str, Any]) -> Answer:
        """The answer to one chat completion, asked for alone or as a line of a batch."""
        if self.models and body.get("model") not in self.models:
            message = f"The model `{body.get('model')}` does not exist or you do not have access to it."
            return failure(404, message, code="model_not_found")
        answer = self._function(body) if self._function else self._next()
        return completion(answer) if isinstance(answer, str) else answer

    def _next(self) -> Answer | str:
        with self._lock:
            return self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]
