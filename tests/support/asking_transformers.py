"""What every test of the backend `transformers` begins with: a backend of a folder, and a request of one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from judgekit import Message, Request, Sampling
from judgekit.testing import save_model
from judgekit_transformers.backend import TransformersBackend, TransformersOptions

KINDS = ("llama", "gpt2", "spaced", "t5", "bart")  # of the tiny models, those that can write


def folders_of(tmp_path_factory: pytest.TempPathFactory, *kinds: str) -> dict[str, Path]:
    """A tiny model of each kind, or of every kind."""
    here = tmp_path_factory.mktemp("models")
    return {kind: save_model(here / kind, kind) for kind in kinds or KINDS}  # type: ignore[arg-type]


def backend_of(model: Path | str, **options: Any) -> TransformersBackend:
    return TransformersBackend(TransformersOptions(model=str(model), **options))


def asked(prompt: str, *continuations: str, top: int = 0, **sampling: Any) -> Request:
    message = Message(role="user", content=prompt)
    return Request(messages=(message,), continuations=continuations, sampling=Sampling(**sampling), top_logprobs=top)
