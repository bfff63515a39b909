"""What a run promises when it is stopped: real processes, a real server, real signals."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from judgekit.testing import ChatServer
from scoring import in_process, prepare, record
from sqlite_disk import faulty_disk

CALLS, JOBS = 60, 4


def undisturbed(folder: Path, server: ChatServer) -> bytes:
    """The record of the same job, never stopped. The server's port is part of the config, so it is the same server."""
    folder.mkdir()
    assert in_process(prepare(folder, server.url, CALLS, JOBS)).returncode == 0
    return record(folder)


def start_and_wait_for_calls(command: list[str], server: ChatServer, calls: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while server.counts().total() < calls:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda end: end.name)
def test_a_signal_keeps_what_was_answered_and_says_how_to_go_on(tmp_path: Path, end: signal.Signals) -> None:
    with ChatServer(delay=0.2) as server:
        command = prepare(tmp_path, server.url, CALLS, JOBS)
        process = start_and_wait_for_calls(command, server, 2 * JOBS)
        process.send_signal(end)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "stopping: calls under way may end" in err
        assert "the same command goes on from there" in err
        assert "Traceback" not in err
        asked = server.counts().total()
        assert asked < CALLS
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        assert server.counts().total() == CALLS, "calls under way were committed, and none was repeated"
        assert record(tmp_path) == undisturbed(tmp_path / "other", server)


def test_ctrl_c_twice_ends_at_once(tmp_path: Path) -> None:
    with ChatServer(delay=30) as server:
        command = prepare(tmp_path, server.url, CALLS, JOBS)
        process = start_and_wait_for_calls(command, server, JOBS)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "stopping" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=2) == 130, "the grace for calls under way is longer than this"


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes every write past a size fail as a full disk does."""

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    with ChatServer() as server:
        command = prepare(tmp_path, server.url, CALLS, JOBS)
        done = subprocess.run(command, preexec_fn=small_files, capture_output=True, text=True)
        assert done.returncode == 6, done.stderr
        assert "error: " in done.stderr
        assert "Traceback" not in done.stderr
        before = server.counts().total()
        assert in_process(command).returncode == 0
        assert server.counts().total() >= before
        assert record(tmp_path) == undisturbed(tmp_path / "other", server)


def test_an_fsync_that_fails_ends_the_run_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger's are SQLite's own, see `test_ledger_power_cut`; these are of the files of the run."""
    made: list[int] = []

    def fsync(handle: int) -> None:
        made.append(handle)
        if len(made) == broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with ChatServer() as server:
        monkeypatch.setattr(os, "fsync", fsync)
        broken = 0
        reference = undisturbed(tmp_path / "whole", server)
        all_of_them = len(made)
        assert all_of_them > 6
        for broken in range(1, all_of_them + 1):
            made.clear()
            server.counts(clear=True)
            (tmp_path / str(broken)).mkdir()
            command = prepare(tmp_path / str(broken), server.url, CALLS, JOBS)
            done = in_process(command)
            assert done.returncode == 6, (broken, done.stderr)
            assert "Input/output error" in done.stderr
            assert "record.json" not in done.stdout
            assert in_process(command).returncode == 0, "the fault is over"
            assert record(tmp_path / str(broken)) == reference
            assert server.counts().total() == CALLS, "what the ledger has is not asked again"


def test_a_ledger_whose_fsync_fails_ends_the_run(tmp_path: Path) -> None:
    with ChatServer() as server:
        command = prepare(tmp_path, server.url, CALLS, JOBS)
        with faulty_disk() as disk:
            disk.fails = lambda event: event.kind == "sync" and len(disk.events) > 60
            done = in_process(command)
        assert done.returncode == 6, done.stderr
        assert "ledger.sqlite: the ledger cannot be used: disk I/O error; the disk did not take" in done.stderr
        assert in_process(command).returncode == 0
        assert server.counts().total() <= CALLS + JOBS
        assert record(tmp_path) == undisturbed(tmp_path / "other", server)


