"""The ledger: every reply ever paid for, found by the content of its question. One SQLite file.

A reply is looked up by the sha256 of all that can change it, and `put` returns only after its commit, so a killed run
loses nothing but the calls in flight. One thread writes, in group commits; WAL mode lets everyone else read meanwhile,
other processes included. With `synchronous=NORMAL` a commit survives the death of the process at once, and that of the
machine from the next checkpoint on: every few hundred replies, and when the ledger is closed. What a power cut takes
is asked again; nothing is served that was not stored.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue, ValidationError

from judgekit.calls import Closing
from judgekit.calls.leases import Leases
from judgekit.errors import StorageError, UsageError
from judgekit.files import locked, sync_folder
from judgekit.records import Noun, Reply, Request
from judgekit.secrets import scrub

Kind = Literal["generate", "loglikelihood"]

_APPLICATION = 0x6A6B6974  # "jkit", in the file's header: tells a ledger from other SQLite files
_BUSY = 60.0  # seconds to wait for another process's commit
_GROUP = 256  # replies a commit, at most, and the replies after which a checkpoint is due
_CHECKED = "key, request, reply, status, checksum"
WAY_OUT = "and no answer: `judgekit ledger prune --damaged` forgets what is, and the next run asks for it again"
_ADVICE = {
    "free some space and start the same command again: what is stored is not asked again": (
        "SQLITE_FULL",
        "ENOSPC",
        "EDQUOT",
    ),
    "choose a folder that can be written with --home": ("SQLITE_READONLY", "SQLITE_CANTOPEN", "EROFS", "EACCES"),
    "the disk did not take what was written (fsync failed): check it, then start the same command again": (
        "SQLITE_IOERR_FSYNC",
    ),
}
_BY_IDENTITY = "FROM replies r JOIN identities i ON i.id = r.identity GROUP BY i.id"

# Entry n brings a file from schema version n to n + 1.
_MIGRATIONS = (
    f"""
    PRAGMA application_id = {_APPLICATION};
    CREATE TABLE identities (id TEXT PRIMARY KEY, identity TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE replies (
        key TEXT PRIMARY KEY, identity TEXT NOT NULL, request TEXT NOT NULL,
        reply TEXT NOT NULL, status TEXT NOT NULL, created_at REAL NOT NULL
    );
    CREATE TABLE errors (key TEXT NOT NULL, identity TEXT NOT NULL, detail TEXT NOT NULL, created_at REAL NOT NULL);
    """,
    "ALTER TABLE replies ADD COLUMN checksum TEXT;",  # NULL in rows that are older: these are taken as they are
)


@dataclass(frozen=True)
class LedgerStats:
    """What a ledger holds. `bytes` is its size on disk; `unchecked` replies are too old to bear a checksum;
    `by_identity` counts by a backend identity's JSON."""

    entries: int
    unchecked: int
    errors: int
    bytes: int
    by_status: dict[str, int]
    by_identity: dict[str, int]


def _fields(value: object) -> dict[str, Any]:
    """A noun as JSON: the fields that differ from their default, so that a new field leaves old keys as they are."""
    if not isinstance(value, Noun):
        raise TypeError(f"{type(value).__name__} is not JSON")
    fields = type(value).model_fields
    return {k: v for k, v in value.__dict__.items() if isinstance(v, Noun) or v != fields[k].default}


# ASCII-escaped: lone surrogates, which models do write, survive hashing and storage.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=_fields)
canonical = _ENCODER.encode


def call_key(
    identity: JsonValue, kind: Kind, request: Request, repeat: int, attempt: int, namespace: str = ""
) -> tuple[str, str]:
    """(key, canonical request JSON) of one call.

    The key is the sha256 of everything that can change the reply: the backend's identity, the kind of call, every
    field of the request, the repeat and attempt index, and the namespace. Raises ValueError for NaN, TypeError for
    what is not JSON.
    """
    question = canonical([kind, request, repeat, attempt, namespace])
    return hashlib.sha256(f"{canonical(identity)}\n{question}".encode("ascii")).hexdigest(), question


def _checksum(key: str, request: str, reply: str, status: str) -> str:
    return hashlib.sha256("\n".join((key, request, reply, status)).encode("ascii")).hexdigest()[:32]


class Ledger(Closing):
    """The store at `path`, created on first use. Safe for many threads and many processes.

    Every method raises StorageError when the disk is full or the file damaged, foreign or newer than this judgekit.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._jobs: queue.SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], Future[Any]] | None]
        self._jobs = queue.SimpleQueue()  # work for the writer; the future is done when it is committed
        self._putting = threading.Lock()  # nothing is put after the end
        self._readers: list[sqlite3.Connection] = []  # idle ones; append and pop are atomic
        self._identities: dict[str, str] = {}  # canonical JSON → id, for those known to be in the file
        self._closed = False
        self._lost: Exception | None = None  # of an fsync: what was written since the last one may be gone
        with self._storage_errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _flock(self.path.parent), contextlib.ExitStack() as undone:
                self._leases = Leases(self.path.with_name(f"{self.path.name}-leases"))
                undone.callback(self._leases.close)
                connection = self._connect()
                undone.callback(connection.close)
                self._prepare(connection)
                undone.pop_all()
        self._place = self._state()[:2]
        self._writer = threading.Thread(target=self._write, args=(connection,), name="judgekit-ledger", daemon=True)
        self._writer.start()

    def find(self, calls: Mapping[str, str]) -> dict[str, Reply]:
        """The committed replies among many calls (key → canonical request JSON), by key, in one read. The stored
        request must be the one asked for."""
        sql = f"SELECT {_CHECKED} FROM replies WHERE key IN (SELECT value FROM json_each(?))"
        rows = self._read(sql, (json.dumps(list(calls)),))
        for key, request_json, text, status, checksum in rows:
            if request_json != calls[key] or checksum not in (None, _checksum(key, request_json, text, status)):
                raise StorageError(f"entry {key[:12]} is damaged, {WAY_OUT}", path=self.path)
        return {key: self._decode(key, text) for key, _, text, _, _ in rows}

    @contextlib.contextmanager
    def leased(self, keys: Iterable[str]) -> Iterator[tuple[set[str], bool]]:
        """In the block, no other process that asks for leases asks these of the calls; the rest are under way there.
        Second, whether nobody else has had the ledger open since this one opened it."""
        with self._storage_errors():
            free, alone = self._leases.take(keys), self._leases.alone
        try:
            yield free, alone
        finally:
            with self._storage_errors():
                self._leases.release(free)

    def put(self, key: str, request_json: str, identity: JsonValue, reply: Reply, *, replace: bool = False) -> Reply:
        """Commit a reply, freed of secrets, and return what the ledger now holds.

        That is another's reply where one was there first. With `replace`, a stored reply gives way if it is not
        complete. An `error` reply is no answer and is refused (ValueError), as is one with NaN in it.
        """
        if reply.status == "error":
            raise ValueError("an error is not a reply: log_error takes it")
        plain = canonical(reply)
        text = scrub(plain)
        checksum = _checksum(key, request_json, text, reply.status)
        values = (key, request_json, text, reply.status, time.time(), checksum)
        backend = canonical(identity)
        stored = self._commit(lambda db: self._insert(db, backend, values, replace))
        return reply if stored == plain else self._decode(key, stored)

    def log_error(self, key: str, identity: JsonValue, detail: str) -> None:
        """Note that a call brought no reply. Such notes are counted, and never served."""
        row = (key, scrub(detail), time.time())
        backend = canonical(identity)
        sql = "INSERT INTO errors (key, detail, created_at, identity) VALUES (?, ?, ?, ?)"
        self._commit(lambda db: db.execute(sql, (*row, self._identity(db, backend))))

    def identities(self) -> list[JsonValue]:
        """The identity of every backend with a reply here, that of the latest reply first."""
        rows = self._read(f"SELECT i.identity {_BY_IDENTITY} ORDER BY max(r.created_at) DESC, i.identity")
        return [json.loads(text) for (text,) in rows]

    def stats(self) -> LedgerStats:
        """Counts by status and by backend identity, and the size on disk."""
        by_status = dict(self._read("SELECT status, count(*) FROM replies GROUP BY status ORDER BY status"))
        by_identity = dict(self._read(f"SELECT i.identity, count(*) {_BY_IDENTITY} ORDER BY count(*) DESC, i.identity"))
        errors = self._read("SELECT count(*) FROM errors")[0][0]
        unchecked = self._read("SELECT count(*) FROM replies WHERE checksum IS NULL")[0][0]
        files = [self.path.with_name(self.path.name + suffix) for suffix in ("", "-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        return LedgerStats(sum(by_status.values()), unchecked, errors, size, by_status, by_identity)

    def prune(self, *, older_than: float | None = None, identity: str | None = None) -> int:
        """Delete replies older than so many days, and of backends whose identity's JSON contains the text.

        Both narrow the choice; one must be given (UsageError). Returns how many replies were deleted.
        """
        if older_than is None and not identity:
            raise UsageError("say what to prune: an age in days, or a part of a backend's identity")
        before = time.time() - older_than * 86400 if older_than is not None else float("inf")
        chosen = "created_at < ? AND identity IN (SELECT id FROM identities WHERE instr(identity, ?))"
        values = before, identity or "{"
        self._commit(lambda db: db.execute(f"DELETE FROM errors WHERE {chosen}", values))
        deleted: int = self._commit(lambda db: db.execute(f"DELETE FROM replies WHERE {chosen}", values).rowcount)
        with self._storage_errors(), contextlib.closing(self._connect()) as connection:
            connection.execute("PRAGMA incremental_vacuum").fetchall()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return deleted

    def prune_damaged(self) -> int:
        """Delete replies that are not what was stored. Returns how many were."""

        def work(db: sqlite3.Connection) -> int:
            rows = db.execute(f"SELECT rowid, {_CHECKED} FROM replies WHERE checksum IS NOT NULL")
            bad = [(row, key) for row, key, *rest, checksum in rows if checksum != _checksum(key, *rest)]
            db.executemany("DELETE FROM replies WHERE rowid = ?", [(row,) for row, _ in bad])
            return len(bad)

        deleted: int = self._commit(work)
        return deleted

    def close(self) -> None:
        """Commit what is waiting, see that it is on the disk, and close the file. Further calls raise StorageError."""
        with self._putting:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._writer.join()
        while self._readers:
            self._readers.pop().close()
        self._leases.close()
        with self._storage_errors():
            if self._lost is not None:
                raise self._lost

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # see `_checkpoint`
        return connection

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Create or migrate, under the lock: only the busy timeout does not cover a change of the journal mode."""
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != _APPLICATION and tables:
            raise StorageError("an SQLite file, but not a ledger of judgekit", path=self.path)
        if version > len(_MIGRATIONS):
            raise StorageError("written by a newer judgekit: upgrade, or choose another ledger", path=self.path)
        if version == 0:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            said = "this file system cannot hold a ledger (no shared memory): use a local disk"
            raise StorageError(said, path=self.path)
        for number in range(version, len(_MIGRATIONS)):
            db.executescript(f"BEGIN; {_MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")
        if version == 0:
            sync_folder(self.path.parent)  # a rollback journal that a power cut brings back would undo what came after

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        self._check_open()
        with self._storage_errors():
            reader = self._readers.pop() if self._readers else self._connect()
            try:
                return reader.execute(sql, values).fetchall()
            finally:
                self._readers.append(reader)

    def _state(self) -> tuple[int, int, int]:
        state = self.path.stat()
        return state.st_dev, state.st_ino, state.st_size

    def _check_open(self) -> None:
        """Raises StorageError where the ledger is closed, or its file is not the one that it opened: SQLite would go on
        with what nobody finds again, and every reply would be paid for twice."""
        if self._closed:
            raise StorageError("the ledger is closed", path=self.path)
        try:
            *place, size = self._state()
        except OSError:
            place, size = [], 0
        if tuple(place) != self._place or not size:
            said = "was deleted, emptied or replaced while it is in use: put it back; nothing more is asked until then"
            raise StorageError(said, path=self.path)

    def _commit(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Have the writer do the work in its next transaction; return its result once that is committed."""
        committed: Future[Any] = Future()
        with self._putting:
            self._check_open()
            self._jobs.put((work, committed))
        with self._storage_errors():
            return committed.result()

    def _write(self, db: sqlite3.Connection) -> None:
        """The writer: take what is waiting, do it in one transaction, tell everyone."""
        closing, waits = False, 0
        while not closing:
            waiting = [self._jobs.get()]
            with contextlib.suppress(queue.Empty):
                while len(waiting) < _GROUP:
                    waiting.append(self._jobs.get_nowait())
            closing = None in waiting
            jobs = [job for job in waiting if job is not None]
            waits += len(jobs)
            try:
                if self._lost is not None:
                    raise self._lost
                db.execute("BEGIN IMMEDIATE")
                results = [work(db) for work, _ in jobs]
                db.execute("COMMIT")
                if waits >= _GROUP or closing:
                    waits = 0
                    self._checkpoint(db)
            except Exception as error:
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_FSYNC:
                    self._lost = error
                self._identities.clear()
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                for _, committed in jobs:
                    committed.set_exception(error)
            else:
                for (_, committed), result in zip(jobs, results, strict=True):
                    committed.set_result(result)
        with contextlib.suppress(sqlite3.Error):
            db.close()

    def _checkpoint(self, db: sqlite3.Connection) -> None:
        """Bring what is committed from the log into the file, with an fsync of both, whose failure is raised: SQLite's
        own checkpoints keep silent about it. For all else (no room) the log keeps what it has, and the next one tries.
        """
        try:
            db.execute("PRAGMA wal_checkpoint").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_IOERR_FSYNC:
                raise

    def _insert(self, db: sqlite3.Connection, identity: str, values: tuple[Any, ...], replace: bool) -> str:
        """Insert a reply unless one is there that stays; return the stored one."""
        clash = (
            "UPDATE SET reply = excluded.reply, status = excluded.status, created_at = excluded.created_at,"
            " checksum = excluded.checksum WHERE replies.status <> 'complete'"
        )
        sql = (
            "INSERT INTO replies (key, request, reply, status, created_at, checksum, identity)"
            f" VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO {clash if replace else 'NOTHING'}"
        )
        if db.execute(sql, (*values, self._identity(db, identity))).rowcount:
            return str(values[2])
        return str(db.execute("SELECT reply FROM replies WHERE key = ?", values[:1]).fetchone()[0])

    def _identity(self, db: sqlite3.Connection, identity: str) -> str:
        if identity not in self._identities:
            name = hashlib.sha256(identity.encode("ascii")).hexdigest()[:16]
            db.execute("INSERT OR IGNORE INTO identities VALUES (?, ?)", (name, identity))
            self._identities[identity] = name
        return self._identities[identity]

    def _decode(self, key: str, text: str) -> Reply:
        try:
            return Reply.model_validate(json.loads(text))
        except (ValueError, ValidationError) as error:
            raise StorageError(f"entry {key[:12]} is damaged, {WAY_OUT}", path=self.path) from error

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            name = errno.errorcode.get(error.errno or 0) if isinstance(error, OSError) else error.sqlite_errorname
            advice = next((f"; {what}" for what, names in _ADVICE.items() if name in names), "")
            raise StorageError(f"the ledger cannot be used: {reason}{advice}", path=self.path) from error


@contextlib.contextmanager
def _flock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; no file is left behind, and the kernel frees it when the process dies."""
    if os.name == "nt":
        yield  # where a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with locked(handle):
            yield
    finally:
        os.close(handle)
