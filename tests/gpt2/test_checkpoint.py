"""Checkpoint folders: what is damaged, foreign or elsewhere is found, by its file and its tensor, in one line."""

import json
import pickle
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, GPT2LMHeadModel
from transformers import GPT2Config as ReferenceConfig

import judgekit
from checkpoint_folders import Code, edit, pickled_shards
from judgekit_gpt2 import checkpoint, weights
from judgekit_gpt2.config import PRESETS, tensor_shapes


def _written(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def _gone(name):
    return lambda folder: (folder / name).unlink()


def _cut(keep):
    return lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:keep])


def _config(**changes):
    def inflict(folder):
        values = json.loads((folder / "config.json").read_text()) | changes
        kept = {key: value for key, value in values.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))

    return inflict


def _edited(change):
    return lambda folder: edit(folder, change)


def _with(name, tensor):
    return lambda tensors: tensors.update({name: tensor})


def _indexed(index):
    """Other shards than there are, by the index of a folder whose weights lie elsewhere: above, and in `a`."""

    def inflict(folder):
        (folder / "a").mkdir()
        shutil.copy(folder / "model.safetensors", folder / "a")
        shutil.move(folder / "model.safetensors", folder.parent / "model.safetensors")
        (folder / checkpoint.INDEX).write_text(index)

    return inflict


def _shard(name):
    return _indexed(json.dumps({"weight_map": {"wte.weight": name}}))


def _entry(**changes):
    """Change what the header says of the embeddings."""

    def inflict(folder):
        path = folder / checkpoint.SAFETENSORS
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        header["transformer.wte.weight"].update(changes)
        new = json.dumps(header).encode()
        path.write_bytes(len(new).to_bytes(8, "little") + new + content[8 + length :])

    return inflict


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


