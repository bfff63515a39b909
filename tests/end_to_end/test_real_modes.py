"""Every mode once with a real model: SmolLM2 under llama.cpp (and under torch, for likelihoods). A 135M model grades
badly; what is tested is that each run ends with typed verdicts, their raw text, and masses that are probabilities."""

import json

import pytest

from judgekit.config.blocks import RunConfig
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import build_manager
from judgekit.prompting.templates import Prompts
from real_model import gguf

ITEMS = [
    {"instruction": "Name the capital of Portugal.", "output": "Lisbon.", "answer": "Lisbon.", "other": "Madrid."},
    {"instruction": "What is 2 + 3?", "output": "5", "answer": "5", "other": "It is 6."},
]
PLUGINS = ("datasets", "json", "local", "metrics", "readings", "responses", "transformers")
MODES = [name for name in Prompts().names() if name.partition("/")[0] in ("score", "pairwise")]
OPTIONS = {
    "geval": {"steps": ["Read the task.", "Compare the response with the correct one."]},
    "criteria": {"criteria": {"helpful": "It helps.", "correct": "It is true."}},
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def run(judges, task, judge, here, items=2):
    (here / "items.json").write_text(json.dumps(ITEMS[:items]))
    models = {name: {"backend": "responses", "path": "items.json", "field": name} for name in ("answer", "other")}
    metric = {"type": task, "judge": judge} | ({"against": "other"} if task == "pairwise" else {})
    tree = {"name": "real", "data": {"path": "items.json"}, "models": models, "judges": judges,
            "metrics": {"m": metric}, "reports": ["json"], "statistics": {"resamples": 99}}  # fmt: skip
    settings = Settings(output=here / "runs", home=here / "home", jobs=1)
    outcome = Run(RunConfig.model_validate(tree), here, build_manager(only=PLUGINS), settings).execute()
    return outcome.record, list(outcome.folder.view().rows)


def backend_of(mode):
    likely = "likelihood" in mode
    return {"backend": "transformers" if likely else "local", "control_items": 0, "max_new_tokens": 160}


@pytest.mark.parametrize("name", MODES)
def test_a_mode_ends_with_typed_verdicts(name, tmp_path):
    gguf()
    task, _, mode = name.partition("/")
    judge = backend_of(mode) | {"mode": mode} | OPTIONS.get(mode.removesuffix(".ko"), {})
    record, rows = run({"main": judge}, task, "main", tmp_path, items=1)
    assert len(rows) == (2 if task == "score" else 1)
    for row in rows:
        for verdict in row.verdicts:
            assert verdict.status in ("scored", "unparsed", "truncated")
            assert verdict.raw or verdict.detail
            assert 0 <= verdict.series.get("mass", 0) <= 1
    print(name, [(v.status, v.value, v.series, v.detail[:60]) for row in rows for v in row.verdicts], record.steps)


def test_a_model_that_is_to_write_its_own_steps_ends_with_typed_verdicts(tmp_path):
    gguf()
    record, rows = run({"main": backend_of("") | {"mode": "geval", "floor": 0.01}}, "score", "main", tmp_path)
    print([(row.status, row.value, row.verdicts[0].series, row.verdicts[0].detail) for row in rows], record.steps)
    written = bool(record.steps)
    assert written != ("the judge wrote no evaluation steps" in rows[0].verdicts[0].detail)


def test_a_panel_of_real_judges_ends_with_its_agreement(tmp_path):
    gguf()
    steps = ["Read the task.", "Compare the response with the correct one."]
    judges = {
        "one": backend_of("") | {"mode": "geval", "steps": steps, "floor": 0.1},
        "two": backend_of("") | {"mode": "grade", "scale": [1, 5]},
        "jury": {"panel": ["one", "two"]},
    }
    record, rows = run(judges, "score", "jury", tmp_path)
    assert len(rows) == 4
    (card,) = [card for card in record.cards if card.judge == "jury"]
    print(card.checks[0], [row.verdicts[0].series for row in rows])
    assert card.checks[0].name == "alpha"
