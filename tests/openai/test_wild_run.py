"""Whole runs, by the command line, with a judge on a server that does not keep to the documents."""

import json

import pytest

from judgekit.cli import execute
from openai_fake import Answer, OpenAIFake, completion, failure
from tables import each

N = 9
LONG = "Could not finish the message because max_tokens or model output limit was reached."


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a judge on nine items, answer by answer → (exit code, status by item, record, output)."""
    monkeypatch.setenv("MY_KEY", "sk-canary-0123456789abcdef")
    items = [{"instruction": f"Q{n}?", "input": "", "output": "x", "r": f"answer t{n}."} for n in range(N)]
    (tmp_path / "items.json").write_text(json.dumps(items))

    def go(fake, jobs=1, system=None, **config):
        judge = {"backend": "openai", "model": "m", "base_url": fake.base_url, "mode": "grade", "control_items": 0}
        tree = {
            "name": "wild",
            "data": {"loader": "instructions", "path": "items.json"},
            "models": {"a": system or {"backend": "responses", "path": "items.json", "field": "r"}},
            "judges": {"main": judge | {"retries": 0, "key_env": "MY_KEY"} | config.pop("judge", {})},
            "metrics": {"q": {"type": "score", "judge": "main"}},
            "reports": ["json"],
        }
        (tmp_path / "judgekit.yaml").write_text(json.dumps(tree | config))
        places = ["-o", str(tmp_path / "runs"), "--home", str(tmp_path / "home"), "-j", str(jobs)]
        code = execute(["run", str(tmp_path / "judgekit.yaml"), *places])
        output = "".join(capsys.readouterr())
        newest = max(tmp_path.glob("runs/*/record.json"), key=lambda path: path.stat().st_mtime_ns, default=None)
        if newest is None:
            return code, [], {}, output
        rows = map(json.loads, (newest.parent / "rows.jsonl").read_text().splitlines())
        return code, [row["status"] for row in rows], json.loads(newest.read_text()), output

    return go


def script(special):
    """Answers by the item's number that the prompt holds; "8" to all others."""

    def answer(body):
        text = body["messages"][-1]["content"]
        return next((special[n] for n in special if f"answer t{n}." in text), "8")

    return answer


@each(
    failure(403, "Content violates usage guidelines", code="denied"),
    Answer("<html><body><h1>Blocked</h1></body></html>", 403),
)
@pytest.mark.parametrize(("places", "jobs"), [((4,), 1), ((0,), 1), ((8,), 1), ((0, 1, 2, 3), 8), ((0, 8), 4)])
def test_prompts_that_are_refused_with_403_are_rows(answer, run, places, jobs):
    with OpenAIFake(script(dict.fromkeys(places, answer))) as fake:
        code, statuses, record, _ = run(fake, jobs)
        assert (code, record["status"]) == (0, "complete")
        assert statuses == ["refused" if n in places else "scored" for n in range(N)]
        asked = len(fake.bodies)
        assert run(fake, jobs)[:2] == (code, statuses)
        assert len(fake.bodies) == asked, "a rerun pays for nothing again"


def test_a_key_that_never_worked_ends_the_run(run):
    with OpenAIFake([failure(403, "no")]) as fake:
        code, statuses, _, output = run(fake, 4)
        assert (code, statuses) == (4, [])
        assert "the key in MY_KEY was refused" in output
        assert len(fake.bodies) <= 5


def test_ends_in_other_words_and_no_rerun_pays_again(run):
    ends = ["eos_token", None, "STOP", "max_tokens", "", "halted", "SAFETY", "abort"]
    with OpenAIFake(script({n: completion("8", finish_reason=end) for n, end in enumerate(ends)})) as fake:
        code, statuses, record, output = run(fake)
        assert statuses == ["scored"] * 3 + ["truncated", "scored", "scored", "refused", "error", "scored"]
        assert (code, record["status"]) == (3, "incomplete")
        assert "finish_reason 'halted' is not known and was taken as stop" in output
        asked = len(fake.bodies)
        run(fake)
        assert len(fake.bodies) == asked + 1, "what the server broke off"
        mapped = {"judge": {"finish_reasons": {"halted": "length", "abort": "stop"}}}
        code, statuses, record, _ = run(fake, **mapped)
        assert (code, record["status"], statuses[5], statuses[7]) == (0, "complete", "truncated", "scored")


