"""Which key goes where, what preflight finds, and what the record says of the server."""

import json
import re
import subprocess
import sys

import pytest
from pydantic import ValidationError

import scoring
from judgekit import ConfigError, Message, Request, build_options
from judgekit.testing import closed_port
from judgekit_openai.backend import OpenAIBackend, OpenAIOptions
from openai_fake import Answer, OpenAIFake, completion, failure, refuse_parameter
from tables import each

ASK = Request(messages=(Message(role="user", content="hi"),))
KEY = "sk-canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


def backend(base_url=None, **options):
    return OpenAIBackend(OpenAIOptions(**{"model": "m", "base_url": base_url, "retries": 0} | options))


def test_a_missing_key_is_found_before_any_call():
    [problem] = backend().check()
    assert (problem.severity, problem.exit_code) == ("error", 4)
    assert "no API key for https://api.openai.com/v1: set the environment variable OPENAI_API_KEY" in problem.message
    [problem] = backend("http://127.0.0.1:1/v1", key_env="JUDGE_KEY").check()
    assert problem.exit_code == 4
    assert "JUDGE_KEY" in problem.message


def sent(fake):
    return [call.headers.get("authorization") for call in fake.calls]


def test_keys_go_to_the_server_they_are_for(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-x")
    with OpenAIFake() as fake:
        backend(fake.base_url).generate([ASK])
    assert sent(fake) == [None]
    assert "openai-organization" not in fake.calls[0].headers
    with OpenAIFake(key=KEY) as fake:
        monkeypatch.setenv("OPENAI_BASE_URL", fake.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        assert backend().generate([ASK])[0].text == "50"
    assert sent(fake) == [f"Bearer {KEY}"]
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with OpenAIFake(key=KEY) as fake:
        judge = backend(fake.base_url, key_env="JUDGE_KEY")
        assert judge.check() == []
        assert judge.generate([ASK])[0].text == "50"


def test_preflight_finds_or_passes(monkeypatch):
    class Restricted(OpenAIFake):
        def respond(self, call):
            if call.method == "GET":
                return failure(403, "You have insufficient permissions. Missing scopes: api.model.read.")
            return super().respond(call)

    with Restricted() as fake:
        assert backend(fake.base_url).check() == []

    class Silent(OpenAIFake):
        def respond(self, call):
            return Answer("nothing here", 404) if call.method == "GET" else super().respond(call)

    with Silent() as fake:
        judge = backend(fake.base_url)
        assert judge.check() == []
        assert [line[:2] for line in judge.doctor()][:3] == [("server", True), ("key", None), ("model", None)]
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with OpenAIFake(key="another") as fake:
        [problem] = backend(fake.base_url, key_env="JUDGE_KEY").check()
    assert problem.exit_code == 4
    assert "JUDGE_KEY" in problem.message
    assert KEY not in problem.message
    [problem] = backend(f"http://127.0.0.1:{closed_port()}/v1").check()
    assert problem.exit_code == 4
    assert "is the server running" in problem.message
    monkeypatch.setenv("AZURE_KEY", KEY)
    old = "https://mine.openai.azure.com/openai/deployments/judge?api-version=2024-06-01"
    [problem] = backend(old, key_env="AZURE_KEY").check()
    assert problem.exit_code == 2
    assert "https://NAME.openai.azure.com/openai/v1, without api-version" in problem.message


@each("localhost:8000", "ftp://x/v1", "https://u:p@x/v1", "https://x/v1?key=1")
def test_an_address_that_is_none(address):
    [problem] = backend(address).check()
    assert problem.exit_code == 2


def test_doctor_says_what_the_server_has():
    with OpenAIFake(models=["a", "m"]) as fake:
        *_, (_, good, words) = backend(fake.base_url, model="x").doctor()
        assert fake.bodies == []
    assert good is False
    assert words == "x is not listed; the server has a, m"
    with OpenAIFake([failure(500, "out of memory")]) as fake:
        *_, last, _ = backend(fake.base_url).doctor()
    assert last[:2] == ("answer", False)
    assert "out of memory" in last[2]


LOGPROBS = [{"token": "{", "logprob": -0.1, "bytes": [123], "top_logprobs": [{"token": "{", "logprob": -0.1}]}]


def test_doctor_says_all_that_the_model_can_do(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with OpenAIFake([completion('{"ok": true}', logprobs=LOGPROBS)], key=KEY, models=["m"]) as fake:
        lines = list(backend(fake.base_url, key_env="JUDGE_KEY").doctor())
    assert lines == [
        ("server", True, f"{fake.base_url} answers"),
        ("key", True, "JUDGE_KEY is sent"),
        ("model", True, "m"),
        ("answer", True, "complete, 12 + 3 tokens"),
        ("JSON schema", True, "kept to"),
        ("log-probabilities", True, "given"),
        ("batches", True, "offered: `mode: batch` can be used"),
    ]


def test_doctor_says_all_that_the_model_cannot_do():
    def old(body):
        if "temperature" in body:
            return refuse_parameter("temperature")
        if "response_format" in body:
            return failure(400, "response_format is not supported")
        return failure(400, "logprobs are not supported here") if "logprobs" in body else "yes"

    with OpenAIFake(old, models=["m"]) as fake:
        fake.batches = None
        found = {what: (good, words) for what, good, words in backend(fake.base_url).doctor()}
    assert found["JSON schema"][0] is None
    assert "asked with response_format none" in found["JSON schema"][1]
    assert found["parameters"] == (None, "refused by the model, and left out: temperature")
    assert found["log-probabilities"][0] is None
    assert "logprobs are not supported here" in found["log-probabilities"][1]
    assert found["batches"] == (None, "not offered")


def test_the_organisation_goes_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-x")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-y")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with OpenAIFake() as fake:
        monkeypatch.setenv("OPENAI_BASE_URL", f" {fake.base_url}/ ")
        backend().generate([ASK])
    headers = fake.calls[0].headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-x", "proj-y")
    assert headers["authorization"] == f"Bearer {KEY}"


def test_llama_cpp_without_the_option_for_repeatable_replies_is_a_warning():
    class Llama(OpenAIFake):
        def respond(self, call):
            listed = [{"id": "/models/some.gguf", "object": "model", "owned_by": "llamacpp"}]
            return Answer({"object": "list", "data": listed}) if call.path == "/v1/models" else super().respond(call)

    with Llama('{"ok": true}') as fake:
        [problem] = backend(fake.base_url).check()
        assert problem.severity == "warning"
        assert "extra: {cache_prompt: false}" in problem.message
        assert backend(fake.base_url, extra={"cache_prompt": False}).check() == []
        found = {what: (good, words) for what, good, words in backend(fake.base_url).doctor()}
    assert found["model"] == (None, "m: llama.cpp serves /models/some.gguf, however called")
    assert found["repeatable"][0] is None


def test_identity_has_no_key_and_unknown_options_are_refused(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    judge = backend("http://127.0.0.1:4321/v1", key_env="JUDGE_KEY", extra={"reasoning_effort": "low"})
    identity = judge.identity()
    assert identity == {
        "adapter": "openai/1",
        "server": "http://127.0.0.1:4321/v1",
        "model": "m",
        "max_tokens_field": "max_tokens",
        "response_format": "auto",
        "extra": {"reasoning_effort": "low"},
    }
    assert KEY not in json.dumps(identity)
    with pytest.raises(ValidationError, match="temprature"):
        OpenAIOptions(model="m", temprature=0)


@each({"messages": []}, {"temperature": 1}, {"stream": True}, {"logprobs": True})
def test_extra_cannot_replace_what_the_request_sets(extra):
    with pytest.raises(ValidationError, match="cannot stand in `extra`"):
        OpenAIOptions(model="m", extra=extra)


def test_the_plugin_modules_load_nothing_heavy():
    code = (
        "import sys, judgekit_openai, judgekit_ollama, judgekit_local;"
        "print([m for m in ('pydantic', 'httpx', 'httpcore', 'numpy', 'xllamacpp') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("field", ["key_env", "organization_env", "project_env"])
@pytest.mark.parametrize("value", ["sk-proj-value-canary", "", "A B", "KEY=1"])
def test_a_key_in_the_place_of_its_name_is_refused_unseen(field, value):
    with pytest.raises(ConfigError, match="no name of an environment variable") as caught:
        build_options(OpenAIOptions, {"model": "m", field: value}, "judges.main")
    assert "canary" not in str(caught.value)


def test_servers_on_two_ports_are_two_to_the_ledger(tmp_path):
    """One ledger, one model's name: the second judge is asked, and the first is found again by another spelling."""
    with OpenAIFake("20") as one, OpenAIFake("85") as two:
        again = one.base_url.replace("127.0.0.1", "LOCALHOST") + "/"
        for base_url, score in ((one.base_url, 20), (two.base_url, 85), (again, 20)):
            done = scoring.in_process(scoring.prepare(tmp_path, base_url, 3, 1))
            assert done.returncode == 0, done.stderr
            assert re.search(rf"\b{score}\.0\b", done.stdout), done.stdout
        assert [len([call for call in fake.calls if call.method == "POST"]) for fake in (one, two)] == [3, 3]
