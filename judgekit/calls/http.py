"""HTTP for backends: total deadlines, one retry layer, byte caps, and keys that never reach a sink.

The engine is httpcore, which is httpx without its client layer: at 64 threads a call costs 0.4 ms of CPU instead of
0.9 ms, and its network backend is the seam where a deadline can bound a whole attempt, dripped headers included.
Each call in flight has a connection of its own; sharing one pool between threads costs two thirds of the speed.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import json
import logging
import os
import ssl
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from judgekit.calls import Closing
from judgekit.calls.deadlines import Clock, Network, OutOfTime
from judgekit.calls.http_bodies import (
    BAD_KEY,
    FLAGGED,
    NO_CREDIT,
    HttpStatusError,
    Marks,
    ascii_bytes,
    chunks,
    header_bytes,
    parse_body,
    strict_json,
)
from judgekit.calls.pacing import current_turn, wait
from judgekit.calls.rate_limits import LONGEST_WAIT
from judgekit.calls.retries import Tries, retry_after
from judgekit.errors import (
    AuthError,
    BackendError,
    CallError,
    ConfigError,
    Interrupted,
    JudgekitError,
    QuotaError,
    Unreachable,
)
from judgekit.secrets import Secret, clean, one_line, scrub

if TYPE_CHECKING:
    import httpcore
    from pydantic import JsonValue

_PORTS = {"http": 80, "https": 443}
_REMEMBERED = 100  # answers of a connection
Parts = Sequence[bytes | Path]  # of what is sent
Answered = Callable[[int, Mapping[str, str], bytes, BinaryIO | None], None]


def _unwatched(url: str, data: Parts | None) -> Answered:
    return lambda status, headers, raw, into: None


# Told of every attempt before it is sent, and by what it returns, of the answer: `judgekit doctor --live` listens.
watcher: ContextVar[Callable[[str, Parts | None], Answered]] = ContextVar("watcher", default=_unwatched)

Meaning = Callable[[int, Any], tuple[int, Any]]
"""What an answer (status, body) comes to, where the server's status is not to be taken at its word: an error under
status 200, say. The same for one that is."""


@dataclass(frozen=True, slots=True)
class HttpResult:
    """A 2xx response. Header names are in lower case; the body is parsed JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any


class _Lost(Exception):
    """An attempt that the network ate; another may succeed. `refused`: no connection came about."""

    def __init__(self, why: str, *, refused: bool = False, timed_out: bool = False) -> None:
        super().__init__(why)
        self.refused = refused
        self.timed_out = timed_out


@dataclass(slots=True, eq=False)
class _Channel:
    """`answered`: hashes of its last answers, each with that of what was asked."""

    pool: httpcore.ConnectionPool
    clock: Clock
    answered: dict[int, int] = field(default_factory=dict)


