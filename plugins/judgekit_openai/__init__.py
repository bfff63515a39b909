"""Backend `openai`: chat completions by OpenAI, vLLM, llama.cpp, or any other server with their protocol."""

from __future__ import annotations

import judgekit


@judgekit.hookimpl
def judgekit_backends() -> dict[str, type[judgekit.Backend]]:
    from judgekit_openai.backend import OpenAIBackend

    return {"openai": OpenAIBackend}
