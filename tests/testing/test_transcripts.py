"""Transcripts of `judgekit doctor --live`: replayed against the backends of today, and what they must not hold.

`make replay TRANSCRIPT=file` replays the user's own instead of those beside this file: `llama-cpp.jsonl` is of
llama.cpp's server with SmolLM2, `ollama-emulation.jsonl` of tests/support/ollama_emulation.py over the same model.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from judgekit.cli import execute
from judgekit.config.load import build_options
from judgekit.contracts import Backend
from judgekit.errors import DataError
from judgekit.plugins import Catalogue, build_manager
from judgekit.testing import FaultServer, Transcript, TranscriptServer, http
from judgekit.testing.transcripts import scrubbed
from openai_fake import OpenAIFake, completion, failure, refuse_parameter

HERE = Path(__file__).parent / "transcripts"
FILES = [Path(os.environ["TRANSCRIPT"])] if os.environ.get("TRANSCRIPT") else sorted(HERE.glob("*.jsonl"))
ADDRESS = re.compile(r"(https?://)?(127\.0\.0\.1:0|host\.invalid(:\d+)?)")
CANARY = "sk-proj-Canary4f9Zq7X2Zq7X2Zq7X2"


def replayed(transcript: Transcript, url: str, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """The transcript's backend, with the address of the replaying server in place of its own."""
    options = dict(transcript.head["options"])
    exchanges = transcript.told("exchange")
    for name, value in options.items():
        if isinstance(value, str):
            options[name] = ADDRESS.sub(lambda found: url if found[1] else url.removeprefix("http://"), value)
        if name.endswith("_env") and value:
            monkeypatch.setenv(str(value), CANARY)
    paths = [one["path"].partition("?")[0] for one in exchanges]
    root = next((path.removesuffix("/models") for path in paths if path.endswith("/models")), "/v1")
    monkeypatch.setenv("OPENAI_BASE_URL", url + root)
    monkeypatch.setenv("OLLAMA_HOST", url)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if any(what == "error: wrong key" for what, *_ in transcript.told("finding")) and "key_env" not in options:
        options["key_env"] = "REPLAYED_KEY"
        monkeypatch.setenv("REPLAYED_KEY", CANARY)
    if any("max_completion_tokens" in (one["body"] or {}) for one in exchanges):  # OpenAI's own name of the cap
        options["max_tokens_field"] = "max_completion_tokens"
    name = transcript.head["backend"]
    assert name != "local", "`local` starts a server of its own, so nothing can answer in its place"
    factory = Catalogue(build_manager()).get("backends", name)
    return factory(build_options(factory.Options, options, name))


def compared(transcript: Transcript) -> tuple[list[Any], list[Any]]:
    """What was read and found, whatever the server's address. The identity's text has the address in it."""
    findings = [[what, holds, "" if what == "identity" else found] for what, holds, found, _ in told(transcript)]
    return transcript.told("read"), findings


def told(transcript: Transcript) -> list[Any]:
    found: list[Any] = json.loads(ADDRESS.sub("SERVER", json.dumps(transcript.told("finding"))))
    return found


def replay(kept: Transcript, monkeypatch: pytest.MonkeyPatch) -> tuple[Transcript, list[str]]:
    with TranscriptServer(kept) as server:
        backend = replayed(kept, server.url, monkeypatch)
        again = Transcript.of(kept.head["backend"], backend)
        with again.watching():
            list(again.check(backend, kept.head["context"]))
        backend.close()
    return again, server.unknown


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_real_server_sent_is_read_as_it_was_when_replayed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Transcript.read(path)
    assert kept.told("read"), "the transcript holds no reply that could be read again"
    again, unknown = replay(kept, monkeypatch)
    assert not unknown, "requests are worded otherwise than in the transcript: make a new one with doctor --live"
    assert compared(again) == compared(kept)
    assert len(again.told("exchange")) == len(kept.told("exchange"))


def test_transcripts_of_both_protocols_are_kept() -> None:
    assert {path.stem for path in HERE.glob("*.jsonl")} >= {"llama-cpp", "ollama-emulation"}


def test_a_reply_that_is_read_otherwise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay of a transcript in which one finish reason, one text and one status were changed."""
    whole = Transcript.read(HERE / "llama-cpp.jsonl")
    assert compared(replay(whole, monkeypatch)[0]) == compared(whole)
    for old, new in [('"finish_reason": "length"', '"finish_reason": "stop"'), ("Water is", "Water was")]:
        lines = (HERE / "llama-cpp.jsonl").read_text("utf-8").splitlines()
        at = next(at for at, line in enumerate(lines) if line.startswith('{"exchange"') and old in line)
        lines[at] = lines[at].replace(old, new)
        kept = Transcript(json.loads(lines[0]), [json.loads(line) for line in lines[1:]])
        again, _ = replay(kept, monkeypatch)
        assert compared(again) != compared(kept)


def answers(body: dict[str, Any]) -> Any:
    """A reasoning model of OpenAI's, as far as the checks see it: no temperature, thoughts of its own, refusals."""
    if "temperature" in body:
        return refuse_parameter("temperature")
    asked = body["messages"][-1]["content"]
    if len(asked) > 1000:
        return failure(400, "This model's maximum context length is 64 tokens.", code="context_length_exceeded")
    if body.get("logprobs"):
        return failure(403, "You are not allowed to request logprobs", code="unsupported_value")
    if "lock" in asked:
        return completion(None, refusal="I cannot help with that.")
    if "response_format" in body:
        return completion('{"colour": "green", "score": 3}')
    if body["max_tokens"] == 4:
        return completion("", finish_reason="length", completion_tokens=4)
    return completion("1, 2, 3, 4, " if "stop" in body else f"yes {body.get('seed')}", reasoning_content="Hm.")


