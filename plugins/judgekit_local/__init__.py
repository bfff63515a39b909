"""Backend `local`: a GGUF model under llama.cpp, inside this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judgekit import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from judgekit import Backend


@hookimpl
def judgekit_backends() -> Mapping[str, type[Backend]]:
    from judgekit_local.backend import LocalBackend

    return {"local": LocalBackend}
