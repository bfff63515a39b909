"""What goes out, what comes back, and which error each kind of answer becomes."""

import json
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from judgekit.calls import http as transport
from judgekit.calls.http import Http, Secret
from judgekit.calls.http_bodies import HttpStatusError, ascii_bytes, chunks, last_error
from judgekit.calls.pacing import Lane, Paces
from judgekit.calls.retries import backoff, retry_after
from judgekit.errors import AuthError, ConfigError, Interrupted, QuotaError, Unreachable
from judgekit.testing import ChatServer, FaultServer, closed_port, http, read_request, replies

KEY = Secret("sk-http-canary-77", "HTTP_KEY")


def test_a_post_is_ascii_json_with_the_key_in_its_header():
    with replies(http(200, '{"text": "\\ud83d"}', X_Request_Id="7")) as server:
        client = Http(f"{server.url}/v1/", key=KEY, headers={"X-Org": "me", "api-key": KEY})
        result = client.post("chat", {"prompt": "lone \ud800 and ü"})
    assert result.status == 200
    assert result.body == {"text": "\ud83d"}
    assert result.headers["x-request-id"] == "7"
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat HTTP/1.1\r\n")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    assert fields[b"authorization"] == b"bearer sk-http-canary-77"
    assert fields[b"api-key"] == b"sk-http-canary-77"
    assert fields[b"accept-encoding"] == b"identity"
    assert fields[b"host"] == server.url.removeprefix("http://").encode()
    assert body.isascii()
    assert json.loads(body) == {"prompt": "lone \ud800 and ü"}


def test_a_get_has_no_body_and_keeps_its_query():
    with replies(http(200, "[1]")) as server:
        assert Http(server.url).get("/api/tags?name=a b").body == [1]
    assert server.requests[0].startswith(b"GET /api/tags?name=a%20b HTTP/1.1\r\n")
    assert server.requests[0].endswith(b"\r\n\r\n")


def test_a_bad_address_is_refused_at_once():
    for address in ("localhost:11434", "ftp://h", "http://", "http://h:99999", "", "http://h/?key=1", "http://h:0"):
        with pytest.raises(ConfigError, match="not an http"):
            Http(address)
    with pytest.raises(ValueError, match="not JSON compliant"):
        Http("http://127.0.0.1:1").post("x", {"t": math.nan})


def test_a_prompt_that_is_flagged_with_403_is_no_refusal_of_the_key():
    body = '{"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"], "flagged_input": "hm"}}}'
    with replies(http(403, body)) as server, pytest.raises(HttpStatusError, match="flagged"):
        Http(server.url, key=KEY).post("chat", {})
    with replies(http(401, "")) as server, pytest.raises(AuthError, match="a call without a key was refused"):
        Http(server.url).post("chat", {})


@pytest.mark.parametrize(
    ("address", "options", "said"),
    [
        ("https://host/v1?key=query-canary", {}, "not an http"),
        ("http://user:pass-canary@host/v1", {}, "must not hold"),
        ("http://h", {"key": Secret("sk-canary\nEvil: 1", "BAD_KEY")}, "BAD_KEY holds a character"),
        ("http://h", {"headers": {"x-name": "naïve-canary"}}, "x-name"),
    ],
)
def test_what_cannot_be_sent_is_refused_without_showing_it(address, options, said):
    with pytest.raises(ConfigError, match=said) as caught:
        Http(address, **options)
    assert "canary" not in str(caught.value)


def test_a_connection_is_kept_and_used_again():
    seen = []

    def handler(connection, request, before):
        while request:
            seen.append(before)
            connection.sendall(http(200, "{}", connection="keep-alive"))
            request = read_request(connection)

    with FaultServer(handler) as server, Http(server.url) as client:
        for _ in range(3):
            client.get("x")
    assert seen == [0, 0, 0]


@pytest.mark.parametrize(
    "start",  # nothing, a part, what could be all; and the call waits to try again
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\n\r\n{}", http(503, "{}", Retry_After="1")],
)
def test_close_ends_a_call_under_way_and_the_server_sees_it(start):
    begun, left = threading.Event(), threading.Event()

    def handler(connection, request, before):
        if before:
            connection.sendall(http(200, "[2]"))
            return
        connection.sendall(start)
        begun.set()
        if connection.recv(1) == b"":
            left.set()

    with FaultServer(handler) as server, ThreadPoolExecutor() as pool:
        client = Http(server.url)
        call = pool.submit(client.post, "x", {})
        assert begun.wait(10)
        time.sleep(0.1)
        client.close()
        assert isinstance(call.exception(5), Interrupted)
        assert left.wait(5)
        assert len(server.requests) == 1, "it is not tried again"
        assert client.get("x").body == [2], "the client stays usable"


