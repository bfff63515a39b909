"""Whatever happens to the file or to the process: what was committed is there, and trouble is one clear line."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from judgekit.calls.ledger import Ledger
from judgekit.errors import StorageError
from judgekit.records import Reply


def _filled(path: Path, count: int = 300) -> Path:
    with Ledger(path) as ledger:
        for i in range(count):
            ledger.put(f"key-{i}", "[1]", {}, Reply(text=f"{i} " * 200))
    return path


def _one_line(error: StorageError, path: Path) -> None:
    assert error.exit_code == 6
    assert str(error).startswith(f"{path}: ")
    assert "\n" not in str(error)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is not a database\n" * 500)
    with pytest.raises(StorageError, match="file is not a database") as caught:
        Ledger(path)
    _one_line(caught.value, path)


def test_a_damaged_page(tmp_path: Path) -> None:
    path = _filled(tmp_path / "ledger.sqlite")
    data = bytearray(path.read_bytes())
    data[4096 * 2 :] = os.urandom(len(data) - 4096 * 2)
    path.write_bytes(data)

    def read_all() -> None:
        with Ledger(path) as ledger:
            for i in range(300):
                ledger.get(f"key-{i}", "[1]")

    with pytest.raises(StorageError, match="malformed") as caught:
        read_all()
    _one_line(caught.value, path)


def test_a_damaged_reply(tmp_path: Path) -> None:
    path = _filled(tmp_path / "ledger.sqlite", 2)
    for text in ('{"text": 7}', "{", '{"status": "fine"}'):
        with sqlite3.connect(path) as db:
            db.execute("UPDATE replies SET reply = ? WHERE key = 'key-1'", (text,))
        db.close()
        with Ledger(path) as ledger, pytest.raises(StorageError, match="entry key-1 holds no reply"):
            ledger.get("key-1", "[1]")


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE people (name TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="not a ledger of judgekit"):
        Ledger(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = _filled(tmp_path / "ledger.sqlite", 1)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StorageError, match="newer judgekit"):
        Ledger(path)


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "ledger.sqlite", tmp_path):
        with pytest.raises(StorageError) as caught:
            Ledger(path)
        _one_line(caught.value, path)


FULL = """
import resource, sys
from pathlib import Path
from judgekit.errors import StorageError
from judgekit.calls.ledger import Ledger
from judgekit.records import Reply
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    with Ledger(Path(sys.argv[1])) as ledger:
        for i in range(10_000):
            ledger.put(f"key-{i}", "[1]", {}, Reply(text=f"{i} " * 200))
            print(f"key-{i}", flush=True)
except StorageError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 6, done.stderr
    assert done.stderr.startswith(f"{path}: the ledger cannot be used: ")
    assert done.stderr.count("\n") == 1
    committed = done.stdout.split()
    assert len(committed) > 20
    with Ledger(path) as ledger:
        assert all(ledger.get(key, "[1]") is not None for key in committed)
        ledger.put("room again", "[1]", {}, Reply(text="85"))
        assert ledger.stats().entries in (len(committed) + 1, len(committed) + 2)  # one may have been in flight


WRITER = """
import sys, threading
from pathlib import Path
from judgekit.calls.ledger import Ledger
from judgekit.records import Reply
ledger = Ledger(Path(sys.argv[1]))
def work(worker):
    i = 0
    while True:
        ledger.put(f"{sys.argv[2]}-{worker}-{i}", "[1]", {}, Reply(text="x" * 500))
        sys.stdout.write(f"{sys.argv[2]}-{worker}-{i}\\n"); sys.stdout.flush()
        i += 1
for worker in range(4):
    threading.Thread(target=work, args=(worker,)).start()
"""


def test_kill_9_loses_nothing_committed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    committed: set[str] = set()
    for kill in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(kill)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        committed.add(child.stdout.readline().strip())
        time.sleep(random.uniform(0, 0.15))
        child.send_signal(signal.SIGKILL)
        lines = child.communicate()[0].split("\n")
        committed.update(lines[:-1])  # the last line may be cut
    assert len(committed) > 20
    with Ledger(path) as ledger:
        assert all(ledger.get(key, "[1]") == Reply(text="x" * 500) for key in committed)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


COLD_START = """
import os, sys, time, traceback
from pathlib import Path
from judgekit.calls.ledger import Ledger
from judgekit.records import Reply
import judgekit.records
rounds, processes, each = map(int, sys.argv[2:])
for round in range(rounds):
    path = Path(sys.argv[1]) / f"{round}.sqlite"
    start = time.monotonic() + 0.05
    children = []
    for process in range(processes):
        if (child := os.fork()) == 0:
            status = 1
            try:
                while time.monotonic() < start:
                    pass
                with Ledger(path) as ledger:
                    for i in range(each):
                        ledger.put(f"{process}-{i}", "[1]", {}, Reply(text=str(process)))
                        ledger.put(f"common-{i}", "[1]", {}, Reply(text=str(process)))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    with Ledger(path) as ledger:
        found = sum(ledger.get(f"{p}-{i}", "[1]") == Reply(text=str(p)) for p in range(processes) for i in range(each))
        print(failed, found, ledger.stats().entries)
"""


def _cold_starts(folder: Path, rounds: int) -> None:
    command = [sys.executable, "-c", COLD_START, str(folder), str(rounds), "8", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0 40 45"] * rounds, done.stderr


def test_eight_processes_start_cold_on_one_ledger(tmp_path: Path) -> None:
    _cold_starts(tmp_path, 4)


@pytest.mark.slow
def test_eight_processes_start_cold_fifty_times(tmp_path: Path) -> None:
    _cold_starts(tmp_path, 50)
