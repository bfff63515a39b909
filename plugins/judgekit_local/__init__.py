"""Backend `local`: a GGUF model under llama.cpp, inside this process."""

from __future__ import annotations

import judgekit


@judgekit.hookimpl
def judgekit_backends() -> dict[str, type[judgekit.Backend]]:
    from judgekit_local.backend import LocalBackend

    return {"local": LocalBackend}
