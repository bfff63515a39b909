"""Whole runs: models under transformers as systems and as judges, in one config."""

import json

from judgekit.testing import tiny_models
from runs import lines, run

ITEMS = [
    ("Name the capital of France.", "Paris", "The capital of France is Paris."),
    ("Name the capital of Italy.", "Rome", "purple bicycle"),
    ("What is 2 + 2?", "4", "2 + 2 is 4."),
    ("Give the opposite of 'early'.", "late", "I like cheese."),
]


def test_an_encoder_decoder_and_a_causal_model_answer_and_judge(tmp_path):
    items = [{"instruction": question, "output": answer, "response": response} for question, answer, response in ITEMS]
    (tmp_path / "items.json").write_text(json.dumps(items))
    t5 = {"backend": "transformers", "model": str(tiny_models.t5(tmp_path / "t5"))}
    gpt2 = {"backend": "transformers", "model": str(tiny_models.gpt2(tmp_path / "gpt2", n_positions=1024))}
    stored = {"backend": "responses", "path": "items.json", "field": "response"}
    config = {
        "name": "run",
        "data": {"loader": "instructions", "path": "items.json"},
        "models": {
            "t5": t5 | {"max_new_tokens": 8},
            "gpt2": gpt2 | {"max_new_tokens": 8, "temperature": 1.0},
            "stored": stored,
        },
        "judges": {"by_t5": t5 | {"control_items": 0}, "by_gpt2": gpt2 | {"control_items": 0}},
        "metrics": {
            "likely": {"type": "score", "judge": "by_t5"},
            "as_likely": {"type": "score", "judge": "by_gpt2"},
            "exact": {"type": "exact_match"},
        },
        "reports": ["json"],
        "statistics": {"resamples": 999},
    }
    made = next(run(tmp_path, config, code=3).glob("*/record.json")).parent  # one writes no whole answer
    record, rows = json.loads((made / "record.json").read_text()), lines(made / "rows.jsonl")
    assert record["status"] == "complete"
    assert record["identities"]["models.t5"]["sha256"] == record["identities"]["judges.by_t5"]["sha256"]
    assert len(rows) == 3 * 3 * 4
    # Eight tokens of a random model end no answer: what was cut off is counted, never scored.
    assert {row["status"] for row in rows if row["system"] != "stored"} == {"truncated"}
    judged = [row for row in rows if row["system"] == "stored" and row["metric"] != "exact"]
    assert {row["status"] for row in judged} <= {"scored", "unparsed"}
    assert {row["metric"] for row in judged if row["status"] == "scored"} == {"likely", "as_likely"}
