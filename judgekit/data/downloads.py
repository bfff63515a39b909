"""Public files by address and sha256: fetched once, resumed where they were cut, and never mistaken for others.

A file is fixed by its sha256, so that it does not matter which server, mirror or person it comes from. This is a
stream to the disk, of any length and with redirects, which `calls` (made for replies) does not do.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from judgekit.errors import (
    AuthError,
    CallError,
    DataError,
    JudgekitError,
    ModelNotFound,
    StorageError,
    Unreachable,
    UsageError,
)
from judgekit.files import locked, sha256_of, storage_errors

if TYPE_CHECKING:
    import httpx

Progress = Callable[[str, int, int], None]  # a file's name, its bytes that are here, and all its bytes (0: unknown)


@dataclass(frozen=True)
class RemoteFile:
    """A file's name in the folder, its address, and the sha256 (hexadecimal) of its bytes."""

    name: str
    address: str
    sha256: str


def download(files: Sequence[RemoteFile], into: Path, progress: Progress, advice: str = "") -> None:
    """Bring files into a folder; what is there already, and right, is not fetched again.

    A download that was cut goes on where it was cut. `advice` is for a user without a connection. Raises Unreachable
    without a network, CallError, AuthError or ModelNotFound when the server does not give a file, DataError when a file
    is not the published one, UsageError for a malformed address, and StorageError."""
    for file in files:
        check_address(file.address)
    with storage_errors(into):
        into.mkdir(parents=True, exist_ok=True)
    with alone(into):
        missing = [file for file in files if not _is_there(into / file.name, file.sha256)]
        if not missing:
            return
        with _client() as client:
            for number, file in enumerate(missing):
                absent = ", ".join(one.name for one in missing[number:])
                hint = f"bring {absent} from there into {into} by hand and run the same command again{advice}"
                _download(client, file, into / file.name, progress, hint)


def check_address(address: str) -> None:
    """Raises UsageError for an address that is not of a web server, or has a user's name and password, which are not
    shown. An @ anywhere may end a password, with a slash in it."""
    try:
        parts = urllib.parse.urlsplit(address)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in address
    except ValueError:
        good = False
    if not good:
        shown = re.sub(r"^([^@]*?//)?.*@", r"\1", address, flags=re.DOTALL)
        raise UsageError(f"not the http:// or https:// address of a server, without a password or an @: {shown!r}")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """A lock on a folder: two processes that append to one file would spoil it."""
    if os.name == "nt":
        yield  # where a folder cannot be opened
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"cannot be opened: {error.strerror}", path=folder) from None
    try:
        with locked(handle, waiting=False):
            yield
    except BlockingIOError:
        raise UsageError("another fetch is at work in this folder", path=folder) from None
    finally:
        os.close(handle)


def _is_there(path: Path, sha256: str) -> bool:
    if not path.exists():
        return False
    if (digest := sha256_of(path)) != sha256:
        raise DataError(
            f"is not the published file (sha256 {digest}, not {sha256}); move it away, or choose another folder",
            path=path,
        )
    return True


def _client() -> httpx.Client:
    import httpx

    headers = {"User-Agent": "judgekit", "Accept-Encoding": "identity"}
    try:
        return httpx.Client(follow_redirects=True, headers=headers, timeout=httpx.Timeout(60, connect=15))
    except (ImportError, ValueError) as error:  # a proxy in the environment, of a kind that is not supported
        raise UsageError(f"the proxy that the environment names cannot be used: {error}") from None


def _download(client: httpx.Client, file: RemoteFile, target: Path, progress: Progress, hint: str) -> None:
    """Attempts, each resumed where the last was cut, until one brings nothing."""
    import httpx

    part = target.with_name(f"{target.name}.part")
    reached = _size(part)
    while True:
        try:
            _attempt(client, file, part, progress)
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(target)
            return
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if _size(part) <= reached:
                raise _lost(error, file.address, hint) from None
            reached = _size(part)
        except OSError as error:
            raise StorageError(f"cannot be written: {error.strerror}", path=part) from None


def _attempt(client: httpx.Client, file: RemoteFile, part: Path, progress: Progress) -> None:
    """One request for the rest of a file; returns when the part is whole and right."""
    address, digest, done = file.address, hashlib.sha256(), _size(part)
    if done:
        with part.open("rb") as begun:
            digest = hashlib.file_digest(begun, "sha256")
    if digest.hexdigest() == file.sha256:
        return
    with client.stream("GET", address, headers={"Range": f"bytes={done}-"} if done else {}) as response:
        status = response.status_code
        if status == 200 and done:  # the whole file, although its rest was asked for
            part.write_bytes(b"")
            digest, done = hashlib.sha256(), 0
        elif status == 416 or (
            status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        ):
            raise _discarded(part, f"{address} has no rest for the {done} bytes that were here")
        elif status not in (200, 206):
            raise _refused(status, address)
        left = int(response.headers.get("Content-Length", 0))
        if left > shutil.disk_usage(part.parent).free:
            raise StorageError(f"{left / 1e6:,.0f} MB more do not fit on this disk", path=part)
        total = done + left if left else 0
        with part.open("ab") as written:
            for chunk in response.iter_bytes():
                written.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                progress(part.stem, done, total)
    if digest.hexdigest() != file.sha256:
        raise _discarded(part, f"{address} gave other bytes than the published ones (sha256 {digest.hexdigest()})")


def _discarded(part: Path, why: str) -> DataError:
    part.unlink()
    return DataError(f"{why}; they are deleted, and the same command starts anew", path=part)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _lost(error: Exception, address: str, hint: str) -> JudgekitError:
    import httpx

    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return Unreachable(f"{address}: no connection ({reason}); {hint}")
    return CallError(f"{address}: the download stopped ({reason}); the same command goes on from there")


def _refused(status: int, address: str) -> JudgekitError:
    if status in (401, 403):
        return AuthError(f"{address} answered {status}: it is not open to everybody there")
    if status in (404, 410):
        return ModelNotFound(f"{address} answered {status}: it is not there")
    return CallError(f"{address} answered {status}; try the same command again later")
