"""Leases: who is asking what right now, so that of two processes with the same call one waits for the other's reply.

A lease is the kernel's lock on one byte of a file beside the ledger, at a place that the call's key names. It ends with
its holder, however that ends. Where there are no such locks (Windows), everything is free, and both may pay.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]


class Leases:
    """The leases of one process on a ledger's calls; safe for many threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._held: set[str] = set()  # by threads of this process, which the kernel does not tell apart
        self._file: int | None = None

    @contextmanager
    def of(self, keys: Iterable[str]) -> Iterator[set[str]]:
        """In the block, no other has a lease on these of the keys. Raises OSError."""
        taken: set[str] = set()
        try:
            with self._lock:
                for key in keys:
                    if key not in self._held and self._locked(key, "taken"):
                        self._held.add(key)
                        taken.add(key)
            yield taken
        finally:
            with self._lock:
                self._held -= taken
                for key in taken:
                    self._locked(key, "free")

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _locked(self, key: str, state: str) -> bool:
        if fcntl is None:
            return True
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        place = int(key[:15], 16)
        try:
            if sys.platform == "linux":  # of the open file, not of the process: two ledgers here keep each other off
                kind = fcntl.F_WRLCK if state == "taken" else fcntl.F_UNLCK
                fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, place, 1, 0))
            else:
                how = fcntl.LOCK_EX | fcntl.LOCK_NB if state == "taken" else fcntl.LOCK_UN
                fcntl.lockf(self._file, how, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        return True
