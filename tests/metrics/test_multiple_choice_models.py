"""Multiple choice with real models: a small GPT-2, SmolLM2 under PyTorch, and SmolLM2 behind a server."""

import json

import pytest

import real_model
from judgekit.config.blocks import RunConfig
from judgekit.config.load import load
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import build_manager


def execute(spec, where, here):
    return Run(spec, where, build_manager(), Settings(output=here / "runs", home=here / "home", jobs=1)).execute()


def shots(outcome):
    return [json.loads(row.verdicts[0].raw)["shots"] for row in outcome.folder.rows if row.status == "scored"]


@pytest.mark.slow
@pytest.mark.shared
def test_ten_subjects_of_mmlu_with_five_shots_and_smollm2(shared_data, checkout, tmp_path):
    real_model.gguf()
    pytest.importorskip("transformers")
    config = checkout / "examples" / "multiple_choice" / "mmlu.yaml"
    path = shared_data / "mmlu"
    spec = load(config, [f"data.path={path}", "data.per_subject=2", "reports=[json]"])
    outcome = execute(spec, config.parent, tmp_path)
    assert outcome.record.status == "complete"
    whole = next(each for each in outcome.record.estimates if each.series == "value")
    assert whole.n_items == 20
    assert shots(outcome) == [5] * 20, "2,048 tokens have room for all of them in these subjects"
    assert {each.system for each in outcome.record.estimates if each.series == "baseline"} >= {
        "always A",
        "longest option",
    }
    macro = next(each for each in outcome.record.estimates if each.series == "macro")
    assert macro.n_clusters == 10
    assert macro.interval.low is not None


@pytest.mark.slow
def test_a_chat_server_is_held_to_a_letter_by_schema(checkout, tmp_path):
    url = real_model.llama_url()
    spec = RunConfig.model_validate(
        {
            "name": "chat",
            "data": {
                "loader": "mmlu",
                "path": str(checkout / "examples" / "quickstart" / "data" / "mmlu"),
                "shots": 2,
                "per_subject": 2,
            },
            "models": {"chat": {"backend": "openai", "base_url": f"{url}/v1", "model": "smollm2"}},
            "metrics": {"letters": {"type": "multiple_choice"}},
            "reports": ["json"],
        }
    )
    outcome = execute(spec, tmp_path, tmp_path)
    rows = list(outcome.folder.rows)
    assert [row.status for row in rows] == ["scored"] * 10
    kept = [json.loads(row.verdicts[0].raw) for row in rows]
    assert {each["reading"] for each in kept} == {"schema"}
    assert {each["chosen"] for each in kept} <= set("ABCD")
    assert all(json.loads(each["reply"]) == {"answer": each["chosen"]} for each in kept)


def test_a_gpt2_with_a_short_context_reports_the_shots_that_had_room(checkout, tmp_path):
    """Letters are scored as sequences: this vocabulary has no token for " A"."""
    torch = pytest.importorskip("torch")
    from judgekit_gpt2 import bpe, weights
    from judgekit_gpt2.config import GPT2Config
    from judgekit_gpt2.model import GPT2

    tokenizer = bpe.train(["the option of the answer and the question, " * 3], 270)
    assert len(tokenizer.encode(" A")) == 2
    model = GPT2(GPT2Config(vocabulary=270, context=400, width=16, layers=1, heads=2, dropout=0.0))
    model.initialise(torch.Generator().manual_seed(0))
    weights.save(tmp_path / "tiny", model, tokenizer)
    data = {"loader": "mmlu", "path": str(checkout / "examples" / "quickstart" / "data" / "mmlu"), "per_subject": 2}
    spec = RunConfig.model_validate(
        {
            "name": "short",
            "data": data,
            "models": {"tiny": {"backend": "gpt2", "checkpoint": "tiny"}},
            "metrics": {"letters": {"type": "multiple_choice"}},
            "reports": ["html", "json"],
        }
    )
    outcome = execute(spec, tmp_path, tmp_path)
    shown = shots(outcome)
    assert len(shown) == 10
    assert set(shown) <= set(range(6))
    assert len(set(shown)) > 1, "some questions are longer than others"
    page = (outcome.folder.path / "report.html").read_text()
    assert "worked examples that had room" in page
    assert "cannot be told from letter bias" in page or "above every degenerate baseline" in page
