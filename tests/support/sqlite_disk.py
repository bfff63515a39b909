"""A disk under SQLite that fails to synchronise, or that loses its power: a VFS between SQLite and the real files.

`faulty_disk()` is the default VFS of this process for the block. It keeps every write, truncation, deletion and fsync,
in order, so that `cut` can rebuild the files as a machine without power would have left them: what was synchronised is
there; of what came after, nothing, or some sectors of some writes, in any order.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

OK, IOERR_WRITE, IOERR_FSYNC = 0, 10 | 3 << 8, 10 | 4 << 8
SECTOR = 512
Cut = Literal["lost", "torn", "kept"]

_POINTERS = (
    "xOpen xDelete xAccess xFullPathname xDlOpen xDlError xDlSym xDlClose xRandomness xSleep xCurrentTime "
    "xGetLastError xCurrentTimeInt64 xSetSystemCall xGetSystemCall xNextSystemCall"
)
_METHODS = (
    "xClose xRead xWrite xTruncate xSync xFileSize xLock xUnlock xCheckReservedLock xFileControl xSectorSize "
    "xDeviceCharacteristics xShmMap xShmLock xShmBarrier xShmUnmap xFetch xUnfetch"
)


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in _POINTERS.split()),
    ]


class _Methods(ctypes.Structure):
    _fields_ = [("iVersion", ctypes.c_int), *((name, ctypes.c_void_p) for name in _METHODS.split())]


class _File(ctypes.Structure):
    _fields_ = [("pMethods", ctypes.POINTER(_Methods))]


_P, _I, _L = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
_OPEN = ctypes.CFUNCTYPE(_I, _P, _P, _P, _I, _P)  # SQLite keeps the pointer to the name
_DELETE = ctypes.CFUNCTYPE(_I, _P, _P, _I)
_WRITE = ctypes.CFUNCTYPE(_I, _P, _P, _I, _L)
_TRUNCATE = ctypes.CFUNCTYPE(_I, _P, _L)
_SYNC = ctypes.CFUNCTYPE(_I, _P, _I)


@dataclass(frozen=True)
class Event:
    """What SQLite did to a file. `data` is what it wrote at `offset`; a truncation has its new size as `offset`."""

    kind: Literal["write", "truncate", "delete", "sync"]
    path: Path
    offset: int = 0
    data: bytes = b""


@dataclass
class Disk:
    """The events so far. `fails(event)` says which of them the disk refuses: they are not in the list."""

    events: list[Event] = field(default_factory=list)
    fails: Callable[[Event], bool] = lambda event: False

    def sync_folder(self, folder: Path) -> None:
        """What `judgekit.files` does by that name: which files are there is on the disk from now on."""
        gone = {event.path for event in self.events if event.kind == "delete" and event.path.parent == folder}
        self.events += [Event("sync", path) for path in sorted(gone) if not path.exists()]

    def cut(self, at: int, how: Cut, start: dict[Path, bytes], seed: int = 0) -> dict[Path, bytes]:
        """The files after the first `at` events, if the power went then. `start` has those from before."""
        chance = random.Random(seed)
        durable = {path: bytearray(content) for path, content in start.items()}
        waiting: dict[Path, list[Event]] = {}
        for event in self.events[:at]:
            if event.kind == "sync":
                for one in waiting.pop(event.path, []):
                    _apply(durable, one)
            else:
                waiting.setdefault(event.path, []).append(event)
        for events in waiting.values():
            chosen = {"lost": [], "torn": _torn(events, chance), "kept": events}[how]
            for one in chosen:
                _apply(durable, one)
        return {path: bytes(content) for path, content in durable.items()}


def _torn(events: list[Event], chance: random.Random) -> list[Event]:
    """All up to some moment; after it, some sectors of some of the writes: a disk orders them as it likes."""
    whole = chance.randrange(len(events) + 1) if chance.random() < 0.7 else 0
    parts = events[:whole]
    for event in events[whole:]:
        if event.kind != "write":
            parts += [event] * chance.randint(0, 1)
            continue
        ends = range(0, len(event.data), SECTOR)
        sectors = [Event("write", event.path, event.offset + k, event.data[k : k + SECTOR]) for k in ends]
        if chance.random() < 0.7:
            parts += sectors if chance.random() < 0.6 else [one for one in sectors if chance.random() < 0.5]
    return parts  # in order: a disk may lose an earlier write to a place, and does not undo a later one


def _apply(files: dict[Path, bytearray], event: Event) -> None:
    if event.kind == "delete":
        files.pop(event.path, None)
        return
    content = files.setdefault(event.path, bytearray())
    if event.kind == "truncate":
        del content[event.offset :]
        return
    content.extend(bytes(max(0, event.offset - len(content))))
    content[event.offset : event.offset + len(event.data)] = event.data


@contextmanager
def faulty_disk() -> Iterator[Disk]:
    """In the block, every database that this process opens is on this disk; close them in it."""
    disk = Disk()
    vfs = _Shim(disk)
    vfs.install()
    try:
        yield disk
    finally:
        vfs.remove()


class _Shim:
    """The default VFS with functions of ours for what changes a file; all else is the default's own."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._paths: dict[int, Path] = {}  # by the address of SQLite's file
        self._tables: dict[int, tuple[_Methods, tuple[object, ...]]] = {}  # by the address of the original
        self._library = ctypes.CDLL(_sqlite3.__file__)  # whose symbols include those of SQLite
        self._library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self._real = self._library.sqlite3_vfs_find(None)
        self._vfs = _Vfs.from_buffer_copy(self._real.contents)
        self._vfs.zName = b"faulty"
        self._open, self._delete = _OPEN(self._real.contents.xOpen), _DELETE(self._real.contents.xDelete)
        self._own = _OPEN(self._opened), _DELETE(self._deleted)
        self._vfs.xOpen, self._vfs.xDelete = (ctypes.cast(one, _P).value for one in self._own)

    def install(self) -> None:
        assert self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) == OK

    def remove(self) -> None:
        self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))
        self._library.sqlite3_vfs_register(self._real, 1)

    def _does(self, event: Event, work: Callable[[], int], failure: int) -> int:
        if self.disk.fails(event):
            return failure
        code = work()
        if code == OK:
            self.disk.events.append(event)
        return code

    def _opened(self, vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        code = self._open(vfs, name, file, flags, out)
        if code == OK and name is not None:
            self._paths[file] = Path(ctypes.string_at(name).decode())
            header = _File.from_address(file)
            address = ctypes.addressof(header.pMethods.contents)
            if address not in self._tables:
                self._tables[address] = self._table(header.pMethods.contents)
            header.pMethods = ctypes.pointer(self._tables[address][0])
        return int(code)

    def _deleted(self, vfs: int, name: int, folder: int) -> int:
        path = Path(ctypes.string_at(name).decode())
        code = self._delete(vfs, name, folder)
        if code == OK:
            self.disk.events.append(Event("delete", path))
            if folder:
                self.disk.events.append(Event("sync", path))
        return int(code)

    def _table(self, real: _Methods) -> tuple[_Methods, tuple[object, ...]]:
        write, truncate, sync = _WRITE(real.xWrite), _TRUNCATE(real.xTruncate), _SYNC(real.xSync)

        def written(file: int, data: int, size: int, offset: int) -> int:
            event = Event("write", self._paths[file], offset, ctypes.string_at(data, size))
            return self._does(event, lambda: write(file, data, size, offset), IOERR_WRITE)

        def truncated(file: int, size: int) -> int:
            event = Event("truncate", self._paths[file], size)
            return self._does(event, lambda: truncate(file, size), IOERR_WRITE)

        def synchronised(file: int, flags: int) -> int:
            return self._does(Event("sync", self._paths[file]), lambda: sync(file, flags), IOERR_FSYNC)

        table = _Methods.from_buffer_copy(real)
        own = _WRITE(written), _TRUNCATE(truncated), _SYNC(synchronised)
        table.xWrite, table.xTruncate, table.xSync = (ctypes.cast(one, _P).value for one in own)
        return table, own
