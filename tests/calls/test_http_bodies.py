"""Errors of servers, read from any shape of body, in little time."""

import time

import pytest

from judgekit.calls.http import Http
from judgekit.calls.http_bodies import HttpStatusError
from judgekit.errors import CallError
from judgekit.testing import http, replies

ERROR_BODIES = [
    ('{"error": "model \'x\' not found"}', "model 'x' not found", None),
    ('{"error": {"message": "too long", "type": "t", "code": "context_length"}}', "too long", "context_length"),
    ('{"error": {"message": "bad", "type": "BadRequestError", "code": 400}}', "bad", 400),
    ('{"error": {"message": "bad", "type": "invalid_request_error", "code": null}}', "bad", "invalid_request_error"),
    ('{"object": "error", "message": "flat", "type": "BadRequest", "code": 40301}', "flat", 40301),
    ('{"detail": [{"loc": ["body"], "msg": "field required"}]}', '[{"loc": ["body"], "msg": "field required"}]', None),
    ("<head><title>t</title></head><h1>502 Bad\nGateway</h1><hr>nginx</body>", "502 Bad Gateway nginx", None),
    ("", "Bad Request", None),
    ("null", "Bad Request", None),
    ('{"error": {"message": "n < 4 and m > 5", "code": {}}}', "n < 4 and m > 5", None),
    ("[" * 5000, "[" * 299 + "…", None),
    (b"\xff\xfe raw", "�� raw", None),
    ('[{"error": {"code": 400, "message": "API key expired"}}]', "API key expired", 400),
    ("<html><script>var a = '<p>';</script><style>p {}</style><p>Down<br>for now", "Down for now", None),
]


@pytest.mark.parametrize(("body", "message", "code"), ERROR_BODIES)
def test_the_error_is_read_from_any_shape_of_body(body, message, code):
    with replies(http(400, body)) as server, pytest.raises(HttpStatusError) as caught:
        Http(server.url).post("chat", {})
    error = caught.value
    assert (error.status, error.error_message, error.error_code) == (400, message, code)
    assert str(error) == f"{server.url}/chat answered 400: {message}"
    assert isinstance(error, CallError)
    assert len(server.requests) == 1


@pytest.mark.parametrize("unit", ["<script ", "<", "<style>", "<a <b", "</", "<head><", "&#", "[", '{"error":'])
def test_no_error_page_takes_long_to_read(unit):
    page = unit * (1_000_000 // len(unit))
    before = time.process_time()
    with replies(http(400, page)) as server, pytest.raises(HttpStatusError) as caught:
        Http(server.url).post("chat", {})
    assert time.process_time() - before < 2
    assert len(str(caught.value)) < 400