def test_each_thread_has_a_connection_of_its_own():
    together = threading.Barrier(4, timeout=10)

    def handler(connection, request, before):
        together.wait()  # passes only when four requests are in flight at once
        connection.sendall(http(200, "{}"))

    with FaultServer(handler) as server, Http(server.url, retries=0) as client, ThreadPoolExecutor(4) as pool:
        assert [result.body for result in pool.map(client.get, "abcd")] == [{}] * 4
    assert len(server.requests) == 4


BACKEND_ERRORS = [
    (401, '{"error": {"message": "Incorrect API key provided: sk-http-canary-77"}}', AuthError),
    (403, '{"error": "forbidden"}', AuthError),
    (402, '{"error": {"message": "Insufficient Balance"}}', QuotaError),
    (429, '{"error": {"message": "You exceeded", "type": "insufficient_quota", "code": "other"}}', QuotaError),
    (400, '{"error": {"message": "limit", "code": "billing_hard_limit_reached"}}', QuotaError),
    (429, '{"object": "error", "message": "no", "type": "insufficient_quota", "code": 429}', QuotaError),
    (429, '{"error": "insufficient_quota"}', QuotaError),
    (429, '{"detail": {"code": "insufficient_quota"}}', QuotaError),
    (429, '{"error": {"message": "litellm: {\'code\': \'insufficient_quota\'}", "code": "429"}}', QuotaError),
    (400, '{"error": {"message": "no", "code": "invalid_api_key"}}', AuthError),
    (400, '[{"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}]', AuthError),
]


@pytest.mark.parametrize(("status", "body", "kind"), BACKEND_ERRORS)
def test_what_no_call_can_get_past_is_a_backend_error_and_not_retried(status, body, kind):
    with replies(http(status, body, x_should_retry="true")) as server, pytest.raises(kind) as caught:
        Http(server.url, key=KEY).post("chat", {})
    assert len(server.requests) == 1
    assert "canary" not in str(caught.value)
    if kind is AuthError:
        assert "HTTP_KEY" in str(caught.value)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
def test_a_passing_trouble_is_asked_again(status):
    busy = http(status, '{"error": "busy"}', retry_after_ms="5")
    with replies(busy, busy, http(200, '{"ok": true}')) as server:
        assert Http(server.url).post("chat", {}).body == {"ok": True}
    assert len(server.requests) == 3
    assert len({request.partition(b"\r\n\r\n")[2] for request in server.requests}) == 1


@pytest.mark.parametrize(("status", "wish", "requests"), [(500, "false", 1), (400, "true", 2)])
def test_the_servers_wish_wins(status, wish, requests):
    answer = http(status, "{}", x_should_retry=wish, retry_after_ms="5")
    with replies(answer) as server, pytest.raises(HttpStatusError) as caught:
        Http(server.url, retries=1).post("chat", {})
    assert caught.value.status == status
    assert len(server.requests) == requests


def test_the_wait_is_the_servers_or_a_backoff(monkeypatch):
    waits = []
    monkeypatch.setattr(transport, "wait", waits.append)
    with replies(http(503, "{}", retry_after_ms="60"), http(503, "{}"), http(200, "{}")) as server:
        Http(server.url).post("chat", {})
    told, own = waits
    assert told == 0.06
    assert 0.75 <= own <= 1, "after the second failure"


def test_what_retry_after_says():
    said = [("0.7", "", 0.7), ("9", "60", 0.06), ("9", "-inf", 9), ("86400", "", 86400)]
    said += [(nothing, "", None) for nothing in ("", "nonsense", "-1", "nan", "Wed, 21 Oct 2015 07:28:00 GMT")]
    for seconds, milliseconds, expected in said:
        assert retry_after({"retry-after": seconds, "retry-after-ms": milliseconds}) == expected
    assert retry_after({}) is None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_longer_pause_than_anyone_waits_for_ends_the_call(status):
    with replies(http(status, '{"error": "tomorrow"}', retry_after="3600")) as server:
        start = time.monotonic()
        with pytest.raises(HttpStatusError, match="tomorrow; it asks to be left alone for 3600 s"):
            Http(server.url).post("chat", {})
        assert time.monotonic() - start < 30
        assert len(server.requests) == 1


def test_the_whole_call_has_a_deadline_of_its_own():
    with replies(http(503, "{}", retry_after="0.3")) as server:
        start = time.monotonic()
        with pytest.raises(HttpStatusError):
            Http(server.url, retries=20, total=1.0).post("chat", {})
        assert time.monotonic() - start < 4, "twenty waits of 0.3 s are 6 s"
        assert 1 <= len(server.requests) <= 4


