"""Bodies and headers: strict JSON in, no header that cannot be, and errors read from any shape of body."""

import time

import pytest

from judgekit.calls.http import Http
from judgekit.calls.http_bodies import (
    HttpStatusError,
    ascii_bytes,
    chunks,
    header_bytes,
    last_error,
    parse_body,
    strict_json,
)
from judgekit.errors import CallError, ConfigError
from judgekit.secrets import Secret
from judgekit.testing import http, replies


def test_strict_json_lets_lone_surrogates_through_and_the_same_value_twice() -> None:
    assert strict_json(b'\xef\xbb\xbf{"a": "\\ud800"}', "u") == {"a": "\ud800"}
    assert strict_json(b'{"a": 1, "a": 1}', "u") == {"a": 1}


@pytest.mark.parametrize("raw", [b"", b"<html>", b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"a": ', b"[" * 9999, b"\xff"])
def test_what_is_not_strict_json_is_an_error_of_the_call_with_its_address(raw) -> None:
    with pytest.raises(CallError, match=r"http://server/v1"):
        strict_json(raw, "http://server/v1")


def test_an_error_at_the_end_of_a_stream_is_heard() -> None:
    assert last_error('{"a": 1}\ndata: {"error": {"message": "overloaded"}}\n') == "overloaded"
    assert last_error('{"error": "alone"}') == last_error("a\nb") == last_error('{}\n{"a": 1}') == ""


@pytest.mark.parametrize("value", ["a\nb", "naïve", Secret("sk-\x00", "MY_KEY")])
def test_a_header_that_cannot_be_is_refused_by_its_name(value) -> None:
    with pytest.raises(ConfigError, match="MY_KEY" if isinstance(value, Secret) else "x-name") as caught:
        header_bytes("x-name", value)
    assert "sk-" not in str(caught.value)


def test_addresses_and_hosts() -> None:
    assert parse_body("http://127.0.0.1:8/v1").port == 8
    assert (ascii_bytes("a.example"), ascii_bytes("ü.example")) == (b"a.example", b"xn--tda.example")
    for address in ("ftp://a", "http://", "http://u:p@a", "http://a/?k=1", "http://a:0", "http://a:99999", "a"):
        with pytest.raises(ConfigError):
            parse_body(address)


def test_files_are_streamed_between_bytes(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"x" * (3 << 19))
    assert [len(chunk) for chunk in chunks([b"ab", tmp_path / "file", b"c"])] == [2, 1 << 20, 1 << 19, 1]


ERROR_BODIES = [
    ('{"error": "model \'x\' not found"}', "model 'x' not found", None),
    (
        '{"error": {"message": "too long", "type": "t", "code": "context_length_exceeded"}}',
        "too long",
        "context_length_exceeded",
    ),
    ('{"error": {"message": "bad", "type": "BadRequestError", "code": 400}}', "bad", 400),
    ('{"error": {"message": "bad", "type": "invalid_request_error", "code": null}}', "bad", "invalid_request_error"),
    ('{"object": "error", "message": "flat", "type": "BadRequest", "code": 40301}', "flat", 40301),
    ('{"detail": [{"loc": ["body"], "msg": "field required"}]}', '[{"loc": ["body"], "msg": "field required"}]', None),
    (
        "<html><head><title>t</title></head><body><h1>502 Bad\nGateway</h1><hr>nginx</body></html>",
        "502 Bad Gateway nginx",
        None,
    ),
    ("", "Bad Request", None),
    ("null", "Bad Request", None),
    ('{"error": {"message": "n < 4 and m > 5", "code": {}}}', "n < 4 and m > 5", None),
    ("[" * 5000, "[" * 299 + "…", None),
    (b"\xff\xfe raw", "�� raw", None),
    ('[{"error": {"code": 400, "message": "API key expired"}}]', "API key expired", 400),
    ("<html><script>var a = '<p>';</script><style>p {}</style><p>Down<br>for now", "Down for now", None),
]


@pytest.mark.parametrize(("body", "message", "code"), ERROR_BODIES)
def test_the_error_is_read_from_any_shape_of_body(body: str | bytes, message: str, code: object) -> None:
    with replies(http(400, body)) as server, pytest.raises(HttpStatusError) as caught:
        Http(server.url).post("chat", {})
    error = caught.value
    assert (error.status, error.error_message, error.error_code) == (400, message, code)
    assert str(error) == f"{server.url}/chat answered 400: {message}"
    assert isinstance(error, CallError)
    assert len(server.requests) == 1


@pytest.mark.parametrize("unit", ["<script ", "<", "<style>", "<a <b", "</", "<head><", "&#", "[", '{"error":'])
def test_no_error_page_takes_long_to_read(unit: str) -> None:
    page = unit * (1_000_000 // len(unit))
    before = time.process_time()
    with replies(http(400, page)) as server, pytest.raises(HttpStatusError) as caught:
        Http(server.url).post("chat", {})
    assert time.process_time() - before < 2
    assert len(str(caught.value)) < 400