# Run in a mount namespace of its own: a disk, and what is tried on it. 77: no disk can be mounted.
SMALL_DISK = """
mkdir -p disk && mount -t tmpfs -o size={size} tmpfs disk || exit 77
"$@" 2>first; echo $? >code
mount -o remount,size=64m disk
"$@" 2>second || exit 1
cp -r disk/* whole/
"""
READ_ONLY_DISK = """
mkdir -p disk && mount -t tmpfs -o size=64m tmpfs disk || exit 77
{before}
mount -o remount,ro disk
"$@" 2>first; echo $? >code
mount -o remount,rw disk
"$@" 2>second || exit 1
cp -r disk/* whole/
"""


def on_a_disk(script: str, command: list[str], folder: Path) -> tuple[int, str]:
    """What the command says on the disk that the script makes at folder/disk; skips where none can be mounted."""
    (folder / "whole").mkdir()
    shell = ["unshare", "-m", "bash", "-c", script, "bash", *command]
    done = subprocess.run(shell, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0 and not (folder / "code").exists():
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr + (folder / "second").read_text()
    return int((folder / "code").read_text()), (folder / "first").read_text()


@pytest.mark.parametrize("place", ["home", "runs"])
def test_a_small_disk_that_fills_up(tmp_path: Path, place: str) -> None:
    """Exit 6 and one clear line; once there is room, the same command pays only for what is missing."""
    calls, size = {"home": (400, "320k"), "runs": (60, "32k")}[place]
    with ChatServer() as server:
        command = prepare(tmp_path, server.url, calls, JOBS)
        command[command.index(str(tmp_path / place))] = str(tmp_path / "disk" / place)
        code, said = on_a_disk(SMALL_DISK.format(size=size), command, tmp_path)
        assert code == 6, said
        (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
        assert "free some space and start the same command again" in line
        assert "Traceback" not in said
        asked = server.counts()
        assert calls <= asked.total() <= calls + JOBS, "what was stored is not paid for again"
        (found,) = tmp_path.glob("**/runs/*/record.json")
        (tmp_path / "other").mkdir()
        assert in_process(prepare(tmp_path / "other", server.url, calls, JOBS)).returncode == 0
        assert found.read_bytes() == record(tmp_path / "other")


@pytest.mark.parametrize("ledger", ["none yet", "filled"])
@pytest.mark.parametrize("place", ["home", "runs"])
def test_a_read_only_disk(tmp_path: Path, place: str, ledger: str) -> None:
    with ChatServer() as server:
        command = prepare(tmp_path, server.url, CALLS, JOBS)
        command[command.index(str(tmp_path / place))] = str(tmp_path / "disk" / place)
        before = '"$@" 2>before; rm -rf disk/runs runs' if ledger == "filled" else ""
        code, said = on_a_disk(READ_ONLY_DISK.format(before=before), command, tmp_path)
        assert code == 6, said
        (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
        assert "read" in line.lower()
        assert "Traceback" not in said
        if place == "home":
            assert "choose a folder that can be written with --home" in line
        assert server.counts().total() == CALLS, "nothing was asked while it could not be kept"


def test_a_server_that_is_not_there_is_found_before_the_first_call(tmp_path: Path) -> None:
    with ChatServer() as server:
        url = server.url
    done = in_process(prepare(tmp_path, url, CALLS, JOBS))
    assert done.returncode == 4
    assert "judges.main" in done.stderr
    assert "Traceback" not in done.stderr
    assert "--offline" not in done.stderr, "there is no ledger yet"


def test_a_finished_run_is_made_again_while_the_server_is_down(tmp_path: Path) -> None:
    with ChatServer() as server:
        command = prepare(tmp_path, server.url, 20, JOBS)
        assert in_process(command).returncode == 0
        before = record(tmp_path)
    down = in_process(command)
    assert down.returncode == 4
    assert "a run that the ledger answers whole needs no server: --offline" in down.stderr
    assert in_process([*command, "--offline"]).returncode == 0
    assert record(tmp_path) == before