def test_nothing_listening_is_unreachable_after_the_retries():
    start = time.monotonic()
    with pytest.raises(Unreachable, match="Connection refused"):
        Http(f"http://127.0.0.1:{closed_port()}", retries=1).get("api/version")
    assert time.monotonic() - start >= 0.375


def test_a_redirect_is_not_followed():
    with replies(http(200, "{}")) as other, replies(http(307, "", location=f"{other.url}/steal")) as server:
        with pytest.raises(HttpStatusError) as caught:
            Http(server.url, key=KEY).post("chat", {})
        assert caught.value.status == 307
        assert f"a redirect to {other.url}/steal, which is not followed" in str(caught.value)
    assert other.requests == []


def test_the_environments_proxy_is_used_but_never_for_loopback(monkeypatch):
    with replies(http(200, '{"by": "proxy"}')) as proxy, replies(http(200, '{"by": "itself"}')) as server:
        host = proxy.url.removeprefix("http://")
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://me:pw-canary-9@{host}")
        for name in ("no_proxy", "NO_PROXY", "REQUEST_METHOD"):
            monkeypatch.delenv(name, raising=False)
        assert Http("http://judge.example/v1").post("chat", {}).body == {"by": "proxy"}
        assert Http(server.url).post("chat", {}).body == {"by": "itself"}
        monkeypatch.setenv("no_proxy", "judge.example")
        with pytest.raises(Unreachable):
            Http("http://judge.example/v1", retries=0, connect_timeout=1, deadline=2).get("x")
    assert proxy.requests[0].startswith(b"POST http://judge.example/v1/chat HTTP/1.1\r\n")
    assert len(proxy.requests) == 1


def test_the_loopback_server_speaks_the_official_clients_dialect():
    openai = pytest.importorskip("openai")
    with ChatServer() as server:
        client = openai.OpenAI(base_url=server.url, api_key="none", max_retries=0)
        reply = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "score this"}])
        assert 0 <= int(reply.choices[0].message.content) <= 100
        assert reply.choices[0].finish_reason == "stop"
        assert reply.usage.total_tokens > 0


SERVERS = """\
https://api.openai.com/v1 https://api.openai.com/v1/ https://API.OpenAI.com:443/v1 HTTPS://api.openai.com/v1
http://localhost:8000/v1 http://127.0.0.1:8000/v1 http://LocalHost:8000/v1// http://[::ffff:127.0.0.1]:8000/v1
http://127.0.0.1:8001/v1
http://127.0.0.1:8000/other/v1
https://127.0.0.1:8000/v1
http://127.0.0.1/v1 http://127.0.0.1:80/v1 http://localhost/v1
http://127.0.0.2:8000/v1
http://a.localhost:8000/v1 http://A.localhost:8000/v1/
http://b.localhost:8000/v1
http://[::1]:8000/v1 http://[0:0:0:0:0:0:0:1]:8000/v1
http://[::1]:8001/v1
https://10.0.0.7:80/v1
https://10.0.0.7:8443/v1 https://user@10.0.0.7:8443/v1?key=1
""".splitlines()  # a line for each, in all spellings


def test_an_address_tells_servers_apart_and_is_equal_in_every_spelling():
    found = [{Http.address(spelling) for spelling in spellings.split()} for spellings in SERVERS]
    assert [len(one) for one in found] == [1] * len(SERVERS)
    assert len(set().union(*found)) == len(SERVERS)
    for known in ("https://api.openai.com/v1", "http://10.0.0.7:8000/v1", "https://me.openai.azure.com/openai/v1"):
        assert Http.address(known) == known, "which ledgers hold already"
    one, same, path, other = (
        Http(f"http://{url}")._place for url in ("localhost:80/v1", "127.0.0.1/v1/", "127.0.0.1/v2", "127.0.0.1:81/v1")
    )
    assert one == same == path != other, "a pace is shared by all who ask one server"


def test_hosts_are_written_in_ascii_and_files_are_streamed_between_bytes(tmp_path):
    assert (ascii_bytes("a.example"), ascii_bytes("ü.example")) == (b"a.example", b"xn--tda.example")
    (tmp_path / "file").write_bytes(b"x" * (3 << 19))
    assert [len(chunk) for chunk in chunks([b"ab", tmp_path / "file", b"c"])] == [2, 1 << 20, 1 << 19, 1]
    assert last_error('{"error": "alone"}') == last_error("a\nb") == last_error('{}\n{"a": 1}') == ""


def test_a_stop_ends_a_wait_in_its_block_and_only_there():
    asked = []
    lane = Lane(Paces(), 1)
    with lane.turn([], None, lambda: len(asked.append(1) or asked) > 2), pytest.raises(Interrupted):
        transport.wait(3600)
    assert len(asked) == 3
    transport.wait(0.01)
    with lane.turn([], None, lambda: True):
        transport.wait(0)