def test_a_transcript_made_by_the_command_is_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Batches, a key, a parameter that is left out, a refusal, and errors are in it."""
    monkeypatch.setenv("LIVE_KEY", CANARY)
    file = tmp_path / "t.jsonl"
    with OpenAIFake(answers, key=CANARY, models=["gpt-fake"]) as server:
        sets = ["--set", "model=gpt-fake", "--set", f"base_url={server.base_url}", "--set", "key_env=LIVE_KEY"]
        code = execute(["doctor", "--live", "openai", *sets, "--yes", "--context", "500", "--transcript", str(file)])
        posts = [call for call in server.calls if call.method == "POST"]
        port = server.url.rpartition(":")[2]
    out = capsys.readouterr().out
    assert code == 0, out
    assert len(posts) <= 20
    kept = Transcript.read(file)
    found = {what: holds for what, holds, _, _ in told(kept)}
    seen = ("a refusal", "error: wrong key", "error: no such model", "batches", "a prompt that is too long", "thoughts")
    assert all(found[what] for what in seen), found
    assert found["notes"] is None
    text = file.read_text("utf-8")
    assert CANARY not in text
    assert port not in text
    again, unknown = replay(kept, monkeypatch)
    assert not unknown
    assert compared(again) == compared(kept)


def test_neither_keys_nor_hosts_nor_folders_are_in_a_transcript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (
        f"{CANARY} at https://gpu-7.corp.example.com:8443/v1?k=x for ann@example.com of org-Ab12Cd34Ef56, model "
        "/srv/secret-folder/model.gguf on node-3.cluster.local and 10.11.12.13, ft:gpt-4o:acme-corp::9xYz"
    )
    monkeypatch.setenv("LIVE_KEY", CANARY)
    body = {"choices": [{"message": {"content": said}, "finish_reason": "stop"}], "data": [{"id": said}], "host": said}
    bodies = [json.dumps(body), f"<html>{said}</html>", json.dumps({"error": {"message": said}})]
    file = tmp_path / "t.jsonl"
    for status in (200, 400, 500):
        handler = lambda connection, request, before, status=status: connection.sendall(  # noqa: E731
            http(status, bodies[before % 3] if status > 200 else bodies[0], x_host=said)
        )
        with FaultServer(handler) as server:
            sets = ["--set", "model=m", "--set", f"base_url={server.url}/v1", "--set", "key_env=LIVE_KEY"]
            execute(["doctor", "--live", "openai", *sets, "--set", "retries=0", "--yes", "--transcript", str(file)])
        text = file.read_text("utf-8")
        assert '"exchange"' in text
        for part in (CANARY, "Canary", "corp.example", "8443", "ann@", "Ab12Cd34", "secret-folder", "node-3", "10.11."):
            assert part not in text, part
        assert "acme" not in text
        assert "model.gguf" in text, "what is no secret stays"


def test_a_servers_own_name_goes_wherever_it_stands() -> None:
    hosts = ["judgebox"]
    assert scrubbed({"a": ["JUDGEBOX:8000 said judgeboxes"]}, hosts) == {"a": ["host.invalid:8000 said judgeboxes"]}
    once = scrubbed({"api_key": "short", "key_env": "MY_KEY", "text": "x" * 5000})
    assert once["api_key"] == "[secret]"
    assert once["key_env"] == "MY_KEY"
    assert len(once["text"]) < 500
    assert scrubbed(once) == once
    assert scrubbed({"path": "/team/llm/v1/models", "file": "/team/llm/m.gguf"}) == {
        "path": "/team/llm/v1/models",
        "file": "m.gguf",
    }
    assert scrubbed({"token": "Water", "key": "value"}) == {"token": "Water", "key": "[secret]"}


def test_a_file_that_is_no_transcript_is_refused(tmp_path: Path) -> None:
    for text in ("", "{}", "[1]\n", "{", '{"backend": "openai", "options": 3}'):
        (tmp_path / "t.jsonl").write_text(text)
        with pytest.raises(DataError, match="no transcript"):
            Transcript.read(tmp_path / "t.jsonl")


def test_a_request_that_the_transcript_has_not_is_told() -> None:
    kept = Transcript.read(HERE / "llama-cpp.jsonl")
    with TranscriptServer(kept) as server:
        status, _, body = server.response("POST", "/v1/chat/completions", b'{"model": "other"}')
        assert status == 501
        assert b"no such request" in body
        assert len(server.unknown) == 1
        assert urllib.parse.urlsplit(server.url).hostname == "127.0.0.1"
