"""Servers on the loopback, for tests and benchmarks: an instant OpenAI-shaped chat server, and a raw one for faults.

`ChatServer` runs in a process of its own, so that it does not share the caller's interpreter lock. Its reply is a
function of the request alone, and it counts how often each question was asked.
`FaultServer` runs a handler of the test's on each accepted socket, so that it can do what no HTTP library would.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import socket
import struct
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType

from judgekit.testing.keep_alive import KeepAlive, ServerProcess, serve


def answer(body: bytes) -> str:
    """The chat server's answer to a request: an integer 0–100 that only the request's bytes decide."""
    return str(int.from_bytes(hashlib.sha256(body).digest()[:4], "big") % 101)


def question(messages: list[dict[str, str]], seed: int | None) -> str:
    """A hash of what a chat request asks, which a client can make from its own record of the request."""
    said = [[message["role"], message["content"]] for message in messages]
    return hashlib.sha256(json.dumps([said, seed]).encode()).hexdigest()


def chat_reply(body: bytes, model: str) -> bytes:
    """A chat completion in the OpenAI shape."""
    reply = {
        "id": f"chatcmpl-{hashlib.sha256(body).hexdigest()[:24]}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer(body), "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": len(body) // 4, "completion_tokens": 1, "total_tokens": len(body) // 4 + 1},
    }
    return json.dumps(reply).encode()


class _Chat(KeepAlive):
    def __init__(self, counts: Counter[str], delay: float) -> None:
        super().__init__()
        self.counts = counts
        self.delay = delay

    def respond(self, head: bytes, body: bytes) -> None:
        method = head.split(b" ", 1)[0]
        if method != b"POST":
            self.send(json.dumps({"data": [], "counts": self.counts}).encode())
            if method == b"DELETE":
                self.counts.clear()
            return
        asked = json.loads(body)
        self.counts[question(asked["messages"], asked.get("seed"))] += 1
        payload = chat_reply(body, asked["model"])
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.send, payload)
        else:
            self.send(payload)

    def send(self, payload: bytes) -> None:
        if not self.transport.is_closing():
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
            self.transport.write(head.encode() + payload)


class ChatServer(ServerProcess):
    """The chat server in a child process: `with ChatServer() as server: … server.url …`."""

    def __init__(self, *, delay: float = 0.0, port: int = 0) -> None:
        super().__init__("-m", "judgekit.testing.loopback", "--delay", str(delay), "--port", str(port))

    def counts(self, *, clear: bool = False) -> Counter[str]:
        """The number of times that each `question` was asked; with `clear`, counting starts anew."""
        request = urllib.request.Request(f"{self.url}/counts", method="DELETE" if clear else "GET")
        with urllib.request.urlopen(request, timeout=30) as response:
            return Counter(json.load(response)["counts"])


Handler = Callable[[socket.socket, bytes, int], None]


class FaultServer:
    """A server that calls `handler(socket, request bytes, number of requests before)` for each request.

    The handler may answer, drip, cut, reset or hang; the socket is closed when it returns.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[bytes] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> FaultServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(); close() alone would not
        self._listener.close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            request = read_request(connection)
            with self._lock:
                before = len(self.requests)
                self.requests.append(request)
            self.handler(connection, request, before)

    def drip(self, connection: socket.socket, data: bytes, pause: float) -> None:
        """Bytes sent one by one, until the server closes or the peer does."""
        for i in range(len(data)):
            connection.sendall(data[i : i + 1])
            if self.closing.wait(pause):
                return


def read_request(connection: socket.socket) -> bytes:
    """One HTTP request, head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return data
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    length = int(fields.get(b"content-length", b"0"))
    while len(body) < length:
        chunk = connection.recv(65536)
        if not chunk:
            break
        body += chunk
    return head + b"\r\n\r\n" + body


def http(status: int, body: bytes | str, **headers: str) -> bytes:
    """A whole HTTP/1.1 response; underscores in header names become hyphens."""
    data = body.encode() if isinstance(body, str) else body
    fields = {"content-type": "application/json", "content-length": str(len(data)), "connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode("latin-1") + data


def reset(connection: socket.socket) -> None:
    """A TCP reset in place of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def replies(*responses: bytes) -> Iterator[FaultServer]:
    """A server that gives these raw responses in turn, and the last one ever after."""

    def handler(connection: socket.socket, request: bytes, before: int) -> None:
        connection.sendall(responses[min(before, len(responses) - 1)])

    with FaultServer(handler) as server:
        yield server


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    asyncio.run(serve(lambda: _Chat(counts, options.delay), options.port))
