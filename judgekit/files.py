"""Files, written whole or not at all, and read back with errors that name the place."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

from judgekit.errors import DataError, StorageError
from judgekit.records import Noun, to_json

N = TypeVar("N", bound=Noun)
T = TypeVar("T")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into StorageError, with what to do about it."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        hint = "; free some space and start the same command again: nothing paid for is lost" if full else ""
        raise StorageError(f"cannot be written: {error.strerror}{hint}", path=path) from error


@contextmanager
def locked(handle: int, *, waiting: bool = True) -> Iterator[None]:
    """Hold the lock of an open file or folder, which the kernel frees when the process dies. Raises BlockingIOError
    where another has it and this is not `waiting`. Where there are no such locks (Windows), nobody is kept off."""
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if waiting else fcntl.LOCK_NB))
    yield  # closing the file frees it


def ordinary(path: Path) -> Path:
    """The path, unless a device or a pipe is there, which may never end. Raises OSError."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "a device or a pipe, and no file", str(path))
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file or nothing; equal content is left untouched. Raises StorageError."""
    with storage_errors(path):
        if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
            return
        with _temporary(path) as temporary:
            with temporary.open("wb") as file, locked(file.fileno()):
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _replace(temporary, path)


def _replace(temporary: Path, path: Path) -> None:
    """Put the file in its place for good: a crash of the machine leaves the old one or the new one, whole."""
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the disk take which files are in a folder, and which are gone. Raises OSError."""
    if os.name == "nt":
        return  # where a folder cannot be opened
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """The name of a new file beside a path, whose folder is made; what is left of the file is deleted at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def tidy(folder: Path) -> None:
    """Delete what processes that are gone have left of their writing in a folder and below it."""
    for left in folder.rglob(".*.[0-9]*.[0-9]*"):
        if _lives(left.name.split(".")[-2]) or not left.is_file():
            continue
        # One that is gone here may live in another container, or on another machine: then it has the lock.
        with (
            suppress(BlockingIOError, FileNotFoundError),
            left.open("rb") as file,
            locked(file.fileno(), waiting=False),
        ):
            left.unlink()


def _lives(process: str) -> bool:
    if os.name == "nt":
        return True  # where the question ends the process
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except OSError:
        pass  # another user's
    return True


def damage(error: ValueError | RecursionError) -> str:
    """The fault of a file's content, on one line and without the content."""
    if not isinstance(error, ValidationError):
        return f"damaged: {error}"
    first = error.errors(include_url=False, include_input=False)[0]
    where, what = ".".join(map(str, first["loc"])), str(first["msg"])
    return f"damaged: {f'{where}: ' if where else ''}{what[:1].lower()}{what[1:]}"


@dataclass(frozen=True)
class Anew(Generic[T]):
    """Values that are made again each time they are iterated over."""

    make: Callable[[], Iterator[T]]

    def __iter__(self) -> Iterator[T]:
        return self.make()


@dataclass(frozen=True)
class JsonLines(Generic[N]):
    """A file of nouns, one a line, read again each time it is iterated over."""

    path: Path
    noun: type[N]

    def __iter__(self) -> Iterator[N]:
        try:
            with ordinary(self.path).open(encoding="ascii") as file:
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
        with storage_errors(self.path), _temporary(self.path) as temporary:
            with temporary.open("wb") as file, locked(file.fileno()):
                for noun in nouns:
                    line = to_json(noun).encode("ascii") + b"\n"
                    digest.update(line)
                    file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if not (self.path.is_file() and _sha256(self.path) == digest.hexdigest()):
                _replace(temporary, self.path)
        return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """An input file's sha256, in hex. Raises DataError where it cannot be read."""
    try:
        return _sha256(path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None


def _sha256(path: Path) -> str:
    with ordinary(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
