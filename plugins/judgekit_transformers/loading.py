"""A checkpoint → tokenizer and model in memory, shared by all backends of this process that mean the same one."""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from judgekit import BackendError, CheckpointError, shortened
from judgekit_transformers import llama
from judgekit_transformers.gguf_file import GGUF
from judgekit_transformers.metadata import Kind, metadata_of, refuse_encoders, refuse_vocabulary, window


@dataclass(eq=False)
class Loaded:
    """transformers' tokenizer and model, ready to use; hold `lock` while either computes.

    `prefix`: the tokens of the prompt read last and the cache of its keys and values (see loglikelihood.py).
    `margin`: see generation.py; asked for once.
    """

    tokenizer: Any
    model: Any
    kind: Kind = "causal"
    lock: threading.Lock = field(default_factory=threading.Lock)
    prefix: tuple[list[int], Any] | None = None
    margin: float | str | None = "not tried"

    @cached_property
    def window(self) -> int | None:
        """The number of tokens that the model was made for; None where neither its config nor its tokenizer says."""
        config = self.model.config.get_text_config(decoder=True)
        named = config.to_dict() | {"max_position_embeddings": getattr(config, "max_position_embeddings", None)}
        return window(named, getattr(self.tokenizer, "model_max_length", None))

    @cached_property
    def rows(self) -> int:
        """The number of tokens that the model knows."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end an answer, by the tokenizer and by the model's generation config."""
        named = self.model.generation_config.eos_token_id
        several = named if isinstance(named, list) else [named]
        return tuple(sorted({token for token in (*several, self.tokenizer.eos_token_id) if token is not None}))

    @cached_property
    def beginning(self) -> list[int]:
        """The tokens that an encoder-decoder's decoder reads before an answer; `load` has made sure that it is
        there."""
        config = self.model.generation_config
        return [token for token in (config.decoder_start_token_id, config.forced_bos_token_id) if token is not None]


_loaded: WeakValueDictionary[tuple[str, str, str], Loaded] = WeakValueDictionary()  # freed with their last backend
_loading = threading.Lock()


def load(path: Path, sha256: str, dtype: str, device: str) -> Loaded:
    """The model of this content. Raises CheckpointError for a damaged file, BackendError without the libraries."""
    with _loading:
        key = (sha256, dtype, device)
        loaded = _loaded.get(key)
        if loaded is None:
            loaded = _loaded[key] = load_apart(path, dtype, device)
        return loaded


def load_apart(path: Path, dtype: str, device: str) -> Loaded:
    """The same, shared with nobody: its weights may be changed."""
    import torch

    transformers = _transformers()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        loaded = _parts(path, getattr(torch, dtype))
        loaded.model = loaded.model.to(torch.device(device)).eval()
        _only_structure(loaded, path)
    except (CheckpointError, BackendError):
        raise
    except torch.OutOfMemoryError:
        raise BackendError(
            f"the model does not fit into the memory of {device}; choose a smaller one or dtype bfloat16"
        ) from None
    except Exception as error:  # safetensors, tokenizers and transformers each raise types of their own
        raise CheckpointError(f"transformers cannot load it: {_line(error)}", path=path) from error
    vocabulary = getattr(loaded.tokenizer, "vocab_size", 0)
    refuse_vocabulary(vocabulary, loaded.rows, path)
    return loaded


def _transformers() -> Any:
    """The library, whose types say less than they seem to."""
    return importlib.import_module("transformers")


def _parts(path: Path, dtype: Any) -> Loaded:
    """From local files alone, and never with code that lies beside them."""
    transformers = _transformers()
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    folder = path
    if path.is_file():
        gguf = GGUF(path)
        if llama.supported(gguf):
            return Loaded(llama.tokenizer(gguf), llama.model(gguf, dtype))
        folder, local = path.parent, local | {"gguf_file": path.name}
        kind = metadata_of(path).kind
    else:
        config = transformers.AutoConfig.from_pretrained(path, **local)
        refuse_encoders(type(config).__name__, config.model_type, bool(getattr(config, "is_decoder", False)), path)
        kind = "seq2seq" if config.is_encoder_decoder else "causal"
        local |= {"use_safetensors": True}
    AutoModel = transformers.AutoModelForSeq2SeqLM if kind == "seq2seq" else transformers.AutoModelForCausalLM
    tokenizer_options = {name: value for name, value in local.items() if name != "use_safetensors"}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **tokenizer_options)
    model = _whole(AutoModel.from_pretrained(folder, dtype=dtype, output_loading_info=True, **local), path)
    return Loaded(tokenizer, model, kind)


def _only_structure(loaded: Loaded, path: Path) -> None:
    """Of the folder's generation config keep what the model's answers are made of, and not how to draw them: its
    penalties, bans and beams would reach into every reply, where no config of judgekit's shows them."""
    given, config = loaded.model.generation_config, loaded.model.config
    names = ("bos_token_id", "eos_token_id", "decoder_start_token_id", "forced_bos_token_id")
    kept = {name: getattr(given, name, None) for name in names}
    if kept["decoder_start_token_id"] is None:
        kept["decoder_start_token_id"] = getattr(config, "decoder_start_token_id", None)
    if loaded.kind == "seq2seq" and kept["decoder_start_token_id"] is None:
        raise CheckpointError("its config names no decoder_start_token_id, with which answers begin", path=path)
    loaded.model.generation_config = _transformers().GenerationConfig(**kept)


def _whole(loaded: tuple[Any, dict[str, Any]], path: Path) -> Any:
    """The model, if the files held each of its weights: transformers would fill gaps with random numbers."""
    model, info = loaded
    wrong = sorted([*map(str, info.get("missing_keys", ())), *map(str, info.get("mismatched_keys", ()))])
    if wrong:
        raise CheckpointError(f"weights are missing or of another shape, first {wrong[0]}", path=path)
    return model


def _line(error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return "it needs code from its folder (trust_remote_code), which judgekit never runs"
    return shortened(f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}", 300)
