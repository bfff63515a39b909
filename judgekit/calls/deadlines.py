"""One deadline for a whole HTTP attempt, held underneath the HTTP library, where dripped bytes cannot outlive it.

A read timeout bounds a single read: a server that sends a byte now and then would be listened to for ever. Here every
connect, handshake, read and write gets only the time that the attempt has left, and none once it is ended.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpcore


class OutOfTime(Exception):
    """The attempt's time is up."""


class Clock:
    """The deadline of the attempt that a connection is busy with."""

    def __init__(self, connect_timeout: float) -> None:
        self.connect_timeout = connect_timeout
        self.end = 0.0
        self.stream: Stream | None = None  # the connection, once there is one

    def start(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def stop(self) -> None:
        """From any thread: nothing more is begun, and a read or write under way ends. Connecting takes its time."""
        self.end = 0.0
        if self.stream is not None:
            self.stream.shut()

    def left(self) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise OutOfTime
        return left

    def connecting(self) -> float:
        return min(self.connect_timeout, self.left())


@dataclass(frozen=True)
class Network:
    """An httpcore.NetworkBackend by shape: connections whose every operation gets only the time that is left."""

    inner: httpcore.NetworkBackend
    clock: Clock

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Stream:
        return Stream(self.inner.connect_tcp(host, port, timeout=self.clock.connecting(), **options), self.clock)


class Stream:
    """An httpcore.NetworkStream by shape."""

    def __init__(self, inner: httpcore.NetworkStream, clock: Clock) -> None:
        self.inner = inner
        self.clock = clock
        self.get_extra_info = inner.get_extra_info
        self.close = inner.close
        clock.stream = self

    def shut(self) -> None:
        """The server sees the end at once, and so does a thread that waits here: closing would leave it waiting."""
        with contextlib.suppress(OSError):  # it has ended already
            socket.socket.shutdown(self.get_extra_info("socket"), socket.SHUT_RDWR)  # an SSLSocket's drops its state

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self.inner.read(max_bytes, timeout=self.clock.left())
        if not data:
            self.clock.left()  # what our own end cut short must not pass for a whole reply
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), 65536):  # a slow reader must not get the time left once a packet
            self.inner.write(buffer[start : start + 65536], timeout=self.clock.left())

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Stream:
        return Stream(self.inner.start_tls(ssl_context, server_hostname, self.clock.connecting()), self.clock)
