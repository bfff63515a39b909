"""Whatever happens to the file or to the process: what was committed is there, and trouble is one clear line."""

import contextlib
import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from judgekit.calls.ledger import Ledger
from judgekit.errors import StorageError
from judgekit.records import Reply


def _filled(path, count=300):
    with Ledger(path) as ledger:
        for i in range(count):
            ledger.put(f"key-{i}", "[1]", {}, Reply(text=f"{i} " * 200))
    return path


def _scribble(path):
    data = _filled(path).read_bytes()
    path.write_bytes(data[:8192] + os.urandom(len(data) - 8192))


def _sql(command):
    def change(path):
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute(command)
            db.commit()

    return change


DAMAGE = {
    "file is not a database": lambda path: path.write_bytes(b"this is not a database\n" * 500),
    "malformed": _scribble,
    "not a ledger of judgekit": _sql("CREATE TABLE people (name TEXT)"),
    "newer judgekit": lambda path: _sql("PRAGMA user_version = 99")(_filled(path, 1)),
    "ledger.sqlite: ": lambda path: path.mkdir(),
    "cannot": lambda path: path.parent.rmdir() or path.parent.write_text(""),
}


@pytest.mark.parametrize("said", DAMAGE)
def test_what_is_no_ledger_is_one_line_and_left_alone(tmp_path, said):
    path = tmp_path / "deep" / "ledger.sqlite"
    path.parent.mkdir()
    DAMAGE[said](path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StorageError, match=said) as caught, Ledger(path) as ledger:
        ledger.find({f"key-{i}": "[1]" for i in range(300)})
    assert caught.value.exit_code == 6
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert not before or path.read_bytes() == before


def test_a_damaged_reply(tmp_path):
    path = _filled(tmp_path / "ledger.sqlite", 2)
    for text in ('{"text": 7}', "{", '{"status": "fine"}'):
        with sqlite3.connect(path) as db:
            db.execute("UPDATE replies SET reply = ? WHERE key = 'key-1'", (text,))
        db.close()
        with Ledger(path) as ledger, pytest.raises(StorageError, match="entry key-1 is damaged"):
            ledger.find({"key-1": "[1]"})


@pytest.mark.parametrize("column", ["reply", "request", "status"])
def test_a_flipped_bit_is_no_other_score(tmp_path, column):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.put("key", "[1]", {}, Reply(text="85"))
        ledger.put("other", "[1]", {}, Reply(text="20"))
    change = {"reply": "replace(reply, '85', '95')", "request": "'[2]'", "status": "'refused'"}[column]
    _sql(f"UPDATE replies SET {column} = {change} WHERE key = 'key'")(path)
    with Ledger(path) as ledger:
        with pytest.raises(StorageError, match=r"entry key is damaged, .* `judgekit ledger prune --damaged`"):
            ledger.find({"key": "[1]", "other": "[1]"})
        assert ledger.prune_damaged() == 1
        assert ledger.find({"key": "[1]", "other": "[1]"}) == {"other": Reply(text="20")}


def test_a_ledger_of_the_version_before_is_read_and_counted(tmp_path):
    path = _filled(tmp_path / "ledger.sqlite", 3)
    _sql("ALTER TABLE replies DROP COLUMN checksum")(path)
    _sql("PRAGMA user_version = 1")(path)
    with Ledger(path) as ledger:
        assert ledger.find({"key-1": "[1]"})["key-1"].text == "1 " * 200
        ledger.put("new", "[1]", {}, Reply(text="7"))
        stats = ledger.stats()
        assert (stats.entries, stats.unchecked, ledger.prune_damaged()) == (4, 3, 0)