class Http(Closing):
    """A JSON-over-HTTP client for one server, used from any number of threads.

    `deadline` bounds one attempt in seconds, from connecting to the last byte, and `total` the whole call with its
    waits (default: ten attempts' time, at least ten minutes). `retries` more attempts follow on 408, 409, 429, 5xx and
    lost connections (one more where the deadline was the cause), with the server's retry-after or an exponential
    backoff between them; a retry-after of more than two minutes ends the call. In a run every attempt waits for its
    turn, shared with all that ask this server (pacing.py), and an answer that says when to come back is no failure at
    first; not so without `paced`, for calls that are about others (looking at a batch). Redirects are not followed, so
    a key goes to its own origin only; compressed bodies and bodies over `max_bytes` are refused. Header values may be
    `Secret`s.

    Raises CallError (HttpStatusError where there was an answer) when this call failed; AuthError (401, and 403 before
    anything that was posted has been answered: its cause is the HttpStatusError, and `lets_in` tells whether it is
    about this call alone), QuotaError (out of credit) or Unreachable (no connection) when no call can succeed.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str | Secret] | None = None,
        key: Secret | None = None,
        deadline: float = 120.0,
        connect_timeout: float = 10.0,
        max_bytes: int = 8 << 20,
        retries: int = 4,
        total: float | None = None,
        paced: bool = True,
    ) -> None:
        parts = parse_body(base_url)
        self.base_url = base_url.rstrip("/")
        self.key = key
        self.deadline = deadline
        self.connect_timeout = connect_timeout
        self.max_bytes = max_bytes
        self.retries = retries
        self.paced = paced
        self.total = max(10.0 * deadline, 600.0) if total is None else total
        self._scheme, self._host, self._port = parts.scheme.encode(), ascii_bytes(parts.hostname or ""), parts.port
        self._root = parts.path.rstrip("/")
        fields: dict[str, str | Secret] = {
            "Host": ascii_bytes(parts.netloc).decode(),
            "User-Agent": "judgekit",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **(headers or {}),
        }
        self._headers = [(name.encode("ascii"), header_bytes(name, value)) for name, value in fields.items()]
        if key is not None:
            self._headers.append((b"Authorization", b"Bearer " + header_bytes("Authorization", key)))
        secrets = (value.name for value in (key, *fields.values()) if isinstance(value, Secret))
        self._place = (self.address(f"{parts.scheme}://{parts.netloc}"), next(secrets, ""))
        self._idle: list[_Channel] = []  # append and pop are atomic
        self._busy: set[_Channel] = set()  # so are add and discard
        self._closed = 0  # times
        self._marks = Marks()
        self._tls: ssl.SSLContext | None = None
        self._tls_lock = threading.Lock()
        self._let_in: bool | None = None  # whether something that was posted has been answered; None: not known yet
        self._knocking = threading.Lock()

    @staticmethod
    def address(base_url: str) -> str:
        """The address by which a server is told apart: every spelling of one is equal, and two ports are two servers.

        Without user name, query, the scheme's own port and a slash at the end. localhost is 127.0.0.1; other names
        and addresses of one machine stay apart, since what listens there may be something else.
        """
        parts = urllib.parse.urlsplit(base_url)
        host = parts.hostname or ""
        with contextlib.suppress(ValueError):
            ip = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
            ip = getattr(ip, "ipv4_mapped", None) or ip
            host = f"[{ip}]" if ip.version == 6 else str(ip)
        with contextlib.suppress(ValueError):  # no number: refused where it is connected to
            if parts.port not in (None, _PORTS.get(parts.scheme)):
                host += f":{parts.port}"
        return f"{parts.scheme}://{host}{parts.path}".rstrip("/")

    def get(self, path: str) -> HttpResult:
        """GET base_url + path."""
        return self._ask(path)

    def post(self, path: str, body: JsonValue, meaning: Meaning | None = None) -> HttpResult:
        """POST the body as JSON (ASCII-escaped, so that any text survives; NaN is refused) to base_url + path."""
        data = json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
        result = self._ask(path, [data], meaning=meaning)
        self._let_in = True
        return result

    def lets_in(self, path: str, harmless: JsonValue) -> bool:
        """Whether the key is good for other calls than one that got 403: by what has been answered so far, else by
        posting a body that nobody can object to. True where that cannot be told."""
        if (turn := current_turn.get()) is not None:
            turn.leave()  # who waits here must not hold the place that the one who asks needs
        with self._knocking:
            if self._let_in is None:
                try:
                    self.post(path, harmless)
                except AuthError:
                    self._let_in = False
                except HttpStatusError as error:  # the server read what was sent
                    self._let_in = True if error.status < 500 and error.status not in (408, 429) else None
                except CallError:
                    return True
            return self._let_in is not False

    def upload(self, path: str, parts: Sequence[bytes | Path], content_type: str) -> HttpResult:
        """POST a body of another kind than JSON, such as a form; files are read from the disk as they are sent."""
        return self._ask(path, parts, content_type)

    def download(self, path: str, into: BinaryIO) -> None:
        """GET a body of any kind into a file, emptied first; `max_bytes` bounds it."""
        self._ask(path, into=into)

    def pause(self, seconds: float) -> None:
        """Wait as between two attempts: raises Interrupted soon after the run was stopped."""
        wait(seconds)

    def close(self) -> None:
        """Close the idle connections and end the calls under way: they raise Interrupted. The client stays usable."""
        self._closed += 1
        for channel in list(self._busy):
            channel.clock.stop()
        self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().pool.close()

    def _ask(
        self,
        path: str,
        data: Sequence[bytes | Path] | None = None,
        content_type: str = "application/json",
        into: BinaryIO | None = None,
        meaning: Meaning | None = None,
    ) -> HttpResult:
        """Attempts until one is final: POST where there is data, else GET. The only retry layer there is."""
        url = f"{self.base_url}/{path.lstrip('/')}"
        target = urllib.parse.quote(f"{self._root}/{path.lstrip('/')}", safe="/?&=%:@!$'()*+,;~#[]").encode("ascii")
        turn = current_turn.get() if self.paced else None
        tries, closed = Tries(self.retries), self._closed
        end: float | None = None
        while True:
            if turn is not None:
                turn.attempt(self._place, counts=data is not None)
            end = end or time.monotonic() + self.total  # waiting for the first turn is none of the server's time
            seconds = max(0.01, min(self.deadline, end - time.monotonic()))
            answered = watcher.get()(url, data)
            try:
                request = self._request(target, data, content_type)
                status, headers, raw = self._attempt(request, data, into, seconds, closed)
            except CallError:  # an answer that cannot be taken
                if turn is not None:
                    turn.may_be_billed()
                raise
            except _Lost as lost:
                if turn is not None and not lost.refused:
                    turn.may_be_billed()
                if closed != self._closed:
                    raise Interrupted(f"{url}: closed while a call was under way") from lost
                kind = Unreachable if lost.refused else CallError
                failure: JudgekitError = kind(one_line(f"{url}: {lost}"))
                failure.__cause__ = lost.__cause__
                pause = tries.after_loss(timed_out=lost.timed_out)
            else:
                answered(status, headers, raw, into)
                if turn is not None:
                    turn.answered(status, headers)
                good = 200 <= status < 300
                body = strict_json(raw, url) if good and into is None else None if good else _parsed(raw)
                meant, body = meaning(status, body) if meaning is not None else (status, body)
                if 200 <= meant < 300:
                    return HttpResult(status, headers, body)
                raw = raw if meant == status else json.dumps(body).encode("ascii")
                failure = self._failure(meant, body, raw, url, headers, status)
                busy = turn is not None and turn.lane.pace.lively
                pause = tries.after_status(meant, headers, patient=turn is not None, busy=busy)
                pause = None if isinstance(failure, BackendError) else pause
            if pause is None or time.monotonic() + pause > end:
                raise failure
            if turn is not None:
                turn.leave()  # the wait leaves room for others
            wait(pause)

    def _request(self, target: bytes, data: Sequence[bytes | Path] | None, content_type: str) -> httpcore.Request:
        import httpcore

        url = httpcore.URL(scheme=self._scheme, host=self._host, port=self._port, target=target)
        if data is None:
            return httpcore.Request(b"GET", url, headers=self._headers)
        length = b"%d" % sum(part.stat().st_size if isinstance(part, Path) else len(part) for part in data)
        headers = [*self._headers, (b"Content-Type", content_type.encode("ascii")), (b"Content-Length", length)]
        return httpcore.Request(b"POST", url, headers=headers, content=chunks(data))

    def _attempt(
        self, request: httpcore.Request, data: Parts | None, into: BinaryIO | None, seconds: float, closed: int
    ) -> tuple[int, dict[str, str], bytes]:
        """One request and its whole response: (status, headers, body). `closed`: as it was when the call began."""
        import httpcore

        channel = self._idle.pop() if self._idle else self._channel()
        channel.clock.start(seconds)
        self._busy.add(channel)
        try:
            if closed != self._closed:  # looked at after the clock's start, which would undo an earlier stop
                raise _Lost("closed", refused=True)
            earlier = channel.clock.stream
            response = channel.pool.handle_request(request)
            try:
                fields = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
                body = self._body(response, fields, into if 200 <= response.status < 300 else None)
            finally:
                response.close()
                if unread := _unread(response):  # the next call would take them for its answer
                    channel.pool.close()
            if unread and channel.clock.stream is earlier:  # kept from an earlier call, whose answer this may be
                raise _Lost("the connection held more than one response: which one answers this call is not known")
            if data is not None and 200 <= response.status < 300:
                self._look_for_repetition(channel, data, body, fresh=channel.clock.stream is not earlier)
            return response.status, fields, body
        except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.ProxyError) as error:
            if isinstance(error.__context__, ssl.SSLCertVerificationError):
                raise Unreachable(one_line(f"{self.base_url}: no secure connection: {error}")) from error
            raise _Lost(f"no connection: {error or 'timed out'}", refused=True) from error
        except (httpcore.TimeoutException, OutOfTime) as error:
            raise _Lost(f"no complete reply within {seconds:.3g} s", timed_out=True) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise _Lost(f"the connection was lost: {error or type(error).__name__}") from error
        finally:
            self._busy.discard(channel)
            self._idle.append(channel)
            if closed != self._closed:
                self._close_idle()

    def _look_for_repetition(self, channel: _Channel, data: Parts, body: bytes, *, fresh: bool) -> None:
        """Raise _Lost where this very body, which has a mark, answered another call on this connection."""
        if fresh:
            channel.answered.clear()
        if not self._marks.tell_apart(body):
            return
        asked, answer = hash(tuple(data)), hash(body)
        if channel.answered.setdefault(answer, asked) != asked:
            channel.pool.close()
            raise _Lost("an earlier answer came once more, in place of this call's")
        if len(channel.answered) > _REMEMBERED:
            del channel.answered[next(iter(channel.answered))]

    def _body(self, response: httpcore.Response, headers: Mapping[str, str], into: BinaryIO | None) -> bytes:
        encoding = headers.get("content-encoding", "")
        if encoding.lower() not in ("identity", ""):
            raise CallError(one_line(f"{self.base_url}: a {encoding} body, although none was asked for; refused"))
        body = io.BytesIO() if into is None else into
        body.seek(0)
        body.truncate()
        size = 0
        for chunk in cast("Iterator[bytes]", response.stream):
            size += body.write(chunk)
            if size > self.max_bytes:
                raise CallError(f"{self.base_url}: a reply of over {self.max_bytes} bytes; refused")
        return body.getvalue() if isinstance(body, io.BytesIO) else b""

    def _failure(
        self, meant: int, body: Any, raw: bytes, url: str, headers: Mapping[str, str], status: int
    ) -> BackendError | HttpStatusError:
        """`meant`: what the server's status comes to."""
        asked = retry_after(headers) or 0.0
        long = asked if asked > LONGEST_WAIT else None
        error = HttpStatusError(meant, body, url, long, moved_to=headers.get("location", ""), sent=status)
        if meant == 402 or (meant in (400, 403, 429) and NO_CREDIT.search(raw)):
            return QuotaError(f"out of credit: {error.message}")
        forbidden = meant == 403 and not self._let_in and not FLAGGED.search(raw)
        if meant == 401 or forbidden or (meant == 400 and BAD_KEY.search(raw)):
            held = f"the key in {self.key.name}" if self.key else "a call without a key"
            refused = AuthError(f"{held} was refused: {error.message}")
            refused.__cause__ = error if forbidden else None
            return refused
        return error

    def _channel(self) -> _Channel:
        """A connection of its own for one call at a time, through the environment's proxy if there is one."""
        import httpcore

        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they log whole URLs
        with self._tls_lock:
            if self._tls is None and self._scheme == b"https":
                self._tls = _tls_context()
        clock = Clock(self.connect_timeout)
        network = cast("httpcore.NetworkBackend", Network(httpcore.SyncBackend(), clock))
        settings: dict[str, Any] = {"ssl_context": self._tls, "network_backend": network, "keepalive_expiry": 15.0}
        settings["max_connections"] = 1
        proxy = _proxy(self._scheme.decode(), self._host.decode())
        pool = httpcore.HTTPProxy(*proxy, **settings) if proxy else httpcore.ConnectionPool(**settings)
        return _Channel(pool, clock)


