"""A run's folder on disk: what is written where, atomically, and how it is read back.

runs/<id>/record.json            manifest and estimates
          samples.jsonl          every sample, one a line
          responses/<system>.jsonl
          rows.jsonl             every measured row
          timing.json            wall clock and call counts; the only file that differs between equal runs
          baseline.json          a copy of the baseline that the run was compared with, if it was
          report.html, …         made from the files above
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from judgekit.errors import DataError, StorageError
from judgekit.records import Noun, Response, Row, RunRecord, RunView, Sample, to_json
from judgekit.words import counted

N = TypeVar("N", bound=Noun)
RECORD = "record.json"
BASELINE = "baseline.json"
TIMING = "timing.json"
SPEEDS = "tokens_per_second"  # in it: of each training


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into StorageError, with what to do about it."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        hint = "; free some space and start the same command again: nothing paid for is lost" if full else ""
        raise StorageError(f"cannot be written: {error.strerror}{hint}", path=path) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file or nothing; equal content is left untouched. Raises StorageError."""
    with storage_errors(path):
        if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def damage(error: ValueError | RecursionError) -> str:
    """What is wrong with a file's content, on one line and without the content."""
    if not isinstance(error, ValidationError):
        return f"damaged: {error}"
    first = error.errors(include_url=False, include_input=False)[0]
    where, what = ".".join(map(str, first["loc"])), str(first["msg"])
    return f"damaged: {f'{where}: ' if where else ''}{what[:1].lower()}{what[1:]}"


@dataclass(frozen=True)
class JsonLines(Generic[N]):
    """A file of nouns, one a line, read again each time it is iterated over."""

    path: Path
    noun: type[N]

    def __iter__(self) -> Iterator[N]:
        try:
            with self.path.open(encoding="ascii") as file:
                for number, line in enumerate(file, start=1):
                    try:
                        yield self.noun.model_validate(json.loads(line))
                    except (ValueError, RecursionError) as error:
                        raise DataError(damage(error), path=self.path, line=number) from None
        except UnicodeDecodeError as error:
            raise DataError(damage(error), path=self.path) from None
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=self.path) from None

    def write(self, nouns: Iterable[N]) -> str:
        """Stream the nouns to a new file that takes the old one's place when it is whole. Returns its sha256.

        The file is left untouched where the new one has the same bytes.
        """
        digest = hashlib.sha256()
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.{threading.get_ident()}")
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    for noun in nouns:
                        line = to_json(noun).encode("ascii") + b"\n"
                        digest.update(line)
                        file.write(line)
                if not (self.path.is_file() and _sha256(self.path) == digest.hexdigest()):
                    temporary.replace(self.path)
            finally:
                temporary.unlink(missing_ok=True)
        return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """An input file's sha256, in hex. Raises DataError where it cannot be read."""
    try:
        return _sha256(path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=256)
def _sha256_at(path: Path, size: int, changed: int) -> str:
    """The sha256 of a file as it was at that size and time: a process that opens a run again does not hash it again."""
    return _sha256(path)


def _check(lines: JsonLines[Any], written: str | None) -> None:
    """Raises StorageError, with the first damaged line where there is one, for a file that is not as it was written.

    `written` is its sha256 in the record; None where the record has none.
    """
    path = lines.path
    way_out = "restore it from a copy, or make the run again: the ledger holds its replies"
    try:
        state = path.stat()
        if written is not None and _sha256_at(path.absolute(), state.st_size, state.st_mtime_ns) == written:
            return
    except FileNotFoundError:
        raise StorageError(f"is missing, and belongs to the run: {way_out}", path=path) from None
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", path=path) from None
    if written is None:
        raise StorageError(f"{RECORD} has no sha256 of it, so it may be anything: {way_out}", path=path)
    try:
        there = counted(sum(1 for _ in lines), "line")
    except DataError as error:
        raise StorageError(f"{error.message}; {way_out}", path=error.place) from None
    raise StorageError(f"damaged: its {there} are not what the run wrote (its sha256 differs); {way_out}", path=path)


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def samples(self) -> JsonLines[Sample]:
        return JsonLines(self.path / "samples.jsonl", Sample)

    @property
    def rows(self) -> JsonLines[Row]:
        return JsonLines(self.path / "rows.jsonl", Row)

    def responses(self, system: str) -> JsonLines[Response]:
        return JsonLines(self.path / "responses" / f"{system}.jsonl", Response)

    def write_record(self, record: RunRecord) -> None:
        text = json.dumps(record.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False)
        write_atomically(self.path / RECORD, text.encode("ascii") + b"\n")

    def view(self) -> RunView:
        """The finished run. Raises what `record` does, and StorageError for a file that is not as the run wrote it."""
        record = self.record()
        _check(self.samples, record.files.get("samples.jsonl"))
        _check(self.rows, record.files.get("rows.jsonl"))
        for system in record.systems:
            responses, written = self.responses(system), record.files.get(f"responses/{system}.jsonl")
            if written is not None or responses.path.exists():
                _check(responses, written)
        return RunView(record, self.samples, _Responses(self, record.systems), self.rows)

    def record(self) -> RunRecord:
        """The record alone. Raises DataError where it is missing, damaged or of a newer judgekit."""
        path = self.path / RECORD
        try:
            tree = json.loads(path.read_text("ascii"))
            version = tree.get("schema_version") if isinstance(tree, dict) else None
            if isinstance(version, int) and version > RunRecord.model_fields["schema_version"].default:
                raise DataError(
                    f"written by a newer judgekit (schema {version}); update judgekit to read it", path=path
                )
            return RunRecord.model_validate(tree)
        except FileNotFoundError:
            raise DataError("no such file: name the folder of a finished run (runs/<id>)", path=path) from None
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=path) from None
        except (ValueError, RecursionError) as error:
            raise DataError(damage(error), path=path) from None


@dataclass(frozen=True)
class _Responses:
    """All systems' responses, one system after the other."""

    folder: RunFolder
    systems: tuple[str, ...]

    def __iter__(self) -> Iterator[Response]:
        for system in self.systems:
            if self.folder.responses(system).path.is_file():
                yield from self.folder.responses(system)


def timed(folder: RunFolder) -> dict[str, Any]:
    """What timing.json says; nothing where it is missing or damaged, for no result depends on it."""
    try:
        tree = json.loads((folder.path / TIMING).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}