@pytest.mark.parametrize("how", ["deleted", "emptied", "replaced", "folder"])
def test_a_ledger_that_is_taken_away_is_not_paid_for_again(tmp_path, how):
    path = _filled(tmp_path / "home" / "ledger.sqlite", 3)
    other = _filled(tmp_path / "other.sqlite", 1)
    with Ledger(path) as ledger:
        ledger.put("more", "[1]", {}, Reply(text="1"))
        if how == "deleted":
            path.unlink()
        elif how == "emptied":
            os.truncate(path, 0)
        elif how == "replaced":
            other.replace(path)
        else:
            path.parent.rename(tmp_path / "elsewhere")
        for use in (lambda: ledger.find({"key-1": "[1]"}), lambda: ledger.put("k", "[1]", {}, Reply(text="2"))):
            with pytest.raises(StorageError, match="deleted, emptied or replaced while it is in use") as caught:
                use()
            assert caught.value.exit_code == 6


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


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    path = tmp_path / "ledger.sqlite"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 6, done.stderr
    assert done.stderr.startswith(f"{path}: the ledger cannot be used: ")
    assert done.stderr.count("\n") == 1
    committed = done.stdout.split()
    assert len(committed) > 20
    with Ledger(path) as ledger:
        assert set(ledger.find(dict.fromkeys(committed, "[1]"))) == set(committed)
        ledger.put("room again", "[1]", {}, Reply(text="85"))
        assert ledger.stats().entries in (len(committed) + 1, len(committed) + 2)  # one may have been in flight


@pytest.mark.parametrize("where", ["judgekit.calls.leases.os.pwrite", "judgekit.calls.ledger.sync_folder"])
def test_a_disk_without_any_room_leaves_no_file_open(tmp_path, monkeypatch, where):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        with pytest.raises(StorageError, match="No space left on device; free some space"):
            Ledger(tmp_path / "ledger.sqlite")
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    Ledger(tmp_path / "ledger.sqlite").close()


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


def test_kill_9_loses_nothing_committed(tmp_path):
    path = tmp_path / "ledger.sqlite"
    committed = set()
    for kill in range(4):
        command = [sys.executable, "-c", WRITER, str(path), str(kill)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        committed.add(child.stdout.readline().strip())
        time.sleep(random.uniform(0, 0.15))
        child.send_signal(signal.SIGKILL)
        lines = child.communicate()[0].split("\n")
        committed.update(lines[:-1])  # the last line may be cut
    assert len(committed) > 20
    with Ledger(path) as ledger:
        assert ledger.find(dict.fromkeys(committed, "[1]")) == dict.fromkeys(committed, Reply(text="x" * 500))
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
        written = {f"{p}-{i}": Reply(text=str(p)) for p in range(processes) for i in range(each)}
        print(failed, ledger.find(dict.fromkeys(written, "[1]")) == written, ledger.stats().entries)
"""


@pytest.mark.parametrize("rounds", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_eight_processes_start_cold_on_one_ledger(tmp_path, rounds):
    command = [sys.executable, "-c", COLD_START, str(tmp_path), str(rounds), "8", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0 True 45"] * rounds, done.stderr


READ_ONLY = """
mount -t tmpfs -o size=4m tmpfs . || exit 77
cd "$PWD"
{python} -c "
from pathlib import Path
from judgekit.calls.ledger import Ledger
Ledger(Path('ledger.sqlite')).close()"
mount -o remount,ro .
{python} -P -m judgekit ledger stats --home "$PWD"
"""


def test_a_read_only_disk_is_one_line(tmp_path):
    script = READ_ONLY.format(python=sys.executable)
    done = subprocess.run(["unshare", "-m", "bash", "-c", f"cd {tmp_path}; {script}"], capture_output=True, text=True)
    if done.returncode in (1, 77):
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 6, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "the ledger cannot be used" in done.stderr


def test_a_clock_that_is_set_back_changes_no_reply(tmp_path, monkeypatch):
    times = iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(times)))
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for number in range(5):
            ledger.put(f"k{number}", f"[{number}]", {"a": 1}, Reply(text=str(number)))
        found = ledger.find({f"k{number}": f"[{number}]" for number in range(5)})
        assert [found[f"k{number}"].text for number in range(5)] == list("01234")
        assert ledger.prune(older_than=1) == 0, "what is of tomorrow is not old"
