"""A key is shown by name, and leaves every text by value, however it is spelt there."""

import base64
import json
import pickle
import re
import urllib.parse

import pytest

from judgekit.calls.http import Http
from judgekit.errors import CallError
from judgekit.secrets import Secret, clean, know_environment, one_line, scrub, shortened
from judgekit.testing import http, replies

CANARY = 'sk-canary/4f+9 "x\\y"=='


@pytest.fixture(scope="module")
def canary():
    return Secret(CANARY, "CANARY_KEY")


def test_a_secret_shows_its_name_only(canary):
    for text in (str(canary), repr(canary), f"{canary}", f"{canary!r}", f"{[canary]!s}"):
        assert "CANARY_KEY" in text
        assert "canary/" not in text
    assert canary.reveal() == CANARY
    assert not hasattr(canary, "__dict__")
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(canary)


def test_an_unset_or_blank_variable_is_no_secret_and_space_no_part_of_a_key(monkeypatch):
    assert Secret.from_env("JUDGEKIT_TEST_KEY") is None
    for value in ("", "  \n"):
        monkeypatch.setenv("JUDGEKIT_TEST_KEY", value)
        assert Secret.from_env("JUDGEKIT_TEST_KEY") is None
    monkeypatch.setenv("JUDGEKIT_TEST_KEY", " a-test-key-1\n")
    secret = Secret.from_env("JUDGEKIT_TEST_KEY")
    assert (secret.reveal(), secret.name) == ("a-test-key-1", "JUDGEKIT_TEST_KEY")


def test_every_spelling_is_scrubbed(canary):
    quoted = urllib.parse.quote(CANARY, safe="")
    spellings = [
        CANARY,
        json.dumps(CANARY),
        quoted,
        re.sub("%..", lambda match: match[0].lower(), quoted),
        urllib.parse.quote_plus(CANARY),
        *(
            base64.b64encode(before + CANARY.encode() + b"tail").decode()
            for before in (b"", b"u", b"u:", b"usr", b"user")
        ),
        base64.urlsafe_b64encode(b"user:" + CANARY.encode()).decode(),
    ]
    for spelling in spellings:
        assert_scrubbed(spelling, CANARY, quoted, "canary")


def assert_scrubbed(spelling, *parts):
    found = scrub(f"before {spelling} after")
    assert "[secret]" in found, spelling
    assert found.startswith("before ")
    assert found.endswith(" after")
    assert not [part for part in parts if part in found], spelling


def test_text_without_a_secret_is_the_same_object(canary):
    text = "an ordinary reply, score 85"
    assert scrub(text) is text


def test_placeholder_keys_are_words_and_stay():
    Secret("EMPTY")
    Secret("ollama")
    assert scrub("EMPTY answers from ollama") == "EMPTY answers from ollama"


def test_the_longest_secret_goes_first():
    Secret("prefix-key-12")
    Secret("prefix-key-12-and-more")
    assert scrub("prefix-key-12-and-more") == "[secret]"


def test_one_line_is_printable_short_and_scrubbed(canary):
    text = one_line(f"a\x1b[31m b\r\n\tc\u202e {CANARY} " + "z" * 500, 80)
    assert len(text) == 80
    assert text.startswith("a [31m b c [secret] zzz")
    assert text.endswith("…")


KEY = "sk-proj-Canary_4f9/Zq+7=="
ESCAPED = {
    "one letter": KEY.replace("C", "\\u0043"),
    "every letter": "".join(f"\\u{ord(char):04X}" for char in KEY),
    "the slash": KEY.replace("/", "\\/"),
    "twice": json.dumps(KEY.replace("C", "\\u0043").replace("/", "\\/"))[1:-1],
    "every letter in a URL": "".join(f"%{ord(char):02x}" for char in KEY),
    "a URL in a URL": urllib.parse.quote(urllib.parse.quote(KEY, safe=""), safe=""),
    "some in a URL": KEY.replace("C", "%43"),
    "HTML, hexadecimal": "".join(f"&#x{ord(char):x};" for char in KEY),
    "HTML, decimal": KEY.replace("-", "&#45;").replace("/", "&#047;"),
    "hexadecimal": KEY.encode().hex(),
    "in a JSON of a JSON": json.dumps(json.dumps({"key": KEY.replace("C", "\\u0043")})),
}


