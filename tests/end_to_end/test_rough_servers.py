"""Whole runs against servers that fail, turn away, refuse, cost money, or say the key out loud."""

from __future__ import annotations

import base64
import html
import json
import re
import socket
import subprocess
import threading
import time
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from judgekit.cli import execute
from judgekit.testing import ChatServer, FaultServer, http
from judgekit_openai.backend import OpenAIBackend
from rough_server import CONTENT, RoughServer, fault_of, truth
from scoring import in_process, prepare, record


def written(folder: Path, url: str, calls: int, jobs: int, *sets: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    command = prepare(folder, url, calls, jobs)
    for one in sets:
        command += ["--set", one]
    return command


def start(folder: Path, url: str, calls: int, jobs: int, *sets: str) -> subprocess.CompletedProcess[str]:
    """A run in a process of its own."""
    return subprocess.run(written(folder, url, calls, jobs, *sets), capture_output=True, text=True, timeout=280)


def here(folder: Path, url: str, calls: int, jobs: int, *sets: str) -> subprocess.CompletedProcess[str]:
    """A run in this process."""
    return in_process(written(folder, url, calls, jobs, *sets))


def succeeded(command: list[str]) -> str:
    """What a command of this process printed that ended well."""
    done = in_process(command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    (path,) = folder.glob(f"runs/*/{name}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def check_every_score(folder: Path, calls: int, faults: float = 0.0) -> Counter[str]:
    """How often each status came, in rows of which each has the score of its mouse, or none and says why."""
    mouse = {one["id"]: int(re.findall(r"mouse (\d+)", one["input"])[0]) for one in lines(folder, "samples")}
    rows = lines(folder, "rows")
    assert sorted(mouse[row["sample_id"]] for row in rows) == list(range(calls))
    for row in rows:
        number = mouse[row["sample_id"]]
        if row["status"] == "scored":
            assert row["value"] == truth(number), f"mouse {number} is mis-scored: {row}"
            assert fault_of(number, 0, faults) not in CONTENT
        else:
            assert row["value"] is None
            assert all(verdict["detail"] for verdict in row["verdicts"]), row
    return Counter(row["status"] for row in rows)


@pytest.mark.parametrize("calls", [300, pytest.param(3000, marks=pytest.mark.slow)])
def test_forty_per_cent_faults_of_three_dozen_kinds_mis_score_nothing(tmp_path: Path, calls: int) -> None:
    """Every row has the score of its own question, which no other kind of answer holds, or none and says why."""
    with RoughServer(faults=0.4, delay=0.002) as server:
        done = start(tmp_path, server.url, calls, 32, "judges.main.deadline=1")
        faults = server.account()["faults"]
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert len(faults) >= 30
    assert sum(faults.values()) > 0.35 * calls
    counts = check_every_score(tmp_path, calls, 0.4)
    print(calls, dict(counts), sum(faults.values()), "faults of", len(faults), "kinds")
    assert set(counts) == {"scored", "refused", "truncated", "unparsed", "error"}
    assert counts["scored"] > 0.75 * calls


STORMS = [
    pytest.param({"rate": 100, "burst": 10}, 200, id="short"),
    pytest.param({"rate": 60, "burst": 60, "after": "whole"}, 1500, id="whole-seconds", marks=pytest.mark.slow),
    pytest.param({"rate": 60, "burst": 5, "after": "exact"}, 1200, id="small-bucket", marks=pytest.mark.slow),
    pytest.param({"rate": 60, "window": 2, "after": "exact"}, 1500, id="window", marks=pytest.mark.slow),
    pytest.param({"rate": 40, "burst": 4, "after": "exact", "delay": 0.4}, 1200, id="slow", marks=pytest.mark.slow),
    pytest.param({"rate": 60, "burst": 5, "after": "whole"}, 3000, id="small-in-seconds", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("limits", "calls"), STORMS)
def test_a_storm_of_429_loses_nothing_sends_nothing_early_and_uses_four_fifths_of_what_the_server_admits(
    tmp_path: Path, limits: dict[str, object], calls: int
) -> None:
    with RoughServer(**limits) as server:
        done = start(tmp_path, server.url, calls, 32)
        account = server.account()
    assert done.returncode == 0, done.stdout[:2000] + done.stderr
    assert check_every_score(tmp_path, calls) == {"scored": calls}
    assert account["turned_away"] > 0
    assert account["early"] == 0, "calls sent before Retry-After had passed"
    if calls < 1000:
        return  # too short for a share of the rate
    seconds = account["let_in"][-1] - account["let_in"][0]
    share = calls / (seconds * float(str(limits["rate"])))
    print(f"{limits}: {share:.2f} of the admitted rate, {account['turned_away']} turned away")
    assert share >= 0.8


PERMANENT = [
    (401, {"error": {"message": "Incorrect API key"}}, "was refused"),
    (404, {"error": {"message": "The model `loopback` does not exist", "code": "model_not_found"}}, "has no model"),
    (404, {"detail": "Not Found"}, "offers no chat completions"),
    (429, {"error": {"message": "You exceeded", "type": "insufficient_quota"}}, "out of credit"),
]


@pytest.mark.parametrize(("status", "body", "words"), PERMANENT)
def test_what_no_call_gets_past_opens_the_circuit(tmp_path: Path, status: int, body: object, words: str) -> None:
    asked = []

    def handler(connection: socket.socket, request: bytes, before: int) -> None:
        if request.startswith(b"POST"):
            asked.append(before)
            connection.sendall(http(status, json.dumps(body), retry_after="1"))
        else:
            connection.sendall(http(200, '{"data": []}'))

    with FaultServer(handler) as server:
        done = here(tmp_path, f"{server.url}/v1", 200, 8)
    assert done.returncode == 4
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert 1 <= len(asked) <= 8


def test_a_server_that_dies_under_way_ends_the_run_and_it_goes_on_later(tmp_path: Path) -> None:
    def kill_soon() -> None:
        while server.counts().total() < 20:
            time.sleep(0.02)
        server.process.kill()

    with ChatServer(delay=0.05) as server:
        killer = threading.Thread(target=kill_soon)
        killer.start()
        done = start(tmp_path, server.url, 400, 4, "judges.main.retries=1")
        killer.join()
        port = server.port
    assert done.returncode == 4
    assert "Connection refused" in done.stderr or "connection was lost" in done.stderr
    with ChatServer(port=port) as server:
        again = here(tmp_path, server.url, 400, 4)
        assert again.returncode == 0
        assert server.counts().total() < 400, "what was answered came from the ledger"


PRICE = ("judges.main.price={input: 2.5, output: 10}",)


@pytest.mark.parametrize("cap", ["calls=25", "tokens=6000", "usd=0.02"])
def test_a_budget_ends_the_run_which_goes_on_with_a_larger_one(tmp_path: Path, cap: str) -> None:
    with ChatServer() as server:
        done = here(tmp_path, server.url, 60, 4, *PRICE, f"budget.{cap}")
        first = server.counts().total()
        assert done.returncode == 3, done.stderr
        assert 0 < first < 60
        out = done.stdout
        assert "INCOMPLETE" in out
        assert "The run was stopped: the budget of" in out
        assert f"{60 - first} planned calls were not sent" in out
        command = next(line for line in out.splitlines() if line.startswith("  judgekit run"))
        assert f"--set budget.{cap}" in command
        assert "FAILED" not in out
        timing = json.loads(next(tmp_path.glob("runs/*/timing.json")).read_text())
        assert timing["budget"]["spent"]["calls"] == first == timing["usage"]["judges.main"]["calls"]
        key, value = cap.split("=")
        assert timing["budget"]["spent"][key] <= float(value)
        assert json.loads(record(tmp_path))["status"] == "incomplete"
        again = here(tmp_path, server.url, 60, 4, "budget.calls=1000", "judges.main.limits.requests_per_minute=60000")
        assert again.returncode == 0, again.stdout
        assert server.counts().total() == 60, "no call was repeated"
        whole = here(tmp_path / "other", server.url, 60, 4)
    assert whole.returncode == 0
    assert record(tmp_path) == record(tmp_path / "other"), "limits, prices and budgets change no byte"


def test_a_dry_run_says_the_most_that_the_run_can_cost(tmp_path: Path) -> None:
    sets = (*PRICE, "judges.main.control_items=5")
    with ChatServer() as server:
        command = written(tmp_path, server.url, 30, 4, *sets)
        dry = succeeded([*command, "--dry-run"])
        assert server.counts().total() == 0
        most = re.search(r"At most ([\d,]+) calls, ([\d,]+) tokens in and ([\d,]+) out: \$([\d.]+)", dry)
        assert most is not None, dry
        assert re.search(r"controlling\s+main", dry)
        assert not (tmp_path / "home").exists()
        done = succeeded(command)
        usage = json.loads(next(tmp_path.glob("runs/*/timing.json")).read_text())["usage"]["judges.main"]
        calls, tokens_in, tokens_out, usd = (float(found.replace(",", "")) for found in most.groups())
        assert 0.3 * calls <= usage["calls"] <= calls
        assert usage["prompt_tokens"] <= tokens_in < 20 * usage["prompt_tokens"]
        assert usage["completion_tokens"] <= tokens_out
        assert 0 < usage["usd"] <= usd
        assert f"judges.main (loopback): {usage['calls']} calls" in done
        again = succeeded([*command, "--dry-run"])
        assert "At most 0 calls, 0 tokens in and 0 out: $0.00" in again


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["budget.usd=1"], "judges.main: budget.usd is set, and what this costs is not known: add price:"),
        (["budget.usd=1", "judges.main.max_new_tokens=null", *PRICE], "score/integer"),
        (["budget.tokens=9", "judges.main.max_new_tokens=null", "judges.main.prompt=mine.j2"], "add max_new_tokens"),
        (["budget.usd=-1"], "budget.usd: input should be greater than or equal to 0"),
        (["budget.call=1"], "unknown key 'budget.call'; did you mean 'calls'?"),
        (["judges.main.limits={concurency: 1}"], "'judges.main.limits.concurency'; did you mean 'concurrency'?"),
        (["judges.main.limits={concurrency: 0}"], "judges.main.limits.concurrency: input should be greater"),
        (["judges.main.price={input: 1}"], "'judges.main.price.output' is missing"),
        (["judges.main.price={input: 1, output: .nan}"], "price.output"),
        (["budget.calls=many"], "budget.calls: input should be a valid integer"),
    ],
)
def test_what_is_wrong_is_said_before_any_call(tmp_path: Path, sets: list[str], words: str) -> None:
    (tmp_path / "mine.j2").write_text("{#- reading: integer\n scale: 0..100 -#}\n{{ instruction }} {{ response }}")
    with ChatServer() as server:
        done = here(tmp_path, server.url, 5, 4, *sets)
        if words == "score/integer":  # its prompt says how long a reply may get: all is well
            assert done.returncode == 0, done.stderr
            return
        assert done.returncode == 2, done.stdout + done.stderr
        assert words in done.stderr
        assert server.counts().total() == 0


CANARY = "sk-proj-Canary/4f9+Zq7_X2=="


def spellings(key: str) -> dict[str, str]:
    escaped = "".join(f"\\u{ord(char):04x}" for char in key)
    return {
        "raw": key,
        "base64": base64.b64encode(key.encode()).decode(),
        "base64 of a header": base64.b64encode(f"user:{key}".encode()).decode(),
        "URL-safe base64": base64.urlsafe_b64encode(f"Bearer {key}".encode()).decode(),
        "URL": urllib.parse.quote(key, safe=""),
        "URL, lower": re.sub("%..", lambda match: match[0].lower(), urllib.parse.quote(key, safe="")),
        "every letter of a URL": "".join(f"%{ord(char):02X}" for char in key),
        "JSON": escaped,
        "slashes": key.replace("/", "\\/"),
        "HTML": "".join(f"&#{ord(char)};" for char in key),
        "HTML entities": html.escape(key),
        "hexadecimal": key.encode().hex(),
    }


def test_a_key_that_the_server_says_out_loud_is_found_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Echoed in every spelling: in error bodies of every shape, in headers, in replies, in cut and broken ones."""
    spelt = list(spellings(CANARY).values())

    def handler(connection: socket.socket, request: bytes, before: int) -> None:
        if not request.startswith(b"POST"):
            connection.sendall(http(200, json.dumps({"data": [], "key": CANARY}), x_key=CANARY))
            return
        assert CANARY.encode() in request.split(b"\r\n\r\n")[0]
        number = int(re.search(rb"mouse (\d+)", request)[1])  # type: ignore[index]
        echo = spelt[number % len(spelt)]
        kind = number // len(spelt) % 6
        message = {"role": "assistant", "content": f"{echo} 50", "reasoning": echo}
        choice = {"message": message, "finish_reason": "stop"}
        answers = [
            http(400, json.dumps({"error": {"message": f"no: {echo}", "code": echo}}), x_echo=echo),
            http(400, f"<html><h1>denied {echo}</h1>", content_type="text/html"),
            http(400, '{"error": {"message": "the key ' + echo.replace('"', "") + '"}}'),
            http(200, json.dumps({"choices": [choice], "usage": {}}), x_echo=echo),
            http(200, f'{{"choices": [{{"message": "{echo}'),
            http(200, json.dumps({"error": {"message": json.dumps({"key": echo})}})),
        ]
        connection.sendall(answers[kind])

    with FaultServer(handler) as server:
        monkeypatch.setenv("JUDGE_KEY", CANARY)
        sets = ("judges.main.key_env=JUDGE_KEY", "judges.main.retries=0", REPORTS)
        done = start(tmp_path, f"{server.url}/v1", 6 * len(spelt), 4, *sets)
    assert done.returncode == 3, done.stderr
    said = found_nowhere(tmp_path, done.stdout, done.stderr)
    assert any("[secret]" in text for name, text in said.items() if name.endswith("record.json"))


REPORTS = "reports=[html, json, junit, junit-items, markdown, gitlab, github, openmetrics]"


def found_nowhere(folder: Path, out: str, err: str) -> dict[str, str]:
    """All that was said and written, in which the key is in no spelling."""
    files = {str(path): path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()}
    said = {"stdout": out, "stderr": err, **files}
    for name, text in said.items():
        for how, spelling in spellings(CANARY).items():
            for form in {spelling, json.dumps(spelling)[1:-1], json.dumps(json.dumps(spelling))[3:-3]}:
                assert form not in text, f"{how} in {name}"
        assert "Canary" not in text, name
        assert base64.b64encode(b"Canary")[1:-2].decode() not in text, name
    return said


OLLAMA = ["judges.main={backend: ollama, model: m, prompt: score/integer, control_items: 0, retries: 0}"]
KEY_ENV = "judges.main.key_env=JUDGE_KEY"
WAYS = {
    "key_env": ([KEY_ENV], {"JUDGE_KEY": CANARY}),
    "a key that is not sent": ([], {"OPENAI_API_KEY": CANARY}),
    "OPENAI_BASE_URL": (["judges.main.base_url=null"], {"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": "URL/v1"}),
    "batches": ([KEY_ENV, "judges.main.batch=true", "judges.main.poll=0.05"], {"JUDGE_KEY": CANARY}),
    "ollama": (OLLAMA, {"OLLAMA_API_KEY": CANARY, "OLLAMA_HOST": "URL"}),
    "organisation": ([KEY_ENV], {"JUDGE_KEY": CANARY, "OPENAI_ORG_ID": "org"}),
}


SLOW = [pytest.param(status, marks=pytest.mark.slow) for status in (400, 404, 429, 500)]


@pytest.mark.parametrize("status", [200, 401, *SLOW])
@pytest.mark.parametrize("way", WAYS)
def test_a_key_said_in_preflight_and_by_every_answer_is_found_nowhere(
    tmp_path: Path, way: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is asked, the answer is the key in every spelling, as JSON, as a page, or as an error in a reply."""
    sets, env = WAYS[way]
    spelt = " ".join(spellings(CANARY).values())
    error = {"error": {"message": spelt, "code": CANARY}, "id": CANARY, "version": spelt, "data": [{"id": spelt}]}
    bodies = [json.dumps(error), f"<html>{spelt}</html>", json.dumps({"error": spelt})]

    def handler(connection: socket.socket, request: bytes, before: int) -> None:
        connection.sendall(http(status, bodies[before % len(bodies)], x_echo=CANARY, location=f"http://h/?k={CANARY}"))

    with FaultServer(handler) as server:
        for name, value in env.items():
            monkeypatch.setenv(name, value.replace("URL", server.url))
        run = here(tmp_path, f"{server.url}/v1", 3, 2, *sets, REPORTS, "judges.main.retries=0")
        doctor = ["doctor", "ollama" if way == "ollama" else "openai", "--set", "model=m"]
        doctor += ["--set", "key_env=JUDGE_KEY"] if "JUDGE_KEY" in env else []
        doctor += [] if "URL" in str(env) else ["--set", f"base_url={server.url}/v1"]
        doctor_code = execute(doctor)
        assert len(server.requests) > 1
    out, err = (one + two for one, two in zip(capsys.readouterr(), (run.stdout, run.stderr), strict=True))
    assert run.returncode in (3, 4), err
    assert doctor_code in (0, 4), err
    assert "Traceback" not in err
    found_nowhere(tmp_path, out, err)


@pytest.mark.parametrize("where", ["generate", "identity", "check"])
def test_a_key_in_a_bug_of_a_plugin_is_found_nowhere(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"could not use {' '.join(spellings(CANARY).values())}")

    monkeypatch.setenv("JUDGE_API_KEY", CANARY)
    monkeypatch.setattr(OpenAIBackend, "carry_out" if where == "generate" else where, broken)
    if where != "check":
        monkeypatch.setattr(OpenAIBackend, "check", lambda self: [])
    done = here(tmp_path, "http://127.0.0.1:9/v1", 3, 2)
    assert done.returncode in (2, 70)
    assert "RuntimeError" in done.stderr
    found_nowhere(tmp_path, done.stdout, done.stderr)