def _parsed(raw: bytes) -> Any:
    """An error's body: JSON, else its text."""
    try:
        return clean(json.loads(raw))
    except (ValueError, RecursionError):
        return scrub(raw.decode("utf-8", "replace"))


def _tls_context() -> ssl.SSLContext:
    """The system's certificate authorities (SSL_CERT_FILE is honoured) and certifi's. Costs 20 ms, hence shared."""
    import certifi

    context = ssl.create_default_context()
    if not os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(certifi.where())
    return context


def _proxy(scheme: str, host: str) -> tuple[str, tuple[str, str] | None] | None:
    """(address, (user, password)) of the proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name."""
    proxies = urllib.request.getproxies()
    address = proxies.get(scheme) or proxies.get("all")
    loopback = host == "localhost" or host == "::1" or host.startswith("127.")
    if not address or loopback or urllib.request.proxy_bypass(host):
        return None
    parts = urllib.parse.urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{scheme.upper()}_PROXY names a proxy of a kind that is not supported: {parts.scheme}")
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if parts.username is None:
        return origin, None
    password = Secret(urllib.parse.unquote(parts.password or ""), "the proxy's password")
    return origin, (urllib.parse.unquote(parts.username), password.reveal())


def _unread(response: httpcore.Response) -> bool:
    """Whether bytes came after the end of the response. Only the parser, which httpcore does not show, has them."""
    return bool(cast("Any", response.stream)._stream._connection._h11_state.trailing_data[0])
