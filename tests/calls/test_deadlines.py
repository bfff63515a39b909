"""Faults below HTTP, made with raw sockets: each ends in time, with a typed error or a retry."""

import contextlib
import gzip
import logging
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from judgekit.calls import http as transport
from judgekit.calls.http import Http, Secret
from judgekit.errors import CallError, Interrupted, JudgekitError, Unreachable
from judgekit.testing import FaultServer, http, read_request, replies, reset

OK = http(200, '{"ok": true}')
Fault = Callable[[FaultServer, socket.socket], None]


def _half_close(server, connection):
    connection.shutdown(socket.SHUT_WR)
    server.closing.wait(5)


def _hang(server, connection):
    server.closing.wait(20)


FAULTS = {
    "reset": lambda server, connection: reset(connection),
    "half-close": _half_close,
    "cut head": lambda server, connection: connection.sendall(OK[:20]),
    "cut body": lambda server, connection: connection.sendall(OK[:-3]),
    "cut chunk": lambda server, connection: connection.sendall(
        b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\n{"ok":'
    ),
    "not HTTP": lambda server, connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "reset in the body": lambda server, connection: (connection.sendall(OK[:-3]), reset(connection))[-1],
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_lost_connection_is_retried_and_in_the_end_a_failed_call(name):
    def handler(connection, request, before):
        FAULTS[name](server, connection) if before == 0 else connection.sendall(OK)

    for retries in (4, 0):
        with FaultServer(handler) as server, contextlib.ExitStack() as fails:
            if not retries:
                fails.enter_context(pytest.raises(CallError, match="the connection was lost"))
            assert Http(server.url, retries=retries).post("chat", {}).body == {"ok": True}
            assert len(server.requests) == 2


HEAD = b"HTTP/1.1 200 OK\r\n" + b"x-slow: 1\r\n" * 100
BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
SLOW = {
    "head drip": lambda server, connection: server.drip(connection, HEAD, 0.02),
    "body drip": lambda server, connection: (connection.sendall(BODY), server.drip(connection, b" " * 1000, 0.02))[-1],
    "interim drip": lambda server, connection: server.drip(connection, b"HTTP/1.1 100 Continue\r\n\r\n" * 50, 0.02),
    "hang": _hang,
}


@pytest.mark.parametrize("name", SLOW)
def test_the_deadline_bounds_the_whole_attempt(name):
    with FaultServer(lambda connection, request, before: SLOW[name](server, connection)) as server:
        start = time.monotonic()
        with pytest.raises(CallError, match=r"no complete reply within 0\.4 s"):
            Http(server.url, deadline=0.4, retries=0).post("chat", {})
        assert 0.35 < time.monotonic() - start < 5


def test_a_server_that_does_not_read_cannot_hold_a_large_request():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(CallError, match="no complete reply within"):
            Http(url, deadline=0.4, retries=0).post("chat", {"prompt": "x" * (16 << 20)})
        assert time.monotonic() - start < 30


def test_a_timeout_is_tried_once_more_only():
    with FaultServer(lambda connection, request, before: _hang(server, connection)) as server:
        with pytest.raises(CallError, match="within"):
            Http(server.url, deadline=0.2, retries=4).post("chat", {})
        assert len(server.requests) == 2


def test_a_compressed_body_is_refused_unread():
    bomb = gzip.compress(b" " * (1 << 24))
    with replies(http(200, bomb, content_encoding="gzip")) as server:
        with pytest.raises(CallError, match="a gzip body, although none was asked for"):
            Http(server.url).post("chat", {})
        assert len(server.requests) == 1


def test_a_body_over_the_cap_is_refused():
    def handler(connection, request, before):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not server.closing.is_set():  # closed-delimited, and never closed
            connection.sendall(b" " * 65536)

    with FaultServer(handler) as server:
        with pytest.raises(CallError, match="over 1000000 bytes"):
            Http(server.url, max_bytes=1_000_000).post("chat", {})
        assert len(server.requests) == 1


def test_no_error_and_no_log_shows_the_key(caplog):
    key = Secret("sk-fault-canary-31337", "FAULT_KEY")
    caplog.set_level(logging.DEBUG)

    def handler(connection, request, before):
        token = request.split(b"Bearer ")[1].split(b"\r\n")[0]
        status = (200, 400, 401, 500)[before]
        connection.sendall(http(status, b"<p>echo " + token + b"</p>"))

    with FaultServer(handler) as server:
        client = Http(server.url, key=key, retries=0)
        for _ in range(4):
            with pytest.raises(JudgekitError) as caught:
                client.post("x?token=1", {})
            assert "canary" not in str(caught.value)
            assert "[secret]" in str(caught.value)
    assert "canary" not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith("httpcore")]


@pytest.fixture
def secure(tmp_path, monkeypatch):
    """What wraps a server's socket; its certificate is trusted."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:judge.example"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return partial(context.wrap_socket, server_side=True)


@pytest.fixture
def untrusted(secure, monkeypatch):
    """The same where the certificate is not trusted: from before the client is made."""
    monkeypatch.delenv("SSL_CERT_FILE")
    return secure


@pytest.fixture
def called():
    """A listener, a client of it, and a call under way from another thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        client = Http(f"https://127.0.0.1:{listener.getsockname()[1]}")
        yield listener, client, pool.submit(lambda: client.get("x"))


def test_an_untrusted_certificate_is_refused_at_once(untrusted, called, monkeypatch):
    listener, _, call = called
    monkeypatch.setattr(transport, "wait", lambda seconds: pytest.fail("it is not retried"))
    with pytest.raises(ssl.SSLError):
        untrusted(listener.accept()[0])
    with pytest.raises(Unreachable, match=r"no secure connection: .*certificate verify failed"):
        call.result(5)


def test_close_ends_a_call_under_way_over_tls(secure, called):
    listener, client, call = called
    with secure(listener.accept()[0]) as connection:
        assert connection.recv(65536).startswith(b"GET /x ")
        client.close()
        with pytest.raises(Interrupted):
            call.result(5)


def test_a_server_that_never_shakes_hands_is_unreachable_within_the_connect_timeout():
    with replies(OK) as server:  # it waits for the end of a plain request's head
        start = time.monotonic()
        with pytest.raises(Unreachable, match="no connection"):
            Http(server.url.replace("http:", "https:"), retries=0, connect_timeout=0.4).get("x")
        assert 0.35 < time.monotonic() - start < 5


def test_a_secure_server_is_reached_through_the_proxys_tunnel(secure, monkeypatch):
    def handler(connection, request, before):
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with secure(connection) as tunnel:
            inner.append(read_request(tunnel))
            tunnel.sendall(OK)

    inner = []
    with FaultServer(handler) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        key = Secret("sk-tunnel-canary-5", "TUNNEL_KEY")
        assert Http("https://judge.example/v1", key=key, retries=0).post("chat", {}).body == {"ok": True}
    assert proxy.requests[0].startswith(b"CONNECT judge.example:443 HTTP/1.1")
    assert b"canary" not in proxy.requests[0]  # the proxy sees the tunnel only
    assert b"sk-tunnel-canary-5" in inner[0]


STRANGE = [
    ('{"a": NaN}', "NaN is not JSON"),
    ('{"a": -Infinity}', "-Infinity is not JSON"),
    ('{"content": "5", "content": "9"}', "the key 'content' with two values"),
    ('{"message": {"content": "5"}, "done": false}\n{"error": "out of memory"}\n', "with an error: out of memory"),
    ('data: {"choices": []}\n\ndata: {"error": {"message": "overloaded"}}\n', "with an error: overloaded"),
    ('{"message": {"content": "5"}, "done": false}\n{"message": {"content": "9"}}\n', "not JSON, or cut"),
    *((body, "not JSON, or cut") for body in ("<p>login", '{"text": "cut', "", "[" * 100_000, b'"\xff"', "{} {}")),
]


@pytest.mark.parametrize(("body", "words"), STRANGE)
def test_an_answer_that_is_no_json_or_of_two_meanings_is_a_failed_call_and_says_why(body, words):
    with replies(http(200, body)) as server, pytest.raises(CallError) as caught:
        Http(server.url).post("chat", {})
    assert words in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "raw",
    [
        http(200, '\ufeff{"a": 1}'),
        http(200, '{"a": 1, "a": 1}'),
        http(200, '{"a": 1}', content_type="text/html"),
        http(200, '{"a": 1}', content_encoding="identity"),
        b'HTTP/1.0 200 OK\r\n\r\n{"a": 1}',
        b"HTTP/1.1 100 Continue\r\n\r\n" * 300 + http(200, '{"a": 1}'),
        b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{"a\r\n5;x=y\r\n": 1}\r\n0\r\n\r\n',
    ],
)
def test_what_is_merely_odd_is_read(raw):
    with replies(raw) as server:
        assert Http(server.url).post("chat", {}).body == {"a": 1}


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n{}\r\n",
        b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"cho',
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n{}",
        b"HTTP/1.1 99 X\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\ncontent-length: 2\r\n\r\n{}",
        b'{"a": 1}',
    ],
)
def test_what_is_no_http_is_a_lost_connection(raw):
    with replies(raw) as server, pytest.raises(CallError, match="the connection was lost"):
        Http(server.url, retries=0).post("chat", {})