def odd():
    busy = {"choices": [{"error": {"code": 502, "message": "Provider: overloaded"}, "message": {"content": ""}}]}
    return {
        0: failure(400, "Content Exists Risk"),
        1: failure(400, "maximum context length"),
        2: failure(400, LONG),
        3: failure(400, "Failed to generate JSON.", code="json_validate_failed"),
        4: Answer(busy),
    }


def test_errors_are_what_they_are_and_may_be_accepted(run):
    with OpenAIFake(script(odd())) as fake:
        code, statuses, record, output = run(fake)
        assert statuses == ["refused", "truncated", "truncated", "unparsed", "error"] + ["scored"] * 4
        assert (code, record["status"]) == (3, "incomplete")
        assert "Provider: overloaded" in output
        gate = {"q": {"min": 3, "missing": 0.6}}
        code, _, record, _ = run(fake, gate=gate)
        assert record["gate"]["outcome"] == "INCONCLUSIVE"
        code, statuses, record, output = run(fake, gate=gate, accept=["refused", "truncated", "unparsed", "error"])
        assert (code, record["status"], record["gate"]["outcome"]) == (0, "complete", "PASS")
        assert statuses == ["refused", "truncated", "truncated", "unparsed", "error"] + ["scored"] * 4
        assert "1 failed call left, which the config accepts" in output
        [note] = [note for note in record["gate"]["notes"] if "left out" in note]
        assert note.endswith("1 error, 1 refused, 2 truncated, 1 unparsed")
        assert {one["kind"]: one["outcome"] for one in record["gate"]["claims"]} == {"missing": "PASS", "min": "PASS"}
        gate = {"q": {"min": 3, "missing": 0.1}}
        code, _, record, _ = run(fake, gate=gate, accept=["refused", "truncated", "unparsed", "error"])
        assert (code, record["gate"]["outcome"]) == (1, "FAIL"), "how many there are is still counted"
        code, _, record, _ = run(fake, gate=gate, accept=["refused"])
        assert (code, record["status"]) == (3, "incomplete")


def test_what_the_budget_held_back_is_never_accepted(run):
    with OpenAIFake() as fake:
        code, _, record, _ = run(fake, accept=["error"], budget={"calls": 5})
    assert (code, record["status"]) == (3, "incomplete")


# --- before anything is generated ---


def test_missing_log_probabilities_are_found_before_anything_is_generated(run):
    with OpenAIFake("Four.") as paid, OpenAIFake("50") as fake:
        system = {"backend": "openai", "model": "s", "base_url": paid.base_url}
        code, statuses, _, output = run(fake, system=system, judge={"mode": "yes_no", "criterion": "Is it polite?"})
        assert (code, statuses) == (4, [])
        assert "gives no log-probabilities" in output
        assert "`mode: reason_json` or `integer`" in output.replace("\n", " ")
        assert (len(paid.bodies), len(fake.bodies)) == (0, 1)
        assert fake.bodies[0]["max_tokens"] == 1
        code, *_ = run(fake, system=system, judge={"mode": "integer"})
        assert code == 0, "the advice is good"


@each(("", "set base_url: {}/v1"), ("/v1/chat/completions", "set base_url: {}/v1"))
def test_a_wrong_address_is_found_before_anything_is_generated(ending, mend, run):
    with OpenAIFake("50") as paid, OpenAIFake("50") as fake:
        system = {"backend": "openai", "model": "s", "base_url": paid.base_url}
        code, _, _, output = run(fake, system=system, judge={"base_url": fake.url + ending})
        assert code == 4
        assert mend.format(fake.url) in output.replace("\n", " ")
        assert paid.bodies == []


def test_a_model_that_is_not_listed_is_found_before_anything_is_generated(run):
    with OpenAIFake("50") as paid, OpenAIFake("50", models=["judge-large"]) as fake:
        system = {"backend": "openai", "model": "s", "base_url": paid.base_url}
        code, _, _, output = run(fake, system=system, judge={"model": "judge-lage"})
        assert (code, "did you mean 'judge-large'?" in output) == (4, True)
        assert paid.bodies == fake.bodies == []
