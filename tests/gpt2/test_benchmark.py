"""The benchmarks: each has a smallest form, which `make benchmarks-smoke` runs, and training's makes a real step."""

import importlib

import torch

from judgekit_gpt2.config import GPT2Config
from judgekit_gpt2.data import Batch
from judgekit_gpt2.model import GPT2


def test_every_benchmark_has_a_smallest_form(checkout):
    found = sorted((checkout / "benchmarks").glob("*.py"))
    assert found
    assert [path.name for path in found if 'add_argument("--smoke"' not in path.read_text("utf-8")] == []


def test_a_step_of_training_is_measured(checkout, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(checkout / "benchmarks"))
    training = importlib.import_module("gpt2_parts.training")
    model = GPT2(GPT2Config(vocabulary=300, context=16, width=8, layers=1, heads=2, dropout=0.0))
    before = model.tokens.weight.clone()
    ids = torch.arange(20).view(2, 10)
    batch = Batch(ids[:, :-1], ids[:, 1:])
    assert training._ours(model, "float32", False, tmp_path, [batch])(batch) == 18
    assert not torch.equal(model.tokens.weight, before)
