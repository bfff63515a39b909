"""A server of public files on this machine, that redirects, cuts, lies and refuses as it is told."""

import http.server
import re
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Hub:
    """What the server has, and how it misbehaves: per file, one entry for each request to come."""

    files: dict[str, bytes]
    place: str  # the folder that they are in
    faults: dict[str, list[str]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # file and Range
    address: str = ""

    def asked_for(self, name):
        return [span for file, span in self.asked if file == name]


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self):
        place, name = self.path.rsplit("/", 1)
        if place != "/cdn":
            known = place == self.hub.place and name in self.hub.files
            self.send_response(307 if known else 404)
            self.send_header("Location", f"/cdn/{name}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        span = self.headers.get("Range", "")
        self.hub.asked.append((name, span))
        faults = self.hub.faults.get(name) or [""]
        self._serve(self.hub.files[name], span, faults.pop(0))

    def _serve(self, content, span, fault):
        start = int(re.fullmatch(r"bytes=(\d+)-", span)[1]) if span and fault != "whole" else 0
        if fault.isdecimal():
            status, body = int(fault), b"no"
        elif span and start >= len(content):
            status, body = 416, b""
        else:
            status, body = 206 if start else 200, content[start:]
        if fault == "other bytes":
            body = bytes(byte ^ 1 for byte in body)
        if fault == "elsewhere":
            start += 1
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if fault != "no length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

    def log_message(self, *_):
        pass


@contextmanager
def serving(files, place):
    """A hub that has these files, with its address."""
    hub = Hub(files, place)
    handler = type("Handler", (_Handler,), {"hub": hub})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield hub
        server.shutdown()
        thread.join()


@contextmanager
def nobody_there():
    """An address where nothing listens: a port that is bound, so that nobody else gets it, and not open."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
