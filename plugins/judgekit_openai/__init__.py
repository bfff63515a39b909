"""Backend `openai`: chat completions by OpenAI, vLLM, llama.cpp, or any other server with their protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judgekit import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from judgekit import Backend


@hookimpl
def judgekit_backends() -> Mapping[str, type[Backend]]:
    from judgekit_openai.backend import OpenAIBackend

    return {"openai": OpenAIBackend}
