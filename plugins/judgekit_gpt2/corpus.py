"""From documents to rows of tokens: a corpus is a flat file of token ids that is mapped, not read, into memory.

`tokens.bin` holds the documents one after the other, each with one end of text behind it, as little-endian integers;
`corpus.json` says how long each is, for which vocabulary, and what the sha256 of `tokens.bin` is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError
from torch import Tensor

import judgekit
from judgekit_gpt2 import checkpoint
from judgekit_gpt2.data import Batch
from judgekit_gpt2.documents import read_chunks
from judgekit_gpt2.tokens import Tokenizer

TOKENS = "tokens.bin"
MANIFEST = "corpus.json"

_Ids: TypeAlias = npt.NDArray[np.uint16 | np.uint32]
_Places: TypeAlias = npt.NDArray[np.int64]


class _Manifest(BaseModel):
    """`corpus.json`; `lengths` are the documents' tokens, their ends of text included."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    vocabulary: PositiveInt
    sha256: str
    lengths: list[PositiveInt] = Field(min_length=1)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents as token ids, each followed by one end of text."""

    data: _Ids  # [N] the whole of `tokens.bin`, memory-mapped
    starts: _Places  # [D] where each document begins in it
    lengths: _Places  # [D] tokens of each document, its end of text included

    @classmethod
    def build(cls, paths: Sequence[Path], tokenizer: Tokenizer, folder: Path, field: str | None = None) -> Corpus:
        """Encode the documents of files (see `documents`) into `folder`.

        Memory is bounded by the longest stretch of text without white space, not by the size of the files. A build
        that fails leaves the corpus that was there, or if it fails at the very end one that `open` refuses. Raises
        DataError for a file that is missing, empty or not UTF-8, and StorageError.
        """
        if not paths:
            raise judgekit.DataError("there is no text file to read")
        target = folder / TOKENS
        with checkpoint.writing(target) as temporary:
            manifest = _encode(paths, tokenizer, temporary, field)
        judgekit.write_atomically(folder / MANIFEST, manifest.model_dump_json().encode())
        return cls._map(target, manifest)

    @classmethod
    def open(cls, folder: Path) -> Corpus:
        """The corpus that was built in `folder`. Its tokens are read once, to check their sha256.

        Raises DataError, with the file, when one is missing, truncated, damaged or not of this corpus.
        """
        path, target = folder / MANIFEST, folder / TOKENS
        try:
            manifest = _Manifest.model_validate_json(path.read_bytes())
            size = target.stat().st_size
            with target.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{part}: " for part in first["loc"])
            raise judgekit.DataError(f"does not describe a corpus: {where}{first['msg']}", path=path) from None
        except OSError as error:
            raise judgekit.DataError(f"cannot be read: {error.strerror}", path=error.filename or target) from None
        expected = sum(manifest.lengths) * _type(manifest.vocabulary).itemsize
        if size != expected:
            raise judgekit.DataError(f"truncated or damaged: {size} bytes where {expected} are needed", path=target)
        if digest != manifest.sha256:
            raise judgekit.DataError(f"not the tokens that {MANIFEST} describes: another sha256", path=target)
        return cls._map(target, manifest)

    @classmethod
    def _map(cls, path: Path, manifest: _Manifest) -> Corpus:
        lengths = np.array(manifest.lengths, dtype=np.int64)
        data = np.memmap(path, dtype=_type(manifest.vocabulary), mode="r")
        return cls(data, np.cumsum(lengths) - lengths, lengths)

    def __len__(self) -> int:
        """The number of documents."""
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """The number of tokens, ends of text included."""
        return int(self.lengths.sum())

    def document(self, number: int, limit: int | None = None) -> list[int]:
        """The tokens of one document, its end of text included, or the first `limit` of them."""
        start, length = int(self.starts[number]), int(self.lengths[number])
        ids: list[int] = self.data[start : start + length][:limit].tolist()
        return ids

    def split(self, share: float, generator: torch.Generator) -> tuple[Corpus, Corpus]:
        """The documents to learn, and the share of them that is held out for validation, both in random order."""
        order = torch.randperm(len(self), generator=generator).numpy()
        held = round(share * len(self))
        return self._of(order[held:]), self._of(order[:held])

    def rows(self, length: int, stride: int | None = None, generator: torch.Generator | None = None) -> Rows:
        """The documents end to end, in random order if there is a generator, as rows of `length` + 1 tokens.

        A row begins at every `stride` tokens. With a stride of `length` (the default) each row shares one token with
        the next, so that every token but the first is once a target; what does not fill a row at the end is left out.
        A smaller stride makes rows overlap, a larger one skips text.
        """
        stride = length if stride is None else stride
        order = slice(None) if generator is None else torch.randperm(len(self), generator=generator).numpy()
        ends = np.cumsum(self.lengths[order])
        return Rows(self.data, ends, self.starts[order] - (ends - self.lengths[order]), length, stride)

    def _of(self, documents: _Places) -> Corpus:
        return replace(self, starts=self.starts[documents], lengths=self.lengths[documents])


@dataclass(frozen=True, eq=False)
class Rows:
    """Windows on a stream of documents; tokens are read when a batch of rows is asked for."""

    data: _Ids  # [N] memory-mapped
    ends: _Places  # [D] where each document ends in the stream
    shifts: _Places  # [D] how far each document stands in `data` from where it stands in the stream
    length: int
    stride: int

    def __len__(self) -> int:
        tokens = int(self.ends[-1]) if len(self.ends) else 0
        return max(0, (tokens - self.length - 1) // self.stride + 1)

    def batch(self, indices: Sequence[int] | Tensor) -> Tensor:
        """The rows of these numbers, [n, length + 1]."""
        rows = torch.as_tensor(indices, dtype=torch.long).numpy()
        places = rows[:, None] * self.stride + np.arange(self.length + 1)  # [n, length + 1] in the stream
        documents = np.searchsorted(self.ends, places, side="right")
        return torch.from_numpy(self.data[places + self.shifts[documents]].astype(np.int64))


@dataclass(frozen=True, eq=False)
class PackedBatches(Sequence[Batch]):
    """Batches [B, T] of rows [T + 1], each made when it is asked for; a slice makes none."""

    rows: Rows
    size: int
    order: Tensor  # [n] numbers of rows
    numbers: range  # of the batches

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> PackedBatches: ...
    def __getitem__(self, index: int | slice) -> Batch | PackedBatches:
        if isinstance(index, slice):
            return replace(self, numbers=self.numbers[index])
        start = self.numbers[index] * self.size
        tokens = self.rows.batch(self.order[start : start + self.size])
        return Batch(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())


def packed_batches(rows: Rows, size: int, generator: torch.Generator | None) -> PackedBatches:
    """All rows in batches of `size`, in random order if there is a generator; the last batch may be smaller."""
    count = len(rows)
    order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
    return PackedBatches(rows, size, order, range(-(-count // size)))


def _encode(files: Sequence[Path], tokenizer: Tokenizer, into: Path, field: str | None) -> _Manifest:
    """Write the tokens of all documents, chunk by chunk."""
    length, lengths = 0, []
    digest = hashlib.sha256()
    with into.open("wb") as file:
        for text, ends in read_chunks(files, field):
            ids = tokenizer.encode(text) + [tokenizer.end_of_text] * ends
            content = np.array(ids, dtype=_type(tokenizer.size)).tobytes()
            file.write(content)
            digest.update(content)
            length += len(ids)
            if ends:
                lengths.append(length)
                length = 0
    return _Manifest(vocabulary=tokenizer.size, sha256=digest.hexdigest(), lengths=lengths)


def _type(vocabulary: int) -> np.dtype[np.uint16 | np.uint32]:
    """The smallest type for token ids below `vocabulary`, of the same bytes on every machine."""
    return np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")