@pytest.mark.parametrize("how", ESCAPED)
def test_escapes_of_single_letters_hide_nothing(how):
    Secret(KEY, "ESCAPED_KEY")
    assert_scrubbed(ESCAPED[how], KEY, "Canary", ESCAPED[how])


@pytest.mark.parametrize(
    "text", ['50 % of {"a": "\\u00e9\\/"}', "100%25 sure", "&#169; &#x26; and \\\\/", "C:\\/temp %41"]
)
def test_escapes_without_a_secret_stay_as_they_are(text):
    Secret(KEY, "ESCAPED_KEY")
    assert scrub(text) is text


def test_what_was_json_stays_json():
    Secret(KEY, "ESCAPED_KEY")
    text = json.dumps({"a": f'\\u0022 %22 &#34; {ESCAPED["one letter"]} "quoted" \\', "b": [1, None]})
    tree = json.loads(scrub(text))
    assert tree["b"] == [1, None]
    assert "Canary" not in tree["a"]


def test_parsed_json_is_cleaned_to_its_last_string():
    Secret(KEY, "ESCAPED_KEY")
    tree = {"a": [KEY, 1, None, {"b": f"x {KEY}", KEY: True}], "c": "fine"}
    assert clean(tree) == {"a": ["[secret]", 1, None, {"b": "x [secret]", "[secret]": True}], "c": "fine"}


def test_keys_in_the_environment_are_known_although_nothing_sends_them(monkeypatch):
    values = {"OPENAI_API_KEY": "sk-env-canary-000000001", "HF_TOKEN": "hf_env_canary_000000002"}
    words = {"MY_TOKEN": "short", "HOME_OF_KEYS": "a-long-value-that-is-none", "TOKENIZERS": "a-long-value-of-another"}
    for name, value in {**values, **words}.items():
        monkeypatch.setenv(name, value)
    know_environment()
    for name, value in values.items():
        assert scrub(f"{name} was {value}") == f"{name} was [secret]"
    for value in words.values():
        assert scrub(value) == value


LONG_KEY = "sk-proj-Canary-4f9Zq7AbCdEf0123456789"
CUTS = {
    "one_line": (80, lambda text: one_line(text, 80)),
    "one_line, the most that is looked at": (100_000, one_line),
    "shortened": (60, lambda text: shortened(text, 60)),
}


def assert_no_part(text):
    parts = {LONG_KEY[start : start + 8] for start in range(8, len(LONG_KEY) - 7)}
    assert not [part for part in parts if part in text], text


@pytest.mark.parametrize("name", CUTS)
def test_a_key_that_lies_across_a_cut_leaves_no_part(name):
    Secret(LONG_KEY, "LONG_KEY")
    limit, cut = CUTS[name]
    for before in range(limit - len(LONG_KEY) - 1, limit + 2):
        assert_no_part(cut(" " * before + LONG_KEY + " end"))
        assert_no_part(cut(("x" * before + LONG_KEY) if limit < 1000 else f"{' ' * before}{LONG_KEY}{' ' * 300}end"))


SAID = {
    "a page where JSON was due": lambda text: http(200, f"{text} end"),
    "cut JSON": lambda text: http(200, f'{{"choices": "{text}'),
    "an error in the last line": lambda text: http(200, '{"half": 1}\n' + json.dumps({"error": text})),
    "a page with a status": lambda text: http(400, f"<p>{text} end</p>"),
    "JSON with a status": lambda text: http(400, json.dumps({"error": {"message": f"{text} end"}})),
    "where a redirect leads": lambda text: http(302, "{}", location=f"http://127.0.0.1/{text}"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_a_server_says_holds_no_part_of_a_key_wherever_it_is_cut(name):
    Secret(LONG_KEY, "LONG_KEY")
    texts = ["e" * before + LONG_KEY for before in (*range(40, 84), *range(200, 304, 3))]
    with replies(*map(SAID[name], texts)) as server, Http(server.url, retries=0) as client:
        for _ in texts:
            with pytest.raises(CallError) as caught:
                client.post("chat", {})
            assert_no_part(str(caught.value))
