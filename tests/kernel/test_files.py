"""Files: written whole or not at all, left alone where nothing changes, read back with the line that is damaged."""

import errno
import hashlib
import os
import subprocess
import sys

import pytest

from judgekit.errors import DataError, StorageError
from judgekit.files import JsonLines, locked, sha256_of, tidy, write_atomically
from judgekit.records import Message

TWO = [Message(role="user", content="a\u2028\ud800"), Message(role="assistant", content="…")]


def test_a_file_is_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"one")
    os.utime(path, (0, 0))
    write_atomically(path, b"one")
    assert path.stat().st_mtime == 0, "equal content is left untouched"
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError) as caught:
        write_atomically(tmp_path / "file" / "below", b"x")
    assert caught.value.place.endswith("below")

    def broken():
        yield TWO[0]
        raise RuntimeError

    lines = JsonLines(tmp_path / "lines", Message)
    lines.write(TWO)
    with pytest.raises(RuntimeError):
        lines.write(broken())
    assert list(lines) == TWO
    assert {one.name for one in tmp_path.iterdir()} == {"file", "lines"}


@pytest.mark.parametrize("number", [1, 2], ids=["file", "folder"])
def test_an_fsync_that_fails_is_no_written_file(tmp_path, monkeypatch, number):
    calls = []

    def fsync(handle):
        calls.append(handle)
        if len(calls) == number:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    lines = JsonLines(tmp_path / "lines", Message)
    for path, write in (
        (tmp_path / "file", lambda: write_atomically(tmp_path / "file", b"new")),
        (lines.path, lambda: lines.write(TWO)),
    ):
        path.write_bytes(b"old")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            with pytest.raises(StorageError, match="cannot be written: Input/output error") as caught:
                write()
        assert caught.value.exit_code == 6
        assert len(calls) == number
        assert number == 2 or path.read_bytes() == b"old"
        calls.clear()
    assert {one.name for one in tmp_path.iterdir()} == {"file", "lines"}, "nothing half written is left"


def test_nouns_come_back_and_the_hash_is_that_of_the_bytes(tmp_path):
    lines = JsonLines(tmp_path / "lines", Message)
    assert lines.write(TWO) == sha256_of(lines.path) == hashlib.sha256(lines.path.read_bytes()).hexdigest()
    assert list(lines) == list(lines) == TWO


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'{"role": "user", "content": ""}\n{', 2),
        (b'{"role": "king", "content": ""}\n', 1),
        (b"[" * 9999, 1),
        (b"\xff", None),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path, content, line):
    path = tmp_path / "lines"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(JsonLines(path, Message))
    assert caught.value.place == (f"{path}:{line}" if line else str(path))


def test_a_missing_file_is_named(tmp_path):
    for read in (sha256_of, lambda path: list(JsonLines(path, Message))):
        with pytest.raises(DataError) as caught:
            read(tmp_path / "gone")
        assert caught.value.place == str(tmp_path / "gone")


def test_what_a_killed_process_left_is_tidied(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "responses").mkdir()
    left = [tmp_path / f".rows.jsonl.{dead.pid}.140123", tmp_path / "responses" / f".a.b.jsonl.{dead.pid}.7"]
    kept = [tmp_path / f".rows.jsonl.{os.getpid()}.140123", tmp_path / ".hidden.2.x", tmp_path / "v.1.2"]
    elsewhere = tmp_path / f".samples.jsonl.{dead.pid}.8"
    for path in (*left, *kept, elsewhere):
        path.write_text("")
    with elsewhere.open("wb") as file, locked(file.fileno()):
        tidy(tmp_path)
        tidy(tmp_path / "nowhere")
    assert elsewhere.exists(), "the lock says that its writer lives in another container"
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
