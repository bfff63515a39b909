"""Servers by hand: requests come whole however they are cut, and a server ends with the process that started it."""

import subprocess
import sys

import pytest

from judgekit.testing import ChatServer, KeepAlive


class Kept(KeepAlive):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bytes, bytes]] = []

    def respond(self, head: bytes, body: bytes) -> None:
        self.seen.append((head, body))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_requests_are_whole_however_they_arrive(size: int) -> None:
    data = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /x HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\n"
    connection = Kept()
    for start in range(0, len(data), size):
        connection.data_received(data[start : start + size])
    assert [(head.split()[0], body) for head, body in connection.seen] == [(b"POST", b"hello"), (b"GET", b"")]


def test_a_server_ends_when_its_parent_does() -> None:
    with ChatServer() as server:
        assert server.port
        process = server.process
    assert process.returncode is not None

    command = [sys.executable, "-m", "judgekit.testing.loopback"]
    orphan = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert int(orphan.stdout.readline())
    orphan.communicate(timeout=30)  # closes the pipe, as the parent's death does
    assert orphan.returncode == 0