def _sized(text):
    return http(200, text, connection="keep-alive")


def _chunked(text):
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + f"{len(text):x}\r\n{text}\r\n0\r\n\r\n".encode()


UNASKED = {
    "twice": lambda text: [_sized(text) * 2],
    "twice in chunks": lambda text: [_chunked(text) * 2],
    "again a little later": lambda text: [_sized(text), _sized(text)],
    "half of it again": lambda text: [_sized(text) + _sized(text)[:40]],
    "beyond its length": lambda text: [_sized(text) + b"}"],
    "with a line break": lambda text: [_sized(text) + b"\r\n"],
}


@pytest.mark.parametrize("kind", UNASKED)
@pytest.mark.parametrize("every", [1, 4])
def test_bytes_that_no_call_asked_for_answer_none(kind, every):
    """On kept connections; the call after finds another connection, and gets its own answer."""
    asked = []

    def handler(connection, request, before):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while request:
            body = request.partition(b"\r\n\r\n")[2].decode()
            asked.append(body)
            for part in UNASKED[kind](body) if len(asked) % every == 0 else [_sized(body)]:
                connection.sendall(part)
            request = read_request(connection)

    with FaultServer(handler) as server, Http(server.url) as client:
        for number in range(10):
            assert client.post("chat", {"number": number}).body == {"number": number}
            time.sleep(0.05)  # for a part that is sent by itself
        assert len(server.requests) > 1


def test_whose_answer_a_kept_connection_holds_must_be_known():
    """The first copy of two may be an earlier call's answer that came late: it is no answer, once tries are used up."""

    def handler(connection, request, before):
        connection.sendall(_sized("1"))
        read_request(connection)
        connection.sendall(_sized("1") + _sized("2"))

    with FaultServer(handler) as server, Http(server.url, retries=0) as client:
        assert client.post("chat", {}).body == 1
        with pytest.raises(CallError, match="more than one response"):
            client.post("chat", {})
        assert client.post("chat", {}).body == 1
