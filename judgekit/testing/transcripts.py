"""Transcripts of `judgekit doctor --live`: what went over the wire, scrubbed, and a server that answers from it.

A file of JSON lines: first the backend and its options, then in their order `exchange` (a request and its response),
`read` (a reply as the backend read it) and `finding` (a line of the table). Without keys, identifiers of accounts,
hosts beyond loopback and folders; long texts are shortened, in requests too.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from judgekit.calls.http import Answered, Parts, watcher
from judgekit.contracts import Backend
from judgekit.errors import DataError
from judgekit.files import write_atomically
from judgekit.records import Reply, Request
from judgekit.secrets import clean
from judgekit.testing.live_checks import MOST_CALLS, Finding, Spent, check_live

_LONGEST, _KEPT = 1500, 200  # characters of a text; of a longer one, those kept at its beginning and its end
_MOST_ITEMS = 100  # of a list
_LONG = 5000  # bytes of a request; only the prompt that is too long has more
_HEADERS = ("content-type", "retry-after", "retry-after-ms", "x-should-retry")
_SERVER = "http://127.0.0.1:0"  # what every address becomes
_LOOPBACK = re.compile(r"(?:https?://)?(?:127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d+")
_URL = re.compile(r"\b(?:https?|wss?)://(?!127\.0\.0\.1:0\b)[^\s/\"'<>)]+")
_HOST = re.compile(
    r"\b(?:[a-z0-9-]+\.)+(?:com|net|org|io|ai|dev|app|cloud|local|internal|intern|corp|lan|home|edu|gov|co|eu)\b"
    r"|\b(?:[a-z0-9-]+\.){2,}[a-z]{2}\b|\b(?!127\.0\.0\.1\b)(?:\d{1,3}\.){3}\d{1,3}\b|\bfe80:[0-9a-f:]+",
    re.IGNORECASE,
)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_KEY = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|key|AIza)[-_*A-Za-z0-9]{14,}|\bBearer\s+\S+|\beyJ[\w.-]{20,}")
_ACCOUNT = re.compile(r"\b(org|proj|user|acct|team|req|chatcmpl|cmpl|resp|msg|gen)[-_][A-Za-z0-9_-]{6,}")
_TUNED = re.compile(r"\bft:([^:\s]+):[^\s\"']+")
_FOLDERS = re.compile(r"(?<![\w/.:])(?:[A-Za-z]:)?(?:[/\\](?!v1[/\\]|api[/\\])[\w.@+~ -]+)+[/\\](?=[\w.@+-])")
_SECRET_NAME = re.compile(
    r"(?:^|[_-]|api)key$|secret|password|authorization|(?:api|access|auth)[_-]?token$", re.IGNORECASE
)


def scrubbed(value: Any, hosts: Sequence[str] = ()) -> Any:
    """JSON without what must not leave the house; a `path` is one of the server's, and stays. `hosts`: names of servers
    that are replaced wherever they stand."""
    value = clean(value)
    if isinstance(value, str):
        return _scrubbed_text(value, hosts)
    if isinstance(value, list):
        return [scrubbed(item, hosts) for item in value[:_MOST_ITEMS]]
    if isinstance(value, dict):
        return {
            _without_keys(key, hosts): "[secret]"
            if isinstance(item, str) and item and _SECRET_NAME.search(key) and not key.endswith("_env")
            else _without_keys(item, hosts)
            if key == "path" and isinstance(item, str)
            else scrubbed(item, hosts)
            for key, item in value.items()
        }
    return value


def _scrubbed_text(text: str, hosts: Sequence[str]) -> str:
    text = _LOOPBACK.sub(lambda found: _SERVER if "//" in found[0] else _SERVER.removeprefix("http://"), text)
    text = _URL.sub(lambda found: f"{found[0].partition('://')[0]}://host.invalid", text)
    text = _TUNED.sub(r"ft:\1:[account]", _without_keys(text, hosts))
    text = _ACCOUNT.sub(r"\1-x", text)
    text = _FOLDERS.sub("", _HOST.sub("host.invalid", text))
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_KEPT]} [{len(text) - 2 * _KEPT} characters] {text[-_KEPT:]}"


def _without_keys(text: str, hosts: Sequence[str]) -> str:
    for host in hosts:
        text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", "host.invalid", text, flags=re.IGNORECASE)
    return _KEY.sub("[secret]", _MAIL.sub("[mail]", text))


@dataclass
class Transcript:
    """`head` has `backend`, `options` and `context` (tokens); `lines` are what followed, each a dict of one key."""

    head: dict[str, Any]
    lines: list[dict[str, Any]] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    posts: int = 0
    long: bool = False

    @classmethod
    def of(cls, name: str, backend: Backend) -> Self:
        options = backend.options.model_dump(mode="json", exclude_unset=True)
        return cls({"backend": name, "options": options, "context": None})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises DataError for a file that is none."""
        try:
            head, *lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            known = {"backend": str(head["backend"]), "options": dict(head["options"]), "context": head["context"]}
            return cls(known, lines)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"no transcript of judgekit doctor --live: {error}", path=path) from error

    def check(self, backend: Backend, context: int | None) -> Iterator[Finding]:
        """The checks of a backend, all kept."""
        self.head["context"] = context
        for finding in check_live(backend, context, self._read):
            self.lines.append({"finding": list(finding)})
            yield finding

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """In the block, what this thread's HTTP clients send and are sent is kept."""
        token = watcher.set(self._sent)
        try:
            yield
        finally:
            watcher.reset(token)

    def write(self, path: Path) -> None:
        lines = [scrubbed(line, self.hosts) for line in (self.head, *self.lines)]
        write_atomically(path, "".join(f"{json.dumps(line)}\n" for line in lines).encode("ascii"))

    def told(self, kind: str) -> list[Any]:
        """The lines of one kind, as they are written."""
        return [scrubbed(line[kind], self.hosts) for line in self.lines if kind in line]

    def _read(self, request: Request, reply: Reply) -> None:
        self.lines.append({"read": reply.model_dump(mode="json", exclude_defaults=True)})

    def _sent(self, url: str, data: Parts | None) -> Answered:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        if host not in ("", "localhost", "::1", *self.hosts) and not host.startswith("127."):
            self.hosts.append(host)
        if data is not None:
            if self.posts >= MOST_CALLS:
                raise Spent(f"not tried: the {MOST_CALLS} calls of the check are spent")
            self.posts += 1
        sent = b"".join(part.read_bytes() if isinstance(part, Path) else part for part in data or ())
        if len(sent) > _LONG:
            if self.long:
                raise Spent("not tried again: a long prompt is sent once, as its price was told once")
            self.long = True
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        exchange: dict[str, Any] = {
            "method": "GET" if data is None else "POST",
            "path": target,
            "body": _parsed(sent, form=True),
        }
        self.lines.append({"exchange": exchange})

        def answered(status: int, headers: Mapping[str, str], raw: bytes, into: BinaryIO | None) -> None:
            if into is not None and 200 <= status < 300:
                into.seek(0)
                raw = into.read()
            kept = {name: headers[name] for name in _HEADERS if name in headers}
            exchange.update(status=status, headers=kept, reply=_parsed(raw))

        return answered


