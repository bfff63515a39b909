"""OLLAMA_HOST → address, by the server's own rules; and what a version number says."""

import pytest

from judgekit_ollama.host import parse_host
from judgekit_ollama.versions import LOGPROBS, TRUNCATE, at_least, counts_cached, numbers
from tables import each

CASES = [
    # nothing, and the parts of an address alone
    ("", "http://127.0.0.1:11434"),
    ("   ", "http://127.0.0.1:11434"),
    ("1.2.3.4", "http://1.2.3.4:11434"),
    (":56789", "http://127.0.0.1:56789"),
    ("1.2.3.4:56789", "http://1.2.3.4:56789"),
    ("example.com", "http://example.com:11434"),
    ("example.com:56789", "http://example.com:56789"),
    ("localhost", "http://localhost:11434"),
    # a scheme brings its own port
    ("http://1.2.3.4", "http://1.2.3.4:80"),
    ("https://1.2.3.4", "https://1.2.3.4:443"),
    ("http://1.2.3.4:4321", "http://1.2.3.4:4321"),
    ("https://example.com:4321", "https://example.com:4321"),
    ("http://", "http://127.0.0.1:80"),
    ("http://:8080", "http://127.0.0.1:8080"),
    ("ollama.com", "https://ollama.com:443"),
    ("https://ollama.com", "https://ollama.com:443"),
    ("ollama.com:11434", "http://ollama.com:11434"),
    # ports that are none
    (":66000", "http://127.0.0.1:11434"),
    (":-1", "http://127.0.0.1:11434"),
    (":0", "http://127.0.0.1:0"),
    ("example.com:", "http://example.com:11434"),
    ("example.com:http", "http://example.com:11434"),
    ("https://example.com:99999", "https://example.com:443"),
    ("1.2.3.4:١٢", "http://1.2.3.4:11434"),
    (":65535", "http://127.0.0.1:65535"),
    (":65536", "http://127.0.0.1:11434"),
    ("1.2.3.4:", "http://1.2.3.4:11434"),
    ("http://example.com:66000", "http://example.com:80"),
    ("https://example.com:-1/x", "https://example.com:443/x"),
    ("[::1]:66000", "http://[::1]:11434"),
    ("[::1]:", "http://[::1]:11434"),
    ("example.com:0080", "http://example.com:80"),
    ("example.com:000011434", "http://example.com:11434"),
    ("example.com:1_000", "http://example.com:11434"),
    # addresses to listen on become addresses to connect to
    ("0.0.0.0", "http://127.0.0.1:11434"),
    ("0.0.0.0:56789", "http://127.0.0.1:56789"),
    ("http://0.0.0.0", "http://127.0.0.1:80"),
    ("https://0.0.0.0:8443", "https://127.0.0.1:8443"),
    ("0.0.0.0/ollama", "http://127.0.0.1:11434/ollama"),
    ("::", "http://[::1]:11434"),
    ("0:0:0:0:0:0:0:0", "http://[::1]:11434"),
    ("http://[::]", "http://[::1]:80"),
    ("[::]", "http://[::1]:11434"),
    ("[::]:56789", "http://[::1]:56789"),
    # IPv6, bare or in brackets
    ("::1", "http://[::1]:11434"),
    ("[::1]", "http://[::1]:11434"),
    ("[::1]:1337", "http://[::1]:1337"),
    ("https://[::1]", "https://[::1]:443"),
    ("http://[fe80::1]:8080/x", "http://[fe80::1]:8080/x"),
    ("[0001:002:003:0004::1]", "http://[1:2:3:4::1]:11434"),
    ("[0001:002:003:0004::1]:1337", "http://[1:2:3:4::1]:1337"),
    ("2001:DB8::1", "http://[2001:db8::1]:11434"),
    ("http://::1", "http://[::1]:80"),
    ("::1/path", "http://[::1]:11434/path"),
    ("[::1", "http://[::1]:11434"),
    ("::ffff:1.2.3.4", "http://1.2.3.4:11434"),
    ("::1:8080", "http://[::1:8080]:11434"),
    # spaces and quotes
    (" 1.2.3.4 ", "http://1.2.3.4:11434"),
    ('"1.2.3.4"', "http://1.2.3.4:11434"),
    ("'1.2.3.4'", "http://1.2.3.4:11434"),
    (' " 1.2.3.4 " ', "http://1.2.3.4:11434"),
    ("\thttps://example.com\n", "https://example.com:443"),
    ("\"'1.2.3.4:5'\"", "http://1.2.3.4:5"),
    ('""', "http://127.0.0.1:11434"),
    ('"ollama.com"', "https://ollama.com:443"),
    # paths are kept, without a slash at the end
    ("https://example.com/ollama", "https://example.com:443/ollama"),
    ("example.com:56789/ollama/", "http://example.com:56789/ollama"),
    ("example.com/", "http://example.com:11434"),
    ("example.com/a/b", "http://example.com:11434/a/b"),
    ("[::1]/path", "http://[::1]:11434/path"),
    ("https://example.com/", "https://example.com:443"),
    ("https://example.com//", "https://example.com:443"),
    ("http://example.com/a/", "http://example.com:80/a"),
    (":56789/a", "http://127.0.0.1:56789/a"),
    ("http:///a", "http://127.0.0.1:80/a"),
    ("/a", "http://127.0.0.1:11434/a"),
    # names
    ("my-server", "http://my-server:11434"),
    ("my_server.local:1", "http://my_server.local:1"),
    ("EXAMPLE.com", "http://EXAMPLE.com:11434"),
    ("host.docker.internal", "http://host.docker.internal:11434"),
    ("01.2.3.4", "http://01.2.3.4:11434"),
]


