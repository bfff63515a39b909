"""Leases: who is asking what right now, so that of two processes with the same call one waits for the other's reply.

A lease is the kernel's lock on one byte of a file beside the ledger, at a place that the call's key names. It ends with
its holder, however that ends. Where there are no such locks (Windows), everything is free, and both may pay.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]


_PRESENT = 1 << 61  # the byte on which every process that is here has a shared lock
_COUNT = struct.Struct("<Q")  # at the beginning of the file: how often it was opened


class Leases:
    """The leases of one process on a ledger's calls; safe for many threads. Make it while the ledger's folder is
    locked. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._held: set[str] = set()  # by threads of this process, which the kernel does not tell apart
        self._file, self._others, self._opened = -1, False, 0
        if fcntl is not None:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            self._others = not self._locked(_PRESENT, fcntl.F_WRLCK)
            self._locked(_PRESENT, fcntl.F_RDLCK)
            self._opened = self._count() + 1
            try:
                os.pwrite(self._file, _COUNT.pack(self._opened), 0)
            except OSError:  # the disk is full
                self.close()
                raise

    @property
    def alone(self) -> bool:
        """Whether nobody else has had the ledger open at any moment since this was made."""
        return not self._others and (self._file < 0 or self._count() == self._opened)

    def take(self, keys: Iterable[str]) -> set[str]:
        """Lease these of the keys that no other has leased. Raises OSError."""
        if fcntl is None:
            return set(keys)
        taken: set[str] = set()
        with self._lock:
            for key in keys:
                if key not in self._held and self._locked(_place(key), fcntl.F_WRLCK):
                    self._held.add(key)
                    taken.add(key)
        return taken

    def release(self, keys: Iterable[str]) -> None:
        """End the leases on the keys. Raises OSError."""
        if fcntl is not None:
            with self._lock:
                for key in keys:
                    self._held.discard(key)
                    self._locked(_place(key), fcntl.F_UNLCK)

    def close(self) -> None:
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _count(self) -> int:
        kept = os.pread(self._file, _COUNT.size, 0)
        return int(_COUNT.unpack(kept)[0]) if len(kept) == _COUNT.size else 0

    def _locked(self, place: int, kind: int) -> bool:
        """Set a lock on one byte, or take it away; false where another's is in the way."""
        try:
            if sys.platform == "linux":  # of the open file, not of the process: two ledgers here keep each other off
                fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, place, 1, 0))
            else:
                how = {fcntl.F_WRLCK: fcntl.LOCK_EX, fcntl.F_RDLCK: fcntl.LOCK_SH, fcntl.F_UNLCK: fcntl.LOCK_UN}
                fcntl.lockf(self._file, how[kind] | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        return True


def _place(key: str) -> int:
    return 8 + int(key[:15], 16)
