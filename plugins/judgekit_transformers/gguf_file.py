"""The header of a GGUF file (format version 2 and 3) in a tenth of a second.

Why not gguf.GGUFReader: it makes several array views for each of the vocabulary's hundred thousand strings, which takes
seconds for what is two megabytes of text, and transformers reads the file several times.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgekit import CheckpointError

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class Tensor:
    """A tensor's place in the file. `shape` is in PyTorch's order: rows first. `kind` is GGML's number of the
    quantisation."""

    shape: tuple[int, ...]
    kind: int
    offset: int


class GGUF:
    """A GGUF file. `fields`: the metadata by name; `tensors` by name; `data`: the whole file, mapped into memory."""

    def __init__(self, path: Path) -> None:
        """Raises CheckpointError with the path where the file is truncated, damaged, or of another version."""
        self.path = path
        with path.open("rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self._read()
        except (struct.error, KeyError, UnicodeDecodeError, OverflowError, MemoryError) as error:
            raise CheckpointError("a truncated or damaged GGUF file", path=path) from error

    def _read(self) -> None:
        self._at = 4  # after the magic, which checkpoint.checked has seen
        version, tensors, fields = self._take("<IQQ")
        if version not in (2, 3):
            raise CheckpointError(f"GGUF version {version}, not 2 or 3", path=self.path)
        self.fields: dict[str, Any] = {}
        for _ in range(fields):
            name = self._string()
            self.fields[name] = self._value(self._take("<I")[0])
        infos = {}
        for _ in range(tensors):
            name, rank = self._string(), self._take("<I")[0]
            shape = self._take(f"<{rank}Q")
            kind, offset = self._take("<IQ")
            infos[name] = Tensor(shape[::-1], kind, offset)
        alignment = self.fields.get("general.alignment", 32)
        start = math.ceil(self._at / alignment) * alignment
        self.tensors = {name: Tensor(t.shape, t.kind, start + t.offset) for name, t in infos.items()}

    def _take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(layout, self.data, self._at)
        self._at += struct.calcsize(layout)
        return values

    def _string(self) -> str:
        (size,) = self._take("<Q")
        text = self.data[self._at : self._at + size]
        if len(text) != size:
            raise struct.error("a string runs past the end of the file")
        self._at += size
        return text.decode("utf-8")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._take("<" + _NUMBERS[kind])[0]
        inner, count = self._take("<IQ")
        if inner == _STRING:
            return [self._string() for _ in range(count)]
        return list(self._take(f"<{count}{_NUMBERS[inner]}"))
