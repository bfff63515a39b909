"""What `judgekit gpt2 fetch` does: the four published GPT-2s, by address and sha256.

The files are those that the model's publisher keeps on the Hugging Face hub. They are fixed by their sha256, so that it
does not matter which server, mirror or person they come from. `config.json` is written here.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import judgekit
from judgekit_gpt2 import checkpoint
from judgekit_gpt2.config import PRESETS, to_hub

if TYPE_CHECKING:
    import httpx

Progress = Callable[[str, int, int], None]  # a file's name, its bytes that are here, and all its bytes (0: unknown)


@dataclass(frozen=True)
class Release:
    """A revision of the hub's repository openai-community/NAME, and the sha256 of its `model.safetensors`."""

    revision: str
    weights: str


RELEASES = {
    "gpt2": Release(
        "607a30d783dfa663caf39e06633721c8d4cfcd7e", "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707"
    ),
    "gpt2-medium": Release(
        "6dcaa7a952f72f9298047fd5137cd6e4f05f41da", "fc5a354a19255ad494f3d71549390baca1ccf61d1d822b9408971705c687c9cd"
    ),
    "gpt2-large": Release(
        "32b71b12589c2f8d625668d2335a01cac3249519", "5f47f3e12f91cd33b662ce7e433b6150ad5512b5884a2cee961b50e9c3bbebce"
    ),
    "gpt2-xl": Release(
        "15ea56dee5df4983c59b2538573817e1667135e2", "0f8b28eb05a8075f48b61b6f35332978c74fc7763fa9fb4051a1c30511736a6a"
    ),
}
# The vocabulary is one for all four.
VOCABULARY_FILES = {
    checkpoint.VOCABULARY: "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    checkpoint.MERGES: "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}


def fetch(name: str, into: Path, server: str, progress: Progress) -> None:
    """Bring the published model `name` into a folder; what is there already, and right, is not fetched again.

    `server` is the hub or a mirror of it. A download that was cut goes on where it was cut. Raises Unreachable without
    a network, CallError, AuthError or ModelNotFound when the server does not give a file, CheckpointError when a file
    is not the published one, and StorageError.
    """
    if not server.startswith(("http://", "https://")) or "@" in server:
        raise judgekit.UsageError(f"not the http:// or https:// address of a server, without a password: {server!r}")
    config = PRESETS[name]
    files = VOCABULARY_FILES | {checkpoint.SAFETENSORS: RELEASES[name].weights}
    place = f"{server.rstrip('/')}/openai-community/{name}/resolve/{RELEASES[name].revision}"
    checkpoint.make_folder(into)
    with _alone(into):
        if (into / checkpoint.CONFIG).exists() and replace(
            checkpoint.read_config(into), dropout=config.dropout
        ) != config:
            raise judgekit.CheckpointError(f"describes another model than {name}; choose another folder", path=into)
        missing = [file for file in files if not _is_there(into / file, files[file])]
        if missing:
            with _client() as client:
                for file in missing:
                    _download(client, f"{place}/{file}", files[file], into / file, progress)
        content = json.dumps(to_hub(config, end_of_text=config.vocabulary - 1), indent=2) + "\n"
        checkpoint.write_atomically(into / checkpoint.CONFIG, content.encode())  # last: only now is it a checkpoint


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two processes that append to one part would spoil it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise judgekit.StorageError(f"cannot be opened: {error.strerror}", path=folder) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise judgekit.UsageError("another fetch is at work in this folder", path=folder) from None
        yield
    finally:
        os.close(handle)


def _is_there(path: Path, sha256: str) -> bool:
    if not path.exists():
        return False
    if (found := checkpoint.sha256(path).hexdigest()) != sha256:
        raise judgekit.CheckpointError(
            f"is not the published file (sha256 {found}, not {sha256}); move it away, or choose another folder",
            path=path,
        )
    return True


def _client() -> httpx.Client:
    import httpx

    headers = {"User-Agent": "judgekit", "Accept-Encoding": "identity"}
    try:
        return httpx.Client(follow_redirects=True, headers=headers, timeout=httpx.Timeout(60, connect=15))
    except (ImportError, ValueError) as error:  # a proxy in the environment, of a kind that is not supported
        raise judgekit.UsageError(f"the proxy that the environment names cannot be used: {error}") from None


def _download(client: httpx.Client, address: str, sha256: str, target: Path, progress: Progress) -> None:
    """Attempts, each of which goes on where the last was cut, until one brings nothing."""
    import httpx

    part = target.with_name(f"{target.name}.part")
    reached = _size(part)
    while True:
        try:
            _attempt(client, address, sha256, part, progress)
            checkpoint.publish(part, target)
            return
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if _size(part) <= reached:
                raise _lost(error, address, target) from None
            reached = _size(part)
        except OSError as error:
            raise judgekit.StorageError(f"cannot be written: {error.strerror}", path=part) from None


def _attempt(client: httpx.Client, address: str, sha256: str, part: Path, progress: Progress) -> None:
    """One request for the rest of a file; returns when the part is whole and right."""
    digest, done = checkpoint.sha256(part) if part.exists() else hashlib.sha256(), _size(part)
    if digest.hexdigest() == sha256:
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
            raise judgekit.StorageError(f"{left / 1e6:,.0f} MB more do not fit on this disk", path=part)
        total = done + left if left else 0
        with part.open("ab") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                progress(part.stem, done, total)
    if digest.hexdigest() != sha256:
        raise _discarded(part, f"{address} gave other bytes than the published ones (sha256 {digest.hexdigest()})")


def _discarded(part: Path, why: str) -> judgekit.CheckpointError:
    part.unlink()
    return judgekit.CheckpointError(f"{why}; they are deleted, and the same command starts anew", path=part)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _lost(error: Exception, address: str, target: Path) -> judgekit.JudgekitError:
    import httpx

    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        absent = [name for name in (*VOCABULARY_FILES, checkpoint.SAFETENSORS) if not (target.parent / name).exists()]
        return judgekit.Unreachable(
            f"{address}: no connection ({reason}); name a mirror as --mirror, or bring {', '.join(absent)} from there "
            f"into {target.parent} by hand and run the same command again; `judgekit gpt2 convert` reads other copies"
        )
    return judgekit.CallError(f"{address}: the download stopped ({reason}); the same command goes on from there")


def _refused(status: int, address: str) -> judgekit.JudgekitError:
    if status in (401, 403):
        return judgekit.AuthError(f"{address} answered {status}: it is not open to everybody there")
    if status in (404, 410):
        return judgekit.ModelNotFound(f"{address} answered {status}: it is not there")
    return judgekit.CallError(f"{address} answered {status}; try the same command again later")