def test_a_date_is_waited_for_and_the_backoff_doubles_to_eight_seconds_with_jitter():
    soon = formatdate(time.time() + 30, usegmt=True)
    assert 27 < (retry_after({"retry-after": soon}) or 0) <= 30
    for attempt, full in enumerate([0.5, 1, 2, 4, 8, 8, 8]):
        pauses = [backoff(attempt) for _ in range(200)]
        assert 0.75 * full <= min(pauses) < max(pauses) <= full


def marked(number, connection="keep-alive"):
    return http(200, json.dumps({"id": f"chatcmpl-0123456789abcdef{number}", "number": number}), connection=connection)


@pytest.mark.parametrize("late", [2, 3])
def test_an_answer_that_comes_once_more_after_the_next_question_is_not_that_ones(late):
    """On the first connection, in place of the answer to question `late`, whose own follows too late to be seen."""

    def handler(connection, request, before):
        while request:
            number = int(request.rpartition(b"\r\n\r\n")[2])
            if number == late and not before:
                connection.sendall(marked(1))
                time.sleep(0.2)
            connection.sendall(marked(number))
            request = read_request(connection)

    with FaultServer(handler) as server, Http(server.url, retries=1) as client:
        assert [client.post("x", number).body["number"] for number in (1, 2, 3)] == [1, 2, 3]
        assert len(server.requests) == 2, "the first connection was given up"


def test_equal_answers_of_a_server_without_marks_are_answers():
    """A fake that calls all its answers one name, one whose answers have none, and the same question twice."""

    def handler(connection, request, before):
        while request:
            number = int(request.rpartition(b"\r\n\r\n")[2])
            names = {1: {}, 2: {"id": "chatcmpl-fake"}, 3: {"id": "chatcmpl-0123456789abcdef"}}
            connection.sendall(http(200, json.dumps(names[number // 10] | {"text": "50"}), connection="keep-alive"))
            request = read_request(connection)

    for numbers in ((10, 11, 12, 10), (20, 21, 22, 20), (30, 30, 30)):
        with FaultServer(handler) as server, Http(server.url, retries=0) as client:
            assert {client.post("x", number).body["text"] for number in numbers} == {"50"}
            assert len(server.requests) == 1, "all on one connection"


# --- whose 403 it is, and what an answer comes to ---


def test_403_is_about_the_key_only_until_something_was_answered():
    with replies(http(403, '{"error": "no"}'), http(200, "{}"), http(403, '{"error": "no"}')) as server:
        client = Http(server.url, key=KEY, retries=0)
        with pytest.raises(AuthError) as caught:
            client.post("chat", {})
        assert isinstance(caught.value.__cause__, HttpStatusError)
        assert client.lets_in("chat", {"harmless": True})
        assert client.lets_in("chat", {"harmless": True}), "known by now"
        with pytest.raises(HttpStatusError, match="403"):
            client.post("chat", {})
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "known", "let_in"),
    [
        *((status, True, True) for status in (200, 400, 404)),
        *((status, True, False) for status in (401, 403)),
        *((status, False, True) for status in (408, 429, 500)),
    ],
)
def test_what_the_answer_to_a_harmless_body_says(status, known, let_in):
    with replies(*[http(status, "{}")] * 2) as server:
        client = Http(server.url, key=KEY, retries=0)
        assert [client.lets_in("chat", {}), client.lets_in("chat", {})] == [let_in, let_in]
    assert len(server.requests) == (1 if known else 2)


def test_who_waits_while_a_key_is_tried_holds_no_place():
    left = threading.Event()

    class Place:
        def leave(self):
            left.set()

    def wait():
        transport.current_turn.set(Place())
        client.lets_in("chat", {})

    client = Http("http://127.0.0.1:9")
    client._let_in = True
    with client._knocking:
        thread = threading.Thread(target=wait)
        thread.start()
        assert left.wait(5)
    thread.join()


def test_an_answer_is_what_its_reader_says_that_it_comes_to():
    def meaning(status, body):
        return (503, body) if status == 200 and "error" in body else (400, body) if status == 500 else (status, body)

    error = '{"error": {"message": "overloaded"}}'
    with replies(http(200, error), http(200, '{"ok": 1}')) as server:
        assert Http(server.url, retries=1).post("chat", {}, meaning).body == {"ok": 1}
    with (
        replies(http(200, error)) as server,
        pytest.raises(HttpStatusError, match="answered 200: overloaded") as caught,
    ):
        Http(server.url, retries=0).post("chat", {}, meaning)
    assert caught.value.status == 503
    with replies(*[http(500, error)] * 3) as server, pytest.raises(HttpStatusError, match="answered 500: overloaded"):
        Http(server.url, retries=2).post("chat", {}, meaning)
    assert len(server.requests) == 1
