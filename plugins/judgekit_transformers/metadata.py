"""Metadata of a model, from its config and the headers of its files: enough to refuse it before anything is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from judgekit import CheckpointError
from judgekit_transformers.gguf_file import GGUF

Kind = Literal["causal", "seq2seq"]

GGUF_MAGIC = b"GGUF"
_WINDOWS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
_UNBOUNDED = 10**9  # transformers' model_max_length of tokenizers that know no bound is 10**30
_HEADLESS = (  # ends of the names of architectures that have no language-model head
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
    "ForMaskedLM",
    "ForNextSentencePrediction",
    "EncoderModel",
)
_ENCODER_TYPES = """
    albert bert big_bird camembert convbert deberta deberta-v2 distilbert electra ernie esm eurobert fnet funnel ibert
    jina-bert-v2 layoutlm longformer luke megatron-bert mobilebert modernbert mpnet nomic-bert nomic_bert nystromformer
    rembert roberta roberta-prelayernorm roformer t5encoder xlm-roberta xlm-roberta-xl xmod
"""
_ENCODERS = frozenset(_ENCODER_TYPES.split())


@dataclass(frozen=True)
class Metadata:
    """A model's kind and limits. `window`: how many tokens the model was made for, None where nothing says; `fixed`: it
    cannot read more. `base_tokens`, `rows`: the size of the tokenizer's vocabulary without added tokens, and of the
    model's; 0 where unknown."""

    name: str
    kind: Kind
    window: int | None
    fixed: bool
    chat_template: bool
    base_tokens: int = 0
    rows: int = 0


def metadata_of(path: Path) -> Metadata:
    """Of a folder or file that `checkpoint.checked` has seen. Raises CheckpointError for a model that cannot write."""
    return _of_folder(path) if path.is_dir() else _of_gguf(path)


def _of_folder(path: Path) -> Metadata:
    config = read_json(path / "config.json")
    settings = _json_if_there(path / "tokenizer_config.json")
    model_type = str(config.get("model_type", ""))
    names = config.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else model_type
    refuse_encoders(name, model_type, bool(config.get("is_decoder")), path)
    text = config.get("text_config")
    inner = config | text if isinstance(text, dict) else config  # models that also see pictures
    rows = inner.get("vocab_size")
    kind: Kind = "seq2seq" if config.get("is_encoder_decoder") else "causal"
    templates = ("chat_template.jinja", "chat_template.json")
    return Metadata(
        name=name or "a model of unknown architecture",
        kind=kind,
        window=window(inner, settings.get("model_max_length")),
        # T5's positions are relative: it was made for 512 tokens, and reads more.
        fixed=kind == "causal" or "max_position_embeddings" in inner,
        chat_template=bool(settings.get("chat_template")) or any((path / name).is_file() for name in templates),
        base_tokens=_base_tokens(path / "tokenizer.json"),
        rows=rows if isinstance(rows, int) else 0,
    )


def _of_gguf(path: Path) -> Metadata:
    fields = GGUF(path).fields
    name = str(fields.get("general.architecture", "a model of unknown architecture"))
    refuse_encoders(name, name, False, path)
    return Metadata(
        name=str(fields.get("general.name", name)),
        kind="seq2seq" if name == "t5" else "causal",
        window=window({"max_position_embeddings": fields.get(f"{name}.context_length")}, None),
        fixed=name != "t5",
        chat_template=bool(fields.get("tokenizer.chat_template")),
    )


def window(config: dict[str, Any], tokenizers: Any) -> int | None:
    """The number of tokens that a model with this config was made for; else the bound that its tokenizer names."""
    named = [*(config.get(name) for name in _WINDOWS), tokenizers]
    return next((int(n) for n in named if isinstance(n, int) and not isinstance(n, bool) and 0 < n < _UNBOUNDED), None)


def refuse_encoders(name: str, model_type: str, is_decoder: bool, path: Path) -> None:
    """Raises CheckpointError for a model that reads texts and cannot write them."""
    if model_type in _ENCODERS and not is_decoder:
        why = "is an encoder: it reads texts and cannot write them"
    elif name.endswith(_HEADLESS):
        why = "has no language-model head: it labels texts and cannot write them"
    else:
        return
    raise CheckpointError(f"{name} {why}; a causal model or one from text to text is needed", path=path)


def refuse_vocabulary(tokens: int, rows: int, path: Path) -> None:
    """Raises CheckpointError where a tokenizer of so many tokens is not the one of a model with so many rows."""
    if tokens > rows > 0:
        raise CheckpointError(
            f"the tokenizer has {tokens:,} tokens and the model knows {rows:,}: it is not this model's tokenizer",
            path=path,
        )


def _base_tokens(path: Path) -> int:
    """1 + the highest id of the vocabulary, without added tokens (a padding token that nothing uses may lie outside of
    the model's vocabulary); 0 where there is no tokenizer.json."""
    inner = _json_if_there(path).get("model")
    vocabulary = inner.get("vocab") if isinstance(inner, dict) else None
    if isinstance(vocabulary, dict):
        return 1 + max((n for n in vocabulary.values() if isinstance(n, int)), default=-1)
    return len(vocabulary) if isinstance(vocabulary, list) else 0


def _json_if_there(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def read_json(path: Path) -> dict[str, Any]:
    """Raises CheckpointError where the file is no JSON object."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"not to be read as JSON: {error}", path=path) from None
    if not isinstance(value, dict):
        raise CheckpointError("not a JSON object", path=path)
    return value


def read_safetensors_header(path: Path) -> None:
    """Raises CheckpointError where a safetensors file is no such file or is cut off; its numbers are not read.

    The format: 8 bytes with the length of a JSON header, the header with each tensor's place, the tensors.
    https://github.com/huggingface/safetensors#format
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start == b"version ":
            raise CheckpointError("a Git LFS pointer, not the weights: git lfs pull", path=path)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:
            raise CheckpointError("a truncated or damaged safetensors file", path=path)
        head = file.read(length)
    try:
        tensors = json.loads(head)
        ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
        whole = 8 + length + max(ends, default=0)
    except (ValueError, AttributeError, KeyError, IndexError, TypeError, RecursionError):
        raise CheckpointError("a truncated or damaged safetensors file", path=path) from None
    if size != whole:
        raise CheckpointError(f"a truncated safetensors file: {size:,} bytes of {whole:,}", path=path)
