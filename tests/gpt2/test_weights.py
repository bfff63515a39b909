"""Checkpoints in the hub's layout: theirs and ours, sharded, old and damaged."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPT2LMHeadModel

import judgekit
from judgekit_gpt2 import checkpoint, weights
from judgekit_gpt2.config import GPT2Config, tensor_shapes

IDS = torch.randint(0, 300, (2, 30), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(reference_folder, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(reference_folder, tmp_path / "checkpoint"))


def _logits(model):
    with torch.inference_mode():
        return model.logits(model(IDS))


def _edit(folder, change):
    """Rewrite the weights after `change`."""
    tensors = load_file(folder / checkpoint.SAFETENSORS)
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / checkpoint.SAFETENSORS)


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

    _edit(folder, change)
    assert torch.equal(_logits(weights.load(folder)[0]), _logits(model))


def test_shards_are_loaded(reference, tokenizer, model, tmp_path):
    reference.save_pretrained(tmp_path, max_shard_size="30KB")
    tokenizer.save(tmp_path)
    assert len(checkpoint.weight_files(tmp_path)) > 1
    assert torch.equal(_logits(weights.load(tmp_path)[0]), _logits(model))
    checkpoint.weight_files(tmp_path)[0].unlink()
    with pytest.raises(judgekit.CheckpointError, match=r"the shard model-00001-of-\d+.safetensors is missing"):
        checkpoint.check(tmp_path)


def test_a_shard_outside_the_folder_is_refused(folder):
    (folder / checkpoint.SAFETENSORS).rename(folder.parent / "elsewhere.safetensors")
    index = {"weight_map": {"wte.weight": "../elsewhere.safetensors"}}
    (folder / checkpoint.INDEX).write_text(json.dumps(index))
    with pytest.raises(judgekit.CheckpointError, match="is not in the folder"):
        checkpoint.check(folder)


def test_a_plain_pickle_is_loaded(folder, model):
    torch.save(load_file(folder / checkpoint.SAFETENSORS), folder / checkpoint.PICKLE)
    (folder / checkpoint.SAFETENSORS).unlink()
    assert torch.equal(_logits(weights.load(folder)[0]), _logits(model))


class _Code:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(folder, tmp_path, zipped):
    (folder / checkpoint.SAFETENSORS).unlink()
    content = {"wte.weight": _Code(tmp_path / "ran")}
    path = folder / checkpoint.PICKLE
    torch.save(content, path) if zipped else path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(judgekit.CheckpointError, match="refused"):
        weights.load(folder)
    assert not (tmp_path / "ran").exists()


def test_a_truncated_pickle_is_an_error(folder):
    torch.save(load_file(folder / checkpoint.SAFETENSORS), folder / checkpoint.PICKLE)
    (folder / checkpoint.SAFETENSORS).unlink()
    content = (folder / checkpoint.PICKLE).read_bytes()
    (folder / checkpoint.PICKLE).write_bytes(content[: len(content) // 2])
    with pytest.raises(judgekit.CheckpointError, match=r"pytorch_model.bin: truncated or damaged"):
        weights.load(folder)


def _cut(folder, keep):
    path = folder / checkpoint.SAFETENSORS
    content = path.read_bytes()
    path.write_bytes(content[:keep])


def _config(folder, **changes):
    path = folder / checkpoint.CONFIG
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


DAMAGES = {
    "cut in the weights": (lambda folder: _cut(folder, -100), r"model.safetensors: truncated or damaged: \d+ bytes"),
    "cut in the header": (lambda folder: _cut(folder, 50), "model.safetensors: not a safetensors file"),
    "empty": (lambda folder: _cut(folder, 0), "model.safetensors: not a safetensors file"),
    "other bytes": (lambda folder: (folder / "model.safetensors").write_bytes(b"\x80\x04" * 99), "not a safetensors"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "there is no model.safetensors"),
    "no folder": (shutil.rmtree, "no such checkpoint folder"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "there is no config.json"),
    "config is no JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json: not JSON"),
    "another architecture": (lambda folder: _config(folder, model_type="llama"), "model_type is 'llama'"),
    "another activation": (lambda folder: _config(folder, activation_function="relu"), "activation_function is 'relu'"),
    "a size is missing": (lambda folder: _config(folder, n_embd=None), "n_embd should be a whole number, not None"),
    "heads do not divide": (lambda folder: _config(folder, n_head=5), "32 is not divisible by 5 heads"),
    "another width": (
        lambda folder: _config(folder, n_embd=64),
        r"model.safetensors: wte.weight has the shape \[300, 32\], where config.json needs \[300, 64\]",
    ),
    "more layers": (lambda folder: _config(folder, n_layer=3), r"the tensor h.2.ln_1.weight is missing"),
    "fewer layers": (lambda folder: _config(folder, n_layer=1), r"has a tensor h.1.\S+, for which config.json has no"),
    "a missing tensor": (
        lambda folder: _edit(folder, lambda tensors: tensors.pop("transformer.h.1.mlp.c_fc.bias")),
        "the tensor h.1.mlp.c_fc.bias is missing",
    ),
    "an extra tensor": (
        lambda folder: _edit(folder, lambda tensors: tensors.update(extra=torch.ones(2))),
        "has a tensor extra, for which",
    ),
    "whole numbers": (
        lambda folder: _edit(folder, lambda tensors: tensors.update(more=torch.ones(64, 32).int())),
        "more is of type I32",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_without_reading_the_weights(folder, damage):
    inflict, message = DAMAGES[damage]
    checkpoint.check(folder)
    inflict(folder)
    for read in (checkpoint.check, weights.load):
        with pytest.raises(judgekit.CheckpointError, match=message) as caught:
            read(folder)
        assert "\n" not in str(caught.value)


def test_a_file_instead_of_a_folder_is_an_error(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(judgekit.CheckpointError, match=r"model.pth: is a file; a checkpoint is a folder"):
        checkpoint.check(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors["transformer.ln_f.bias"].fill_(float("nan")), "ln_f.bias has a value that"),
        (lambda tensors: tensors.update({"lm_head.weight": torch.zeros(300, 32)}), "lm_head.weight differs"),
    ],
)
def test_bad_values_are_found_on_loading(folder, change, message):
    _edit(folder, change)
    with pytest.raises(judgekit.CheckpointError, match=message):
        weights.load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [("#version: 0.2\na b c\n", "line 2 is not two tokens"), ("ab c\n", "does not fit"), ("t h\n", "of 258")],
)
def test_a_damaged_vocabulary_is_an_error(folder, content, message):
    (folder / checkpoint.MERGES).write_text(content)
    with pytest.raises(judgekit.CheckpointError, match=message):
        weights.load(folder)


def test_a_checkpoint_without_a_vocabulary_has_gpt2s_or_is_an_error(folder):
    (folder / checkpoint.MERGES).unlink()
    with pytest.raises(judgekit.CheckpointError, match="300 tokens are not GPT-2's"):
        weights.load(folder)


def test_the_identity_is_that_of_every_file_that_matters(folder):
    seen = {checkpoint.identity(folder)}
    for name in (checkpoint.CONFIG, checkpoint.SAFETENSORS, checkpoint.MERGES):
        with (folder / name).open("ab") as file:
            file.write(b" ")
        seen.add(checkpoint.identity(folder))
    assert len(seen) == 4
    (folder / "training.jsonl").write_text("{}")
    assert checkpoint.identity(folder) in seen


def test_a_full_disk_leaves_no_half_checkpoint(tmp_path):
    """In a process that may not write files larger than 64 KiB."""
    code = f"""
import resource, signal, sys, torch
from pathlib import Path
import judgekit
from judgekit_gpt2 import bpe, weights
from judgekit_gpt2.config import GPT2Config
from judgekit_gpt2.model import GPT2
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
model = GPT2(GPT2Config(vocabulary=257, context=8, width=128, layers=1, heads=1))
try:
    weights.save(Path({str(tmp_path)!r}), model, bpe.train([], 257))
except judgekit.StorageError as error:
    sys.exit(error.exit_code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 6, done.stderr
    assert not any("safetensors" in path.name for path in tmp_path.iterdir())


def test_tensor_shapes_are_those_of_transformers(reference):
    theirs = {name.removeprefix("transformer."): tuple(t.shape) for name, t in reference.named_parameters()}
    assert tensor_shapes(GPT2Config(300, 64, 32, 2, 4)) == theirs