class TranscriptServer:
    """A loopback server that gives each request the response that the transcript has for it; of equal requests, the
    responses in turn. `unknown`: requests that it has none for, which get status 501."""

    def __init__(self, transcript: Transcript) -> None:
        self.unknown: list[str] = []
        self._responses: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._lock = threading.Lock()
        for exchange in transcript.told("exchange"):
            self._responses[self._key(exchange["method"], exchange["path"], exchange["body"])].append(exchange)
        outer = self

        class Handler(_Handler):
            server_of = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def _key(method: str, path: str, body: Any) -> str:
        return json.dumps([method, path, body], sort_keys=True)

    def response(self, method: str, path: str, sent: bytes) -> tuple[int | None, dict[str, str], bytes]:
        """(status, headers, body); without a status the connection was lost."""
        key = self._key(method, _without_keys(path, ()), scrubbed(_parsed(sent, form=True)))
        with self._lock:
            responses = self._responses.get(key)
            if not responses:
                self.unknown.append(key)
                return 501, {}, json.dumps({"error": "the transcript has no such request"}).encode()
            found = responses.pop(0) if len(responses) > 1 else responses[0]
        body = found.get("reply")
        if isinstance(body, dict) and body.keys() == {"json_lines"}:
            data = "".join(json.dumps(line) + "\n" for line in body["json_lines"])
        else:
            data = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        return found.get("status"), found.get("headers", {}), data.encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server_of: TranscriptServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        status, headers, body = self.server_of.response(self.command, self.path, sent)
        if status is None:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _parsed(raw: bytes, *, form: bool = False) -> Any:
    """JSON, or the JSON lines of a file (or among the parts of a form), or the text as it is; None for nothing."""
    text = raw.decode("utf-8", "replace")
    if not text:
        return None
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except (ValueError, RecursionError):
            if line and not form:
                return text
    objects = [line for line in lines if isinstance(line, dict)]
    return {"json_lines": objects} if objects else text
