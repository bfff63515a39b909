"""The documents of files: plain text, where `<|endoftext|>` sets them apart, or a field of JSON, JSONL or a table."""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import judgekit
import judgekit.data
from judgekit_gpt2.tokens import END_OF_TEXT

FIELDS = ("text", "content", "document", "body")  # the usual names of a document's text
# Marks of other vocabularies, which to GPT-2's are text.
OTHER_MARKS = re.compile(
    r"</?s>|<\|?(?:end|begin|start)_?of_?text\|?>|<\|?(?:im_end|im_start|eot_id|eot|end)\|>|<\|?[be]os\|?>|\[EOS\]"
)
_JSON = re.compile(r'\ufeff?\s*(?:\[\s*)?\{\s*"[^"\n]*"\s*:')
_TAG = re.compile(r"</[A-Za-z][\w:-]*\s*>|<br ?/?>|&(?:nbsp|amp|lt|gt|quot|#\d+);")
_TAGS = 2000  # characters of text in which one tag is enough to be called markup
_LOOKED_AT, _FEWEST = 50, 5  # lines by which a table is told
_BLOCK = 1 << 17  # bytes that are read, and characters that are encoded, at a time
# Where text may be cut without a change to its tokens: before white space that is followed by something else. No token
# reaches beyond a piece of tokens.PIECES, and a piece begins there whatever stands before: words end at white space,
# and of a stretch of white space all but the last character is one piece. (U+001C to U+001F are white space to Python
# alone.) Not before what may be a separator: white space before it is the end of a text.
_CUT = re.compile(r"(?=[^\S\x1c-\x1f]\S)(?!\s<(?:\||\Z))")


def read_chunks(paths: Iterable[Path], field: str | None = None) -> Iterator[tuple[str, bool]]:
    """The documents of files, as chunks of bounded size: a text, and whether the document ends with it.

    In text, `<|endoftext|>` sets documents apart; empty lines around a document are not part of it. In JSON, JSONL and
    tables each item is one, by its `field` (None: a usual name). A document is cut only where that leaves its tokens as
    they are, so the bound gives way to a longer stretch without white space. What may be markup is said on standard
    error. Raises DataError, with the file and for bad UTF-8 the byte.
    """
    for path in paths:
        marks, tags, length = Counter[str](), Counter[str](), 0
        for text, ends in _chunks(path, field):
            marks.update(OTHER_MARKS.findall(text) if "<" in text or "[EOS]" in text else ())
            tags.update(tag.lower() for tag in _TAG.findall(text) if tag != "</s>")
            length += len(text)
            yield text, ends
        if not length:
            raise judgekit.DataError("is empty", path=path)
        if marks:
            said = ", ".join(f"{count} × {mark}" for mark, count in marks.items())
            judgekit.data.tell_once(f"{path.name}: {said} is learnt as text: {END_OF_TEXT} sets documents apart")
        if tags and tags.total() * _TAGS > length:
            most = ", ".join(f"{count} × {tag}" for tag, count in tags.most_common(3))
            judgekit.data.tell_once(f"{path.name}: looks like markup, which is learnt as it stands: {most}")


def _chunks(path: Path, field: str | None) -> Iterator[tuple[str, bool]]:
    rest, begun = "\n", False
    blocks = _texts(path, field) if judgekit.data.holds_objects(path) else _plain(path)
    for block in chain(blocks, [f"\n{END_OF_TEXT}\n"]):
        *ended, rest = (rest + block).split(END_OF_TEXT)
        for text in ended:
            text = text.rstrip("\n") if begun else text.strip("\n")
            if text or begun:
                yield text, True
            begun = False
        # Only the new block is searched: what was there before it had no place to cut, or is too small for it.
        if cut := _CUT.search(rest, max(_BLOCK, len(rest) - len(block) - 1)):
            text, rest = rest[: cut.start()], rest[cut.start() :]
            if text := text if begun else text.lstrip("\n"):
                yield text, False
                begun = True


def _texts(path: Path, field: str | None) -> Iterator[str]:
    """The texts of a file of items, with a separator behind each."""
    for entry in judgekit.data.read_objects(path):
        names = [name for name in FIELDS if name in entry.fields]
        if field is None and len(names) != 1:
            there = ", ".join(map(repr, entry.fields))
            raise entry.error(f"which field is a document's text? It has {there}; `field: NAME` (--set field=NAME)")
        field = field or names[0]
        try:
            text = judgekit.data.value_at(entry.fields, field)
        except ValueError as error:
            raise entry.error(str(error)) from None
        if not isinstance(text, str):
            raise entry.error(f"no {field!r}" if text is None else f"{field!r} is not a text")
        yield f"{text}\n{END_OF_TEXT}\n"


def _plain(path: Path) -> Iterator[str]:
    """The blocks of a text file. Raises DataError for one that is JSON by another name."""
    for number, block in enumerate(_blocks(path)):
        if not number:
            _check_is_text(block, path)
        yield block


def _check_is_text(block: str, path: Path) -> None:
    if _JSON.match(block):
        raise judgekit.DataError("looks like JSON: such a file ends in .json or .jsonl", path=path, line=1)
    lines = [line for line in block.split("\n")[:_LOOKED_AT] if line.strip()]
    for sign, name in (("\t", "tabs"), (",", "commas"), (";", "semicolons"), ("|", "bars")):
        counts = {line.count(sign) for line in lines}
        if len(lines) >= _FEWEST and len(counts) == 1 and counts != {0}:
            said = f"looks like a table whose columns {name} divide, which is learnt as it stands"
            judgekit.data.tell_once(f"{path.name}: {said}; named .csv, a field of it is learnt")


def _blocks(path: Path) -> Iterator[str]:
    """A file's text, block by block, with every line end as a newline."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
    done = 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                pending = len(decoder.getstate()[0])
                yield newlines.decode(block)
                done += len(block)
            pending = len(decoder.getstate()[0])
            yield newlines.decode(b"", final=True)
    except UnicodeDecodeError as error:
        place = done - pending + error.start
        raise judgekit.DataError(f"not UTF-8 text: {error.reason} at byte {place}", path=path) from None
    except FileNotFoundError:
        raise judgekit.DataError("no such file", path=path) from None
    except OSError as error:
        raise judgekit.DataError(f"cannot be read: {error.strerror}", path=path) from None
