"""Checkpoints in the hub's layout: theirs and ours, sharded, old and damaged."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPT2LMHeadModel
from transformers import GPT2Config as ReferenceConfig

import judgekit
from full_disk import full_disk
from judgekit_gpt2 import bpe, checkpoint, weights
from judgekit_gpt2.config import PRESETS, GPT2Config, tensor_shapes
from judgekit_gpt2.model import GPT2

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
    [
        ("#version: 0.2\na b c\n", "line 2 is not two tokens"),
        ("ab c\n", "does not fit"),
        ("t h\n", "of 258"),
        ("\x00 a\n", "line 1"),
    ],
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
    model = GPT2(GPT2Config(vocabulary=257, context=8, width=128, layers=1, heads=1))
    with full_disk(1 << 16), pytest.raises(judgekit.StorageError) as caught:
        weights.save(tmp_path, model, bpe.train([], 257))
    assert caught.value.exit_code == 6
    assert not any("safetensors" in path.name for path in tmp_path.iterdir())


def test_tensor_shapes_are_those_of_transformers(reference):
    theirs = {name.removeprefix("transformer."): tuple(t.shape) for name, t in reference.named_parameters()}
    assert tensor_shapes(GPT2Config(300, 64, 32, 2, 4)) == theirs


@pytest.mark.parametrize("name", PRESETS)
def test_the_four_presets_have_the_tensors_of_transformers(name):
    config = PRESETS[name]
    with torch.device("meta"):
        theirs = GPT2LMHeadModel(ReferenceConfig(n_embd=config.width, n_layer=config.layers, n_head=config.heads))
    shapes = {key.removeprefix("transformer."): tuple(value.shape) for key, value in theirs.named_parameters()}
    assert tensor_shapes(config) == shapes
    assert config.parameters == theirs.num_parameters()


@pytest.mark.parametrize("name", PRESETS)
def test_the_four_widths_give_the_logits_of_transformers(name, make_reference, tokenizer, tmp_path):
    config = PRESETS[name]
    reference = make_reference(n_embd=config.width, n_head=config.heads, n_layer=1)
    reference.save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    with torch.inference_mode():
        torch.testing.assert_close(_logits(weights.load(tmp_path)[0]), reference(IDS).logits, rtol=0, atol=1e-4)


def _pickled_shards(folder, tensors=None):
    """The weights as three pickles and their index, as older folders of the hub have them."""
    tensors = tensors or load_file(folder / checkpoint.SAFETENSORS)
    (folder / checkpoint.SAFETENSORS).unlink(missing_ok=True)
    places = {}
    for number in range(3):
        file = f"pytorch_model-{number + 1:05d}-of-00003.bin"
        part = {name: tensors[name] for name in sorted(tensors)[number::3]}
        torch.save(part, folder / file)
        places |= dict.fromkeys(part, file)
    (folder / checkpoint.PICKLE_INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def test_pickled_shards_are_loaded(folder, model):
    _pickled_shards(folder)
    assert len(checkpoint.weight_files(folder)) == 3
    assert torch.equal(_logits(weights.load(folder)[0]), _logits(model))
    checkpoint.weight_files(folder)[1].unlink()
    with pytest.raises(judgekit.CheckpointError, match=r"the shard pytorch_model-00002-of-00003.bin is missing"):
        checkpoint.check(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("transformer.h.1.mlp.c_fc.bias"), r"checkpoint: the tensor h.1.mlp.c_fc.bias is missing"),
        (lambda t: t.update(extra=torch.ones(2)), r"00001-of-00003.bin: has a tensor extra, for which"),
        (lambda t: t.update({"wte.weight": t["transformer.wte.weight"]}), r"has wte.weight, which \S+.bin has too"),
        (lambda t: t.update({"transformer.ln_f.bias": torch.ones(33)}), r"ln_f.bias has the shape \[33\], where"),
        (lambda t: t.update({"transformer.ln_f.bias": torch.ones(32).int()}), r"ln_f.bias is a tensor of torch.int32"),
        (lambda t: t.update({"transformer.ln_f.bias": torch.ones(32).to_sparse()}), "torch.sparse_coo"),
        (lambda t: t.update({"transformer.ln_f.bias": torch.ones(32, device="meta")}), "on meta"),
        (lambda t: t.update({"lm_head.weight": torch.ones(2, 32)}), r"lm_head.weight has the shape \[2, 32\]"),
        (lambda t: t.update({"ln_f.bias": t["transformer.ln_f.bias"]}), "has ln_f.bias"),
    ],
)
def test_what_is_amiss_in_pickles_is_named(folder, change, message):
    tensors = load_file(folder / checkpoint.SAFETENSORS)
    change(tensors)
    _pickled_shards(folder, tensors)
    checkpoint.check(folder)
    with pytest.raises(judgekit.CheckpointError, match=message) as caught:
        weights.load(folder)
    assert "\n" not in str(caught.value)


def test_one_tensor_under_two_names_is_an_error(folder):
    _edit(folder, lambda tensors: tensors.update({"wpe.weight": torch.zeros(64, 32)}))
    with pytest.raises(judgekit.CheckpointError, match=r"model.safetensors: has wpe.weight twice"):
        checkpoint.check(folder)


def test_safetensors_are_taken_before_pickles(folder, model, tokenizer):
    _pickled_shards(folder, {"wte.weight": torch.zeros(1)})
    weights.save(folder, model, tokenizer, max_shard_bytes=30_000)
    assert all(path.suffix == ".safetensors" for path in checkpoint.weight_files(folder))
    assert torch.equal(_logits(weights.load(folder)[0]), _logits(model))


@pytest.mark.parametrize("name", ["..", "../model.safetensors", "a/model.safetensors", "/etc/passwd", "", "."])
def test_a_shard_elsewhere_is_refused(folder, name):
    (folder / "a").mkdir()
    shutil.copy(folder / checkpoint.SAFETENSORS, folder / "a")
    shutil.move(folder / checkpoint.SAFETENSORS, folder.parent / checkpoint.SAFETENSORS)
    (folder / checkpoint.INDEX).write_text(json.dumps({"weight_map": {"wte.weight": name}}))
    for read in (checkpoint.check, weights.load):
        with pytest.raises(judgekit.CheckpointError, match=r"is not in the folder|is missing"):
            read(folder)


def test_a_link_out_of_the_folder_is_refused_unless_it_is_the_hubs_cache(folder, model, tmp_path):
    names = dict.fromkeys(load_file(folder / checkpoint.SAFETENSORS), "shard.safetensors")
    (folder / checkpoint.INDEX).write_text(json.dumps({"weight_map": names}))
    (tmp_path / "blobs").mkdir()
    shutil.move(folder / checkpoint.SAFETENSORS, tmp_path / "blobs" / "0123")
    (folder / "shard.safetensors").symlink_to(tmp_path / "blobs" / "0123")
    with pytest.raises(
        judgekit.CheckpointError, match=r"the shard shard.safetensors is not in the folder: a link leads"
    ):
        checkpoint.check(folder)
    snapshot = tmp_path / "snapshots" / "4567"
    shutil.copytree(folder, snapshot, symlinks=True)
    (snapshot / "shard.safetensors").unlink()
    (snapshot / "shard.safetensors").symlink_to("../../blobs/0123")
    assert torch.equal(_logits(weights.load(snapshot)[0]), _logits(model))


@pytest.mark.parametrize("index", ["[]", "{}", '{"weight_map": {}}', '{"weight_map": ["model.safetensors"]}', "{"])
def test_an_index_that_names_nothing_is_an_error(folder, index):
    (folder / checkpoint.SAFETENSORS).unlink()
    (folder / checkpoint.INDEX).write_text(index)
    with pytest.raises(judgekit.CheckpointError, match=r"index.json: (has no weight_map|not JSON|should be a JSON)"):
        checkpoint.check(folder)


def _rewrite_header(folder, change):
    path = folder / checkpoint.SAFETENSORS
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    new = json.dumps(header).encode()
    path.write_bytes(len(new).to_bytes(8, "little") + new + content[8 + length :])


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(data_offsets=[entry["data_offsets"][0] + 4, entry["data_offsets"][1]]),
        lambda entry: entry.update(dtype="F16"),
        lambda entry: entry.update(shape=[-300, -32]),
        lambda entry: entry.update(data_offsets=[0, 38400]),
    ],
)
def test_a_header_that_contradicts_itself_is_an_error(folder, change):
    _rewrite_header(folder, lambda header: change(header["transformer.wte.weight"]))
    with pytest.raises(
        judgekit.CheckpointError, match=r"model.safetensors: (damaged|truncated|wte.weight has the shape)"
    ):
        checkpoint.check(folder)


def test_every_truncation_is_found(folder):
    content = (folder / checkpoint.SAFETENSORS).read_bytes()
    for keep in [*range(0, 200, 7), *range(200, len(content), len(content) // 50), len(content) - 1]:
        (folder / checkpoint.SAFETENSORS).write_bytes(content[:keep])
        with pytest.raises(judgekit.CheckpointError, match=r"model.safetensors: (not a safetensors|truncated)"):
            checkpoint.check(folder)


@pytest.mark.parametrize("zipped", [True, False])
def test_every_truncated_or_altered_pickle_is_one_line(folder, zipped):
    path = folder / checkpoint.PICKLE
    torch.save(load_file(folder / checkpoint.SAFETENSORS), path, _use_new_zipfile_serialization=zipped)
    (folder / checkpoint.SAFETENSORS).unlink()
    content = path.read_bytes()
    spoilt = [content[:keep] for keep in range(0, len(content), len(content) // 40)]
    for place in range(0, 4000, 97):
        spoilt.append(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
    errors = []
    for bytes_ in spoilt:
        path.write_bytes(bytes_)
        try:
            weights.load(folder)
        except judgekit.CheckpointError as error:
            errors.append(str(error))
    assert len(errors) >= 40
    assert not any("\n" in error for error in errors)


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


def _in_tokenizer(change):
    def inflict(folder):
        AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
        (folder / checkpoint.MERGES).unlink()
        values = json.loads((folder / checkpoint.TOKENIZER).read_text())
        change(values)
        (folder / checkpoint.TOKENIZER).write_text(json.dumps(values))

    return inflict


def _swap(ids):
    ids["a"], ids["b"] = ids["b"], ids["a"]


def _swap_in_vocabulary(folder):
    ids = json.loads((folder / checkpoint.VOCABULARY).read_text())
    _swap(ids)
    (folder / checkpoint.VOCABULARY).write_text(json.dumps(ids))


VOCABULARIES = {
    "other numbers": (_swap_in_vocabulary, r"vocab.json: gives \w the number \d+, where GPT-2's order of tokens makes"),
    "no JSON": (lambda folder: (folder / "vocab.json").write_text("{"), r"vocab.json: not JSON"),
    "no object": (lambda folder: (folder / "vocab.json").write_text("[]"), r"vocab.json: should be a JSON object"),
    "other numbers, newer": (
        _in_tokenizer(lambda v: _swap(v["model"]["vocab"])),
        r"tokenizer.json: gives \w the number",
    ),
    "another model": (_in_tokenizer(lambda v: v["model"].update(type="Unigram")), "it cuts text otherwise than GPT-2"),
    "another cut": (_in_tokenizer(lambda v: v.update(pre_tokenizer=None)), "it has no merges that can be read"),
    "a space before": (
        _in_tokenizer(lambda v: v["pre_tokenizer"].update(add_prefix_space=True)),
        "it cuts text otherw",
    ),
    "lower case": (_in_tokenizer(lambda v: v.update(normalizer={"type": "Lowercase"})), "it cuts text otherwise"),
    "merges of numbers": (_in_tokenizer(lambda v: v["model"].update(merges=[1, 2])), "has no merges that can be read"),
    "fewer merges": (
        _in_tokenizer(lambda v: v["model"]["merges"].pop()),
        "makes a vocabulary of 299, where config.json",
    ),
}


@pytest.mark.parametrize("damage", VOCABULARIES)
def test_another_vocabulary_is_found_without_reading_the_weights(folder, damage):
    inflict, message = VOCABULARIES[damage]
    inflict(folder)
    for read in (checkpoint.check, weights.load):
        with pytest.raises(judgekit.CheckpointError, match=message) as caught:
            read(folder)
        assert "\n" not in str(caught.value)


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


def test_a_type_that_cannot_hold_the_weights_is_an_error(fresh, tokenizer, tmp_path):
    with torch.no_grad():
        fresh.norm.weight[3] = 70_000
    with pytest.raises(judgekit.UsageError, match=r"ln_f.weight has a value that float16 cannot hold"):
        weights.save(tmp_path, fresh, tokenizer, torch.float16)
    assert not list(tmp_path.glob("*safetensors*"))


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