@pytest.mark.parametrize(("value", "address"), CASES)
def test_parse_host(value, address):
    assert parse_host(value) == address


@each("ftp://example.com", "HTTP://example.com", "a b", "a:b:c", "user@example.com", "[x", "://x", "unix:///tmp/x")
def test_what_cannot_be_an_address(value):
    with pytest.raises(ValueError, match="Ollama server"):
        parse_host(value)


def test_agrees_with_the_official_client_where_it_keeps_to_the_servers_rules():
    """The client reads the plain forms as the server does; where its table ends, the server's own is ours."""
    from ollama._client import _parse_host

    agree = [
        "", "1.2.3.4", ":56789", "1.2.3.4:56789", "example.com", "example.com:56789", "localhost", "http://1.2.3.4",
        "https://1.2.3.4", "http://1.2.3.4:4321", "https://example.com:4321", "https://ollama.com", "ollama.com:11434",
        "[::1]", "[::1]:1337", "https://[::1]", "http://[fe80::1]:8080/x", "https://example.com/ollama", "example.com/",
        "example.com:56789/ollama/", "example.com/a/b", "[::1]/path", "https://example.com/", "http://example.com/a/",
    ]  # fmt: skip
    known = dict(CASES)
    assert {value: _parse_host(value) for value in agree} == {value: known[value] for value in agree}


@each(
    ("0.12.4", (0, 12, 4)),
    ("v0.12.4", (0, 12, 4)),
    ("0.12.4-rc1", (0, 12, 4)),
    ("0.12.4+cuda", (0, 12, 4)),
    ("1.0", (1, 0)),
    ("0.0.0", None),
    ("", None),
    ("unknown", None),
    ("0.12.x", None),
    ("0.١٢.4", None),
)
def test_numbers(version, known):
    assert numbers(version) == known


@each(
    ("0.12.3", TRUNCATE, False),
    ("0.12.4", TRUNCATE, True),
    ("0.9.9", TRUNCATE, False),
    ("0.12.10", LOGPROBS, False),
    ("0.12.11", LOGPROBS, True),
    ("1.0", LOGPROBS, True),
    ("0.0.0", LOGPROBS, None),
)
def test_at_least(version, since, expected):
    assert at_least(version, since) is expected


@each(("0.1.48", False), ("0.2.0", True), ("0.12.3", True), ("0.29.9", True), ("0.30.0", False), ("0.30.9", True),
 ("0.33.0", True), ("0.0.0", True), ("", True))  # fmt: skip
def test_versions_that_leave_the_cache_out_of_their_count(version, expected):
    assert counts_cached(version) is expected
