"""Backend `ollama`: a local Ollama server by its native API."""

from __future__ import annotations

import judgekit


@judgekit.hookimpl
def judgekit_backends() -> dict[str, type[judgekit.Backend]]:
    from judgekit_ollama.backend import OllamaBackend

    return {"ollama": OllamaBackend}
