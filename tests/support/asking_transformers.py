"""What every test of the backend `transformers` begins with: a backend of a folder, and a request of one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from judgekit import Message, Request, Sampling
from judgekit_transformers.backend import TransformersBackend, TransformersOptions


def backend_of(model: Path | str, **options: Any) -> TransformersBackend:
    return TransformersBackend(TransformersOptions(model=str(model), **options))


def asked(prompt: str, *continuations: str, top: int = 0, **sampling: Any) -> Request:
    message = Message(role="user", content=prompt)
    return Request(messages=(message,), continuations=continuations, sampling=Sampling(**sampling), top_logprobs=top)
