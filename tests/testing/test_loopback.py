"""Servers on the loopback: what they answer is decided by the request, and what they were asked is counted."""

import json
import socket
import urllib.error
import urllib.request

import pytest

from judgekit.testing import ChatServer, FaultServer, closed_port, http, question, replies


def post(url: str, body: bytes = b"{}") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=10) as answer:
        return answer.read()


def test_equal_chats_get_equal_answers_and_each_is_counted() -> None:
    def chat(text: str) -> bytes:
        return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], "seed": 3}).encode()

    with ChatServer() as server:
        first, again, other = (post(f"{server.url}/chat/completions", chat(text)) for text in ("a", "a", "b"))
        counts = server.counts(clear=True)
        assert not server.counts()
    assert first == again != other
    assert 0 <= int(json.loads(first)["choices"][0]["message"]["content"]) <= 100
    assert counts == {question([{"role": "user", "content": text}], 3): n for text, n in (("a", 2), ("b", 1))}


def test_raw_replies_are_given_in_turn_and_the_last_one_ever_after() -> None:
    with replies(http(200, "first"), http(200, "second", x_name="kept")) as server:
        assert [post(server.url) for _ in range(3)] == [b"first", b"second", b"second"]
        assert len(server.requests) == 3
        assert server.requests[0].endswith(b"\r\n\r\n{}"), "head and body"
    assert b"x-name: kept\r\n" in http(200, "", x_name="kept")


def test_a_handler_may_answer_nothing() -> None:
    with FaultServer(lambda connection, request, before: None) as server, pytest.raises(ConnectionError):
        post(server.url)


def test_nothing_listens_on_a_closed_port() -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", closed_port()), timeout=10)
