"""Checkpoints in the hub's layout: theirs and ours, sharded, old and damaged."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPT2LMHeadModel

import judgekit
from checkpoint_folders import edit, pickled_shards
from full_disk import full_disk
from judgekit_gpt2 import bpe, checkpoint, weights
from judgekit_gpt2.config import GPT2Config
from judgekit_gpt2.model import GPT2

IDS = torch.randint(0, 300, (2, 30), generator=torch.Generator().manual_seed(0))


def _logits(model):
    with torch.inference_mode():
        return model.logits(model(IDS))


def test_transformers_loads_ours(model, tokenizer, reference, tmp_path):
    weights.save(tmp_path, model, tokenizer)
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        assert torch.equal(theirs(IDS).logits, reference(IDS).logits)
    assert theirs.config.eos_token_id == tokenizer.end_of_text
    text = "The capital of France isn't  <Paris>\n"
    assert AutoTokenizer.from_pretrained(tmp_path)(text).input_ids == tokenizer.encode(text)


def test_saving_and_loading_gives_the_same_model_and_the_same_bytes(model, tokenizer, tmp_path):
    weights.save(tmp_path / "a", model, tokenizer)
    loaded, vocabulary = weights.load(tmp_path / "a")
    weights.save(tmp_path / "b", loaded, vocabulary)
    assert torch.equal(_logits(loaded), _logits(model))
    assert not loaded.training
    assert checkpoint.identity(tmp_path / "a") == checkpoint.identity(tmp_path / "b")
    assert vocabulary.merges == tokenizer.merges
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {"config.json", "model.safetensors", "merges.txt", "vocab.json"}


def test_older_layouts_are_loaded(folder, model):
    """Without prefix, with causal masks and a second copy of the embeddings, in half precision for the masks."""

    def change(tensors):
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        for layer in range(2):
            tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.bool).tril()
            tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
        tensors["lm_head.weight"] = tensors["wte.weight"].clone()

    edit(folder, change)
    assert torch.equal(_logits(weights.load(folder)[0]), _logits(model))


@pytest.mark.parametrize("pickled", [False, True])
def test_shards_are_loaded(reference, folder, model, pickled):
    if pickled:
        pickled_shards(folder)
    else:
        (folder / checkpoint.SAFETENSORS).unlink()
        reference.save_pretrained(folder, max_shard_size="30KB")
    first, *more = checkpoint.weight_files(folder)
    assert len(more) >= 2
    assert torch.equal(_logits(weights.load(folder)[0]), _logits(model))
    first.unlink()
    with pytest.raises(judgekit.CheckpointError, match=f"the shard {first.name} is missing"):
        checkpoint.check(folder)


def test_a_plain_pickle_is_loaded(folder, model):
    torch.save(load_file(folder / checkpoint.SAFETENSORS), folder / checkpoint.PICKLE)
    (folder / checkpoint.SAFETENSORS).unlink()
    assert torch.equal(_logits(weights.load(folder)[0]), _logits(model))


def test_a_full_disk_leaves_no_half_checkpoint(tmp_path):
    model = GPT2(GPT2Config(vocabulary=257, context=8, width=128, layers=1, heads=1))
    with full_disk(1 << 16), pytest.raises(judgekit.StorageError) as caught:
        weights.save(tmp_path, model, bpe.train([], 257))
    assert caught.value.exit_code == 6
    assert not any("safetensors" in path.name for path in tmp_path.iterdir())


def test_safetensors_are_taken_before_pickles(folder, model, tokenizer):
    pickled_shards(folder, {"wte.weight": torch.zeros(1)})
    weights.save(folder, model, tokenizer, max_shard_bytes=30_000)
    assert all(path.suffix == ".safetensors" for path in checkpoint.weight_files(folder))
    assert torch.equal(_logits(weights.load(folder)[0]), _logits(model))


def test_a_newer_folders_tokenizer_json_is_read(reference, reference_folder, tokenizer, tmp_path):
    reference.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(reference_folder).save_pretrained(tmp_path)
    assert not (tmp_path / checkpoint.MERGES).exists()
    assert weights.load(tmp_path)[1].merges == tokenizer.merges
    before = checkpoint.identity(tmp_path)
    values = json.loads((tmp_path / checkpoint.TOKENIZER).read_text())
    values["model"]["merges"] = [" ".join(pair) for pair in values["model"]["merges"]]  # as it was written before
    (tmp_path / checkpoint.TOKENIZER).write_text(json.dumps(values))
    assert weights.load(tmp_path)[1].merges == tokenizer.merges
    assert checkpoint.identity(tmp_path) != before


def test_our_file_is_the_one_that_the_safetensors_library_writes(model, tokenizer, reference, tmp_path):
    weights.save(tmp_path, model, tokenizer)
    tensors = {name: tensor for name, tensor in reference.state_dict().items() if name != "lm_head.weight"}
    save_file(tensors, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "theirs.safetensors").read_bytes()


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_shards_of_ours_are_loaded_by_transformers(model, tokenizer, tmp_path, dtype):
    weights.save(tmp_path, model, tokenizer, dtype, max_shard_bytes=20_000)
    files = checkpoint.weight_files(tmp_path)
    tensors = [load_file(file) for file in files]
    sizes = [sum(tensor.nbytes for tensor in part.values()) for part in tensors]
    assert len(files) > 3
    assert all(size <= 20_000 or len(part) == 1 for size, part in zip(sizes, tensors, strict=True))
    assert json.loads((tmp_path / checkpoint.INDEX).read_text())["metadata"]["total_size"] == sum(sizes)
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    with torch.inference_mode():
        torch.testing.assert_close(theirs(IDS).logits, _logits(weights.load(tmp_path)[0]), rtol=0, atol=1e-5)


def test_a_later_save_in_another_layout_leaves_nothing_of_the_earlier(model, fresh, tokenizer, tmp_path):
    (tmp_path / "model_card.safetensors").write_bytes(b"not ours")
    for most in (None, 20_000, 10_000, 10_000, None):
        weights.save(tmp_path, fresh, tokenizer, max_shard_bytes=most)
        weights.save(tmp_path, model, tokenizer, max_shard_bytes=most)
        kept = {path.name for path in checkpoint.weight_files(tmp_path)} | {"model_card.safetensors"}
        assert {path.name for path in tmp_path.glob("*.safetensors")} == kept
        assert (tmp_path / checkpoint.INDEX).exists() == (most is not None)
        assert torch.equal(_logits(weights.load(tmp_path)[0]), _logits(model))


def test_a_save_that_fails_between_two_shards_is_no_checkpoint(model, fresh, tokenizer, tmp_path, monkeypatch):
    weights.save(tmp_path, fresh, tokenizer, max_shard_bytes=20_000)
    publish, left = checkpoint.publish, [2]

    def full(temporary, path):
        left[0] -= 1
        if not left[0]:
            raise OSError(28, "No space left on device")
        publish(temporary, path)

    monkeypatch.setattr(checkpoint, "publish", full)
    with pytest.raises(
        judgekit.StorageError, match=r"model-00002-of-\d+.safetensors: cannot be written: No space left"
    ):
        weights.save(tmp_path, model, tokenizer, max_shard_bytes=20_000)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(judgekit.CheckpointError, match="no weights"):
        weights.load(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error(model, tokenizer, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(judgekit.StorageError, match="cannot be made"):
        weights.save(tmp_path / "file" / "a", model, tokenizer)


@pytest.mark.parametrize("pickled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_neither_loading_nor_saving_has_the_model_in_memory_twice(tmp_path, pickled):
    """In a process of its own; 86 MB of weights, of which the largest tensor has 9 MB."""
    with torch.device("meta"):
        model = GPT2(GPT2Config(vocabulary=257, context=8, width=768, layers=3, heads=12))
    model.to_empty(device="cpu")
    for parameter in model.parameters():
        torch.nn.init.ones_(parameter)
    size = model.config.parameters * 4
    code = f"""
import resource, sys
from pathlib import Path
import torch
from judgekit_gpt2 import bpe, weights
from judgekit_gpt2.config import GPT2Config
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
folder, vocabulary = Path({str(tmp_path)!r}), bpe.train([], 257)
vocabulary.encode("a"), torch.aminmax(torch.ones(9)), torch.ones(9).view(torch.uint8).numpy()
before = peak()
model, vocabulary = weights.load(folder / "a")
loaded = peak()
weights.save(folder / "b", model, vocabulary)
print((loaded - before) / {size}, (peak() - loaded) / {size})
"""
    weights.save(tmp_path / "a", model, bpe.train([], 257))
    if pickled:
        torch.save(load_file(tmp_path / "a" / checkpoint.SAFETENSORS), tmp_path / "a" / checkpoint.PICKLE)
        (tmp_path / "a" / checkpoint.SAFETENSORS).unlink()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    loading, saving = map(float, done.stdout.split())
    assert loading < 1.5
    assert saving < 0.5
