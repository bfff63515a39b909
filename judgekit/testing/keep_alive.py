"""HTTP servers by hand, with keep-alive and in a process of their own: as little work a request as Python allows."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self


class KeepAlive(asyncio.Protocol):
    """A connection. Its requests come to `respond`, each whole: its head without the blank line, and its body."""

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.respond(head, body)

    def respond(self, head: bytes, body: bytes) -> None:
        """The answer to one request, written to `self.transport`."""
        raise NotImplementedError


async def serve(connection: Callable[[], KeepAlive], port: int = 0) -> None:
    """A server on the loopback: it prints its port and goes on until the process that started this one is gone."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", port, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # the parent's death closes the pipe


class ServerProcess:
    """A Python process that calls `serve` (a file, or `-m module`; then options), with its own interpreter lock."""

    def __init__(self, *arguments: str) -> None:
        self.command = [sys.executable, *arguments]
        self.port = 0

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def url(self) -> str:
        """The base URL, as OPENAI_BASE_URL has it."""
        return f"http://127.0.0.1:{self.port}/v1"
