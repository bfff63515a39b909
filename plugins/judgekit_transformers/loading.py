"""A checkpoint → tokenizer and model in memory, shared by all backends of this process that mean the same one."""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from judgekit import BackendError, CheckpointError
from judgekit_transformers import llama
from judgekit_transformers.gguf_file import GGUF


@dataclass(eq=False)
class Loaded:
    """transformers' tokenizer and model, ready to use; hold `lock` while either computes."""

    tokenizer: Any
    model: Any
    lock: threading.Lock = field(default_factory=threading.Lock)


_loaded: WeakValueDictionary[tuple[str, str, str], Loaded] = WeakValueDictionary()  # freed with their last backend
_loading = threading.Lock()


def load(path: Path, sha256: str, dtype: str, device: str) -> Loaded:
    """The model of this content. Raises CheckpointError for a damaged file, BackendError without the libraries."""
    with _loading:
        key = (sha256, dtype, device)
        loaded = _loaded.get(key)
        if loaded is None:
            loaded = _loaded[key] = _load(path, dtype, device)
        return loaded


def _load(path: Path, dtype: str, device: str) -> Loaded:
    import torch

    transformers = _transformers()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        tokenizer, model = _parts(path)
        model = model.to(device=torch.device(device), dtype=getattr(torch, dtype)).eval()
    except (CheckpointError, BackendError):
        raise
    except torch.OutOfMemoryError:
        raise BackendError(
            f"the model does not fit into the memory of {device}; choose a smaller one or dtype bfloat16"
        ) from None
    except Exception as error:  # safetensors, tokenizers and transformers each raise types of their own
        raise CheckpointError(f"transformers cannot load it: {_line(error)}", path=path) from error
    return Loaded(tokenizer, model)


def _transformers() -> Any:
    """The library, whose types say less than they seem to."""
    return importlib.import_module("transformers")


def _parts(path: Path) -> tuple[Any, Any]:
    import torch

    AutoModel, AutoTokenizer = _transformers().AutoModelForCausalLM, _transformers().AutoTokenizer
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if path.is_dir():
        tokenizer = AutoTokenizer.from_pretrained(path, **local)
        return tokenizer, _whole(
            AutoModel.from_pretrained(
                path, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **local
            ),
            path,
        )
    gguf = GGUF(path)
    if llama.supported(gguf):
        return llama.tokenizer(gguf), llama.model(gguf)
    local["gguf_file"] = path.name
    tokenizer = AutoTokenizer.from_pretrained(path.parent, **local)
    return tokenizer, AutoModel.from_pretrained(path.parent, dtype=torch.float32, **local)


def _whole(loaded: tuple[Any, dict[str, Any]], path: Path) -> Any:
    """The model, if the files held each of its weights: transformers would fill gaps with random numbers."""
    model, info = loaded
    wrong = sorted([*map(str, info.get("missing_keys", ())), *map(str, info.get("mismatched_keys", ()))])
    if wrong:
        raise CheckpointError(f"weights are missing or of another shape, first {wrong[0]}", path=path)
    return model


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"[:300]
