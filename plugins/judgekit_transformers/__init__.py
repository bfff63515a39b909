"""Backend `transformers`: Hugging Face models and GGUF files under PyTorch, inside this process; also SmolLM2, the
embedded judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judgekit import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from judgekit import Backend


@hookimpl
def judgekit_backends() -> Mapping[str, type[Backend]]:
    from judgekit_transformers.backend import TransformersBackend

    return {"transformers": TransformersBackend}