# What is done to a folder, and what is named of it; all of it without reading the weights.
DAMAGES = {
    "cut in the weights": (_cut(-100), r"model.safetensors: truncated or damaged: \d+ bytes"),
    "other bytes": (_written("model.safetensors", b"\x80\x04" * 99), "model.safetensors: not a safetensors file"),
    "no weights": (_gone("model.safetensors"), "model.safetensors"),
    "no folder": (shutil.rmtree, "no such checkpoint folder"),
    "no config": (_gone("config.json"), "config.json"),
    "config is no JSON": (_written("config.json", b"{"), "config.json: not JSON"),
    "another architecture": (_config(model_type="llama"), "model_type is 'llama'"),
    "another activation": (_config(activation_function="relu"), "activation_function is 'relu'"),
    "a size is missing": (_config(n_embd=None), "n_embd .* None"),
    "heads do not divide": (_config(n_head=5), "32 is not divisible by 5 heads"),
    "another width": (_config(n_embd=64), r"model.safetensors: wte.weight .*\[300, 32\].*config.json.*\[300, 64\]"),
    "more layers": (_config(n_layer=3), "h.2.ln_1.weight is missing"),
    "fewer layers": (_config(n_layer=1), r"has a tensor h.1.\S+, for which config.json"),
    "a missing tensor": (_edited(lambda t: t.pop("transformer.h.1.mlp.c_fc.bias")), "h.1.mlp.c_fc.bias is missing"),
    "an extra tensor": (_edited(_with("extra", torch.ones(2))), "has a tensor extra, for which"),
    "whole numbers": (_edited(_with("more", torch.ones(64, 32).int())), "more is of type I32"),
    "a tensor twice": (_edited(_with("wpe.weight", torch.zeros(64, 32))), "model.safetensors: has wpe.weight twice"),
    "the header begins later": (_entry(data_offsets=[4, 38400]), "model.safetensors: (damaged|truncated)"),
    "the header has another type": (_entry(dtype="F16"), "model.safetensors: damaged"),
    "the header has another shape": (_entry(shape=[-300, -32]), "model.safetensors: .*wte.weight"),
    "the header has another place": (_entry(data_offsets=[0, 38400]), "model.safetensors: (damaged|truncated)"),
    **{
        f"a shard {name!r}": (_shard(name), "is not in the folder|is missing")
        for name in ("..", "../model.safetensors", "a/model.safetensors", "/etc/passwd", "", ".")
    },
    **{
        f"an index {index}": (_indexed(index), "index.json: ")
        for index in ("[]", "{}", '{"weight_map": {}}', '{"weight_map": ["model.safetensors"]}', "{")
    },
    "a merge of three": (_written("merges.txt", b"#version: 0.2\na b c\n"), "merges.txt: .*line 2"),
    "a merge of what is not there": (_written("merges.txt", b"ab c\n"), "merges.txt: .*does not fit"),
    "one merge": (_written("merges.txt", b"t h\n"), "of 258"),
    "a merge of no letter": (_written("merges.txt", b"\x00 a\n"), "merges.txt: .*line 1"),
    "other numbers": (_swap_in_vocabulary, r"vocab.json: gives \w the number \d+"),
    "numbers are no JSON": (_written("vocab.json", b"{"), "vocab.json: not JSON"),
    "numbers are no object": (_written("vocab.json", b"[]"), "vocab.json: should be a JSON object"),
    "other numbers, newer": (
        _in_tokenizer(lambda v: _swap(v["model"]["vocab"])),
        r"tokenizer.json: gives \w the number",
    ),
    "another model": (_in_tokenizer(lambda v: v["model"].update(type="Unigram")), "tokenizer.json: .*otherwise"),
    "another cut": (_in_tokenizer(lambda v: v.update(pre_tokenizer=None)), "tokenizer.json: .*no merges"),
    "a space before": (_in_tokenizer(lambda v: v["pre_tokenizer"].update(add_prefix_space=True)), "json: .*otherwise"),
    "lower case": (_in_tokenizer(lambda v: v.update(normalizer={"type": "Lowercase"})), "tokenizer.json: .*otherwise"),
    "merges of numbers": (_in_tokenizer(lambda v: v["model"].update(merges=[1, 2])), "tokenizer.json: .*no merges"),
    "fewer merges": (_in_tokenizer(lambda v: v["model"]["merges"].pop()), "vocabulary of 299, where config.json"),
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


def _pickled(change):
    """The weights in three pickles, after the change."""

    def inflict(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        pickled_shards(folder, tensors)

    return inflict


BIAS = "transformer.ln_f.bias"
ON_LOADING = {
    "no number": (_edited(lambda t: t[BIAS].fill_(float("nan"))), "ln_f.bias has a value that"),
    "no vocabulary": (_gone("merges.txt"), "300 tokens are not GPT-2's"),
    "another output layer": (_edited(_with("lm_head.weight", torch.zeros(300, 32))), "lm_head.weight differs"),
    "a missing tensor": (_pickled(lambda t: t.pop("transformer.h.1.mlp.c_fc.bias")), "checkpoint: .*h.1.mlp.c_fc.bias"),
    "an extra tensor": (_pickled(_with("extra", torch.ones(2))), "00001-of-00003.bin: has a tensor extra"),
    "a tensor in two files": (
        _pickled(lambda t: t.update({"wte.weight": t["transformer.wte.weight"]})),
        r"has wte.weight, which \S+.bin has too",
    ),
    "a tensor twice": (_pickled(lambda t: t.update({"ln_f.bias": t[BIAS]})), "has ln_f.bias"),
    "another shape": (_pickled(_with(BIAS, torch.ones(33))), r"ln_f.bias has the shape \[33\]"),
    "whole numbers": (_pickled(_with(BIAS, torch.ones(32).int())), "ln_f.bias is a tensor of torch.int32"),
    "sparse": (_pickled(_with(BIAS, torch.ones(32).to_sparse())), "torch.sparse_coo"),
    "nowhere": (_pickled(_with(BIAS, torch.ones(32, device="meta"))), "on meta"),
    "a classifier": (_pickled(_with("lm_head.weight", torch.ones(2, 32))), r"lm_head.weight has the shape \[2, 32\]"),
}


@pytest.mark.parametrize("damage", ON_LOADING)
def test_what_only_the_weights_tell_is_found_on_loading(folder, damage):
    inflict, message = ON_LOADING[damage]
    inflict(folder)
    checkpoint.check(folder)
    with pytest.raises(judgekit.CheckpointError, match=message) as caught:
        weights.load(folder)
    assert "\n" not in str(caught.value)


def test_a_file_instead_of_a_folder_is_an_error(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(judgekit.CheckpointError, match=r"model.pth: is a file"):
        checkpoint.check(tmp_path / "model.pth")


@pytest.mark.parametrize("form", ["zipped", "legacy", "a whole model"])
def test_a_pickle_with_code_is_refused_and_not_run(reference, folder, tmp_path, form):
    (folder / checkpoint.SAFETENSORS).unlink()
    content = reference if form == "a whole model" else {"wte.weight": Code(tmp_path / "ran")}
    path = folder / checkpoint.PICKLE
    path.write_bytes(pickle.dumps(content, protocol=2)) if form == "legacy" else torch.save(content, path)
    with pytest.raises(judgekit.CheckpointError, match="bin: refused: a pickle that is more than tensors"):
        weights.load(folder)
    assert not (tmp_path / "ran").exists()


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
    loaded = weights.load(snapshot).model
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True))


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


def test_the_identity_is_that_of_every_file_that_matters(folder):
    seen = {checkpoint.identity(folder)}
    for name in (checkpoint.CONFIG, checkpoint.SAFETENSORS, checkpoint.MERGES):
        with (folder / name).open("ab") as file:
            file.write(b" ")
        seen.add(checkpoint.identity(folder))
    assert len(seen) == 4
    (folder / "training.jsonl").write_text("{}")
    assert checkpoint.identity(folder) in seen


@pytest.mark.parametrize("name", PRESETS)
def test_the_four_presets_have_the_tensors_of_transformers(name):
    config = replace(PRESETS[name], vocabulary=300, context=64)
    with torch.device("meta"):
        sizes = {"n_embd": config.width, "n_layer": config.layers, "n_head": config.heads}
        theirs = GPT2LMHeadModel(ReferenceConfig(**sizes, vocab_size=300, n_positions=64))
    shapes = {key.removeprefix("transformer."): tuple(value.shape) for key, value in theirs.named_parameters()}
    assert tensor_shapes(config) == shapes
    assert config.parameters == theirs.num_parameters()
