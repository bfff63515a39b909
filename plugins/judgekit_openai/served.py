"""What servers say of the model that they serve, as part of a judge's identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from pydantic import JsonValue

_VLLM = ("root", "max_model_len")
_LLAMA_CPP = ("n_params", "size", "n_vocab")  # of the model's file, in `meta`


def served_by_vllm(listed: Sequence[Mapping[str, Any]], model: str) -> dict[str, JsonValue]:
    """vLLM's entry for the model: the weights behind its name, and the longest prompt. Nothing of other servers."""
    entry = next((item for item in listed if item.get("id") == model), {})
    return {key: value for key in _VLLM if isinstance(value := entry.get(key), str | int)}


def served_by_llama_cpp(listed: Sequence[Mapping[str, Any]], props: Any) -> dict[str, JsonValue]:
    """llama.cpp's model file by its name and size, its alias, and the server's build. One server serves one model,
    however it is called. The file's folder is left out: it says where a server is, and not who it is."""
    meta: Mapping[str, Any] = next((item["meta"] for item in listed if isinstance(item.get("meta"), dict)), {})
    served: dict[str, JsonValue] = {key: value for key in _LLAMA_CPP if isinstance(value := meta.get(key), int)}
    told = props if isinstance(props, dict) else {}
    if isinstance(path := told.get("model_path"), str) and path:
        served["file"] = PurePath(path.replace("\\", "/")).name
    names = {"alias": "model_alias", "build": "build_info"}
    return served | {key: told[name] for key, name in names.items() if isinstance(told.get(name), str) and told[name]}
