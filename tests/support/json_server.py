"""A small JSON server on loopback, with threads, for fakes and emulations of model servers."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Call:
    """A request. Header names are in lower case; `body` is parsed JSON, None where there was none, and bytes where the
    content type is another one."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """A response: JSON, or text or bytes as they are. `pause` seconds before it; `drop` closes without a word."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0
    drop: bool = False


class JsonServer:
    """Answers calls by `respond`, which subclasses define or callers pass; keeps every call it got."""

    def __init__(self, respond: Callable[[Call], Answer] | None = None, *, port: int = 0) -> None:
        self.calls: list[Call] = []
        if respond is not None:
            self.respond = respond  # type: ignore[method-assign]
        outer = self

        class Handler(_Handler):
            server_of = outer

        self._server = _Threads(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def respond(self, call: Call) -> Answer:
        raise NotImplementedError

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """For scripts: prints the address and serves until Ctrl-C."""
        print(self.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            self._server.serve_forever()


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: unbuffered, they cost 40 ms a call
    server_of: JsonServer

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        plain = self.headers.get_content_type() in ("application/json", "text/plain")
        self._answer((json.loads(raw) if plain else raw) if raw else None)

    def _answer(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.command, self.path, headers, body)
        self.server_of.calls.append(call)
        answer = self.server_of.respond(call)
        time.sleep(answer.pause)
        if answer.drop:
            self.close_connection = True
            return
        text = answer.body if isinstance(answer.body, str | bytes) else json.dumps(answer.body)
        data = text.encode() if isinstance(text, str) else text
        self.send_response(answer.status)
        kind = "text/html" if isinstance(answer.body, str) else "application/json"
        for name, value in {"content-type": kind, "content-length": str(len(data)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass
