"""LoRA in `transformers-sft`: it trains adapters alone, merges them, and keeps them as peft reads them."""

import json

import pytest
import torch
from safetensors.torch import load_file

import judgekit
from judgekit.testing import tiny_llama, tiny_models
from judgekit_transformers.loading import load_apart
from judgekit_transformers.tuning import SupervisedTuning
from tiny_training import contents, curve, write_colours

KINDS = ["llama", "gpt2", "t5"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("adapters")
    write_colours(made / "items.json", question="colour of {}")
    tiny_llama.folder(made / "llama")
    tiny_models.gpt2(made / "gpt2")
    tiny_models.t5(made / "t5", dropout_rate=0.0)
    return made


def train(folder, into, kind, stop=None, lora=None, **options):
    into.mkdir(exist_ok=True)
    settings = {"from": kind, "data": "items.json", "steps": 6, "batch": 3, "lr": 0.05, "precision": "float32"}
    settings |= {"evaluate_every": 3, "samples": 1, "lora": {"rank": 4, "keep": True, **(lora or {})}} | options

    def progress(done, total, note):
        if done == stop:
            raise judgekit.Interrupted("stopped")

    options = judgekit.build_options(SupervisedTuning.Options, settings, "train.sft")
    SupervisedTuning(options, folder).train(into, progress)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_what_is_merged_is_what_peft_computes(folder, tmp_path, kind):
    import peft

    train(folder, tmp_path / "out", kind)
    points = curve(tmp_path / "out", "validation")
    assert points[-1]["loss"] < points[0]["loss"]
    merged, base = (load_apart(path, "float32", "cpu") for path in (tmp_path / "out", folder / kind))
    ids = {"input_ids": torch.randint(3, 40, (2, 7), generator=torch.Generator().manual_seed(0))}
    ids |= {"decoder_input_ids": ids["input_ids"]} if kind == "t5" else {}
    with torch.inference_mode():
        before = base.model(**ids).logits
        adapted = peft.PeftModel.from_pretrained(base.model, tmp_path / "out" / "adapter").eval()
        theirs, ours = adapted(**ids).logits, merged.model(**ids).logits
    assert torch.allclose(theirs, ours, atol=2e-3)
    assert not torch.allclose(before, ours, atol=1e-2)
    config = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["r"]) == (kind, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_targets_change(folder, tmp_path, kind):
    target = {"llama": "q_proj", "gpt2": "c_attn", "t5": "q"}[kind]
    train(folder, tmp_path / "out", kind, lora={"targets": [target], "keep": False})
    assert not (tmp_path / "out" / "adapter").exists()
    after, before = (load_file(path / "model.safetensors") for path in (tmp_path / "out", folder / kind))
    assert after.keys() == before.keys()
    changed = {name.split(".")[-2] for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed == {target}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["trained weights"].endswith("%)")


def test_a_target_that_is_not_there_is_an_error_that_names_those_that_are(folder, tmp_path):
    with pytest.raises(judgekit.UsageError, match=r"no layer is named 'qkv'; the model has .*q_proj"):
        train(folder, tmp_path / "out", "llama", lora={"targets": ["qkv"]})


def test_stopped_it_goes_on_to_the_same_bytes(folder, tmp_path):
    train(folder, tmp_path / "whole", "llama", lora={"dropout": 0.2})
    with pytest.raises(judgekit.Interrupted):
        train(folder, tmp_path / "half", "llama", stop=3, lora={"dropout": 0.2})
    train(folder, tmp_path / "half", "llama", lora={"dropout": 0.2})
    assert contents(tmp_path / "half") == contents(tmp_path / "whole")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        files = [tmp_path / made / "adapter" / name for made in ("half", "whole")]
        assert files[0].read_bytes() == files[1].read_bytes()
