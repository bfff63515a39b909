"""`judgekit gpt2 convert`: folders, files and the book's models become checkpoints that `transformers` loads."""

import copy
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

import judgekit
import judgekit.data
from full_disk import full_disk
from judgekit_gpt2 import checkpoint, commands, conversion, weights
from judgekit_gpt2.commands import gpt2
from judgekit_gpt2.config import PRESETS
from judgekit_gpt2.model import GPT2
from judgekit_gpt2.tokens import Tokenizer, is_padded

IDS = torch.randint(0, 300, (2, 30), generator=torch.Generator().manual_seed(0))


def _book(model, bias=True):
    """The tensors of transformers' model as the book's has them: under other names, with Linear's orientation, queries,
    keys and values apart (without biases, if these are 0), and an output layer of its own."""
    parts = model.transformer
    state = {"tok_emb": parts.wte.weight, "pos_emb": parts.wpe.weight, "out_head": model.lm_head.weight.clone()}
    state = {f"{name}.weight": tensor for name, tensor in state.items()}
    state |= {"final_norm.scale": parts.ln_f.weight, "final_norm.shift": parts.ln_f.bias}
    for layer, block in enumerate(parts.h):
        attention, own = block.attn.c_attn, {"att.mask": torch.ones(64, 64).triu(1)}
        for norm, theirs in (("norm1", block.ln_1), ("norm2", block.ln_2)):
            own |= {f"{norm}.scale": theirs.weight, f"{norm}.shift": theirs.bias}
        matrices = {"att.out_proj": block.attn.c_proj, "ff.layers.0": block.mlp.c_fc, "ff.layers.2": block.mlp.c_proj}
        for name, theirs in matrices.items():
            own |= {f"{name}.weight": theirs.weight.T, f"{name}.bias": theirs.bias}
        for place, name in enumerate(("query", "key", "value")):
            own[f"att.W_{name}.weight"] = attention.weight.chunk(3, 1)[place].T
            own |= {f"att.W_{name}.bias": attention.bias.chunk(3)[place]} if bias else {}
        state |= {f"trf_blocks.{layer}.{name}": tensor for name, tensor in own.items()}
    return {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}


@pytest.fixture
def state(reference):
    return _book(reference)


@pytest.fixture
def words(tokenizer, tmp_path):
    """A folder with the vocabulary of 300."""
    folder = tmp_path / "words"
    folder.mkdir()
    tokenizer.save(folder)
    return folder


def _theirs(folder):
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return model(IDS).logits


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("form", ["state.pth", "with_optimizer.pth", "legacy.pt", "tied.bin", "tensors.safetensors"])
def test_a_model_of_the_book_gives_the_same_logits(bias, form, reference, words, tmp_path):
    model = copy.deepcopy(reference)
    for block in model.transformer.h if not bias else ():
        nn.init.zeros_(block.attn.c_attn.bias)
    state = _book(model, bias)
    file, into = tmp_path / form, tmp_path / "made"
    if form == "with_optimizer.pth":
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=0.1)
        model(IDS).logits.sum().backward()
        state = {"model_state_dict": state, "optimizer_state_dict": optimizer.state_dict()}
    if form == "tied.bin":
        del state["out_head.weight"]
    if form.endswith("safetensors"):
        save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=form != "legacy.pt")
    conversion.convert(file, into, heads=4, vocabulary=words)
    with torch.inference_mode():
        expected = model(IDS).logits
        ours, tokenizer = weights.load(into)
        torch.testing.assert_close(ours.logits(ours(IDS)), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(_theirs(into), expected, rtol=1e-4, atol=1e-4)
    assert tokenizer.size == 300
    assert _names(into) == ["config.json", "merges.txt", "model.safetensors", "vocab.json"]
    assert _names(tmp_path) == sorted([form, "made", "words"])


@pytest.mark.parametrize("form", ["book.pth", "hub.safetensors"])
def test_an_output_layer_that_was_trained_stays_apart(form, reference, words, tmp_path):
    """As in the book's fine-tuned checkpoints: its out_head starts as the embeddings and is trained by itself."""
    model, into = copy.deepcopy(reference), tmp_path / "made"
    model.lm_head.weight = nn.Parameter(model.lm_head.weight + torch.randn(300, 32) * 0.1)
    torch.save(_book(model), tmp_path / "book.pth")
    if form == "hub.safetensors":
        conversion.convert(tmp_path / "book.pth", tmp_path / "first", heads=4, vocabulary=words)
        (tmp_path / "first" / "model.safetensors").rename(tmp_path / form)
    config = conversion.convert(tmp_path / form, into, heads=4, vocabulary=words)
    assert not config.tied
    assert config.parameters == sum(tensor.numel() for tensor in load_file(into / "model.safetensors").values())
    with torch.inference_mode():
        expected = model(IDS).logits
        ours, _ = weights.load(into)
        torch.testing.assert_close(ours.logits(ours(IDS)), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(_theirs(into), expected, rtol=1e-4, atol=1e-4)
    again = conversion.convert(into, tmp_path / "sharded", max_shard_bytes=30_000)
    assert again == config
    torch.testing.assert_close(_theirs(tmp_path / "sharded"), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PRESETS)
def test_the_four_known_widths_need_no_heads_and_gpt2s_vocabulary_no_folder(name, tmp_path):
    width = PRESETS[name].width
    vocabulary = 50257 if name == "gpt2" else 300
    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, n_embd=width, n_positions=8, n_layer=2, n_head=1))
    state = {key: torch.zeros(value.shape, dtype=torch.bfloat16) for key, value in _book(model).items()}
    torch.save(state, tmp_path / "a.pth")
    if name == "gpt2":
        config = conversion.convert(tmp_path / "a.pth", tmp_path / "made", dtype=torch.bfloat16)
        assert weights.load(tmp_path / "made")[1].merges == Tokenizer.gpt2().merges
    else:
        with pytest.raises(judgekit.UsageError, match=r"a.pth: 300 tokens are not GPT-2's; .* as --vocabulary"):
            conversion.convert(tmp_path / "a.pth", tmp_path / "made")
        config = conversion._infer(weights.open_file(tmp_path / "a.pth").shapes, True, None, tmp_path)
    assert (config.heads, config.context, config.layers) == (PRESETS[name].heads, 8, 2)


@pytest.mark.parametrize("form", ["model.safetensors", "pytorch_model.bin", "prefixed.pth"])
def test_a_file_of_the_hubs_tensors_gives_the_same_logits(form, reference, reference_folder, words, tmp_path):
    tensors = load_file(reference_folder / "model.safetensors")
    if form == "pytorch_model.bin":
        tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
        tensors["lm_head.weight"] = tensors["wte.weight"]
        tensors["h.0.attn.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.bool).tril()
    save = save_file if form.endswith("safetensors") else torch.save
    save(tensors, tmp_path / form)
    config = conversion.convert(tmp_path / form, tmp_path / "made", heads=4, vocabulary=words)
    assert config == weights.load(reference_folder)[0].config
    with torch.inference_mode():
        assert torch.equal(_theirs(tmp_path / "made"), reference(IDS).logits)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0), ("bfloat16", 2**-8), ("float16", 2**-11)])
def test_a_folder_is_stored_again_as_asked(dtype, tolerance, reference_folder, model, tmp_path):
    arguments = ["convert", str(reference_folder), "--into", str(tmp_path / "made"), "--dtype", dtype]
    done = CliRunner().invoke(gpt2, [*arguments, "--max-shard", "20KB"], catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'made'}\n")
    assert "2 layers, 4 heads, width 32, context 64: " in done.stderr
    files = checkpoint.weight_files(tmp_path / "made")
    assert len(files) > 1
    for file in files:
        for tensor in load_file(file).values():
            assert tensor.dtype == getattr(torch, dtype)
    made, _ = weights.load(tmp_path / "made")
    for name, parameter in made.named_parameters():
        torch.testing.assert_close(parameter, model.get_parameter(name), rtol=tolerance, atol=1e-7)
    with torch.inference_mode():
        torch.testing.assert_close(_theirs(tmp_path / "made"), made.logits(made(IDS)), rtol=0, atol=1e-4)


def _without(name):
    return lambda state: state.pop(name)


def _with(name, *shape):
    return lambda state: state.update({name: torch.ones(shape)})


def _changed(name, value):
    def change(state):
        state[name] = state[name].clone()
        state[name].view(-1)[0] = value

    return change


DAMAGES = {
    "no tokens": (_without("tok_emb.weight"), "the tensor wte.weight is missing; .* nor as the book's"),
    "no positions": (_without("pos_emb.weight"), "the tensor pos_emb.weight is missing$"),
    "no key": (_without("trf_blocks.1.att.W_key.weight"), "the tensor trf_blocks.1.att.W_key.weight is missing"),
    "one bias fewer": (_without("trf_blocks.0.att.W_key.bias"), "trf_blocks.0.att.W_key.bias is missing"),
    "a layer in between": (_with("trf_blocks.7.norm1.scale", 32), "the tensor trf_blocks.2.norm1.scale is missing"),
    "a layer far off": (_with("trf_blocks.999999999999.norm1.scale", 32), "trf_blocks.2.norm1.scale is missing"),
    "an adapter": (_with("trf_blocks.0.att.W_key.lora.A", 32, 4), r"has a tensor trf_blocks.0.att.W_key.lora.A, for"),
    "another width": (
        _with("trf_blocks.0.norm1.scale", 33),
        r"norm1.scale has the shape \[33\], where the rest of the file needs \[32\]",
    ),
    "flat tokens": (_with("tok_emb.weight", 300), r"tok_emb.weight has the shape \[300\], not two sizes"),
    "no width": (_with("tok_emb.weight", 300, 0), "width should be at least 1, not 0; give another --heads"),
    "a classifier": (_with("out_head.weight", 2, 32), r"out_head.weight has the shape \[2, 32\], .* \[300, 32\]"),
    "not a number": (
        _changed("trf_blocks.0.att.W_value.weight", torch.nan),
        "trf_blocks.0.att.W_value.weight has a value",
    ),
    "whole numbers": (
        lambda state: state.update({"pos_emb.weight": torch.ones(64, 32, dtype=torch.int64)}),
        "pos_emb.weight is a tensor of torch.int64",
    ),
    "not of a tensor": (lambda state: state.update(epoch=3), "should hold a dictionary of tensors"),
    "empty": (dict.clear, "the tensor wte.weight is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_in_the_files_own_words_and_nothing_is_left(damage, state, words, tmp_path):
    inflict, message = DAMAGES[damage]
    inflict(state)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(judgekit.UsageError, match=message) as caught:
        conversion.convert(tmp_path / "a.pth", tmp_path / "made", heads=4, vocabulary=words)
    assert str(caught.value).startswith(f"{tmp_path / 'a.pth'}: ")
    assert "\n" not in str(caught.value)
    assert _names(tmp_path) == ["a.pth", "words"]


def _nano(model, bias=True, prefix="", padding=0):
    """The checkpoint of nanoGPT: the hub's names with Linear's orientation, often compiled and padded."""
    state = {}
    for name, tensor in model.state_dict().items():
        turned = tensor.t() if ".h." in name and tensor.ndim == 2 else tensor
        if name in ("transformer.wte.weight", "lm_head.weight"):
            turned = torch.cat([tensor, torch.full((padding, tensor.shape[1]), 0.01)])
        if bias or not name.endswith("bias"):
            state[prefix + name] = turned.detach().clone().contiguous()
    state[f"{prefix}transformer.h.0.attn.bias"] = torch.ones(1, 1, 64, 64).tril()
    arguments = {"n_layer": 2, "n_head": 4, "n_embd": 32, "block_size": 64, "bias": bias, "vocab_size": 300 + padding}
    return {
        "model": state,
        "optimizer": {"state": {}, "param_groups": [{"lr": 6e-4, "params": [0]}]},
        "model_args": {**arguments, "dropout": 0.0},
        "iter_num": 7,
        "best_val_loss": torch.tensor(3.2),
        "config": {"dataset": "openwebtext", "compile": True},
    }


@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "module.", "module._orig_mod."])
@pytest.mark.parametrize("bias", [True, False])
def test_a_checkpoint_of_nanogpt_gives_the_same_logits(prefix, bias, reference, words, tmp_path, capsys):
    model = copy.deepcopy(reference)
    if not bias:
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.data.zero_()
    torch.save(_nano(model, bias, prefix), tmp_path / "ckpt.pt")
    judgekit.data.tell_once.cache_clear()
    config = conversion.convert(tmp_path / "ckpt.pt", tmp_path / "made", vocabulary=words)
    assert (config.heads, config.layers, config.tied) == (4, 2, True), "the file says how many heads"
    assert "taken for nanoGPT's" in capsys.readouterr().err
    with torch.inference_mode():
        assert torch.allclose(_theirs(tmp_path / "made"), model(IDS).logits, atol=1e-5)


@pytest.mark.parametrize("form", ["nano", "book", "folder"])
def test_embeddings_that_pad_the_vocabulary_are_cut_aloud(form, reference, words, tmp_path, capsys, tokenizer):
    judgekit.data.tell_once.cache_clear()
    if form == "nano":
        torch.save(_nano(reference, padding=20), source := tmp_path / "a.pt")
    elif form == "book":
        state = _book(reference)
        for name in ("tok_emb.weight", "out_head.weight"):
            state[name] = torch.cat([state[name], torch.zeros(20, 32)])
        torch.save(state, source := tmp_path / "a.pth")
    else:
        model = copy.deepcopy(reference)
        model.resize_token_embeddings(320)
        model.save_pretrained(source := tmp_path / "padded")
        tokenizer.save(source)
        with pytest.raises(judgekit.CheckpointError, match=r"300.*320; `judgekit gpt2 convert \S+ --into NEW` cuts"):
            weights.load(source)
    given = {} if form == "folder" else {"vocabulary": words, "heads": 4}
    config = conversion.convert(source, tmp_path / "made", **given)
    assert config.vocabulary == 300
    assert "20 embeddings beyond the 300 tokens cut" in capsys.readouterr().err
    with torch.inference_mode():
        assert torch.allclose(_theirs(tmp_path / "made"), reference(IDS).logits, atol=1e-5)


def test_tokens_of_ones_own_are_not_cut(reference, tokenizer, tmp_path):
    model = copy.deepcopy(reference)
    model.resize_token_embeddings(304)
    model.save_pretrained(folder := tmp_path / "padded")
    tokenizer.save(folder)
    (folder / "added_tokens.json").write_text('{"<|im_start|>": 300, "[PAD]": 301}')
    with pytest.raises(judgekit.CheckpointError, match=r"tokens of its own beside GPT-2's.*'<\|im_start\|>'"):
        conversion.convert(folder, tmp_path / "made")
    (folder / "added_tokens.json").write_text('{"[PAD]": 300}')
    assert conversion.convert(folder, tmp_path / "made").vocabulary == 300


@pytest.mark.parametrize(
    ("size", "tokens", "padded"),
    [
        *((50258, 50257, True), (50304, 50257, True), (50264, 50257, True), (50432, 50257, True)),
        *((50257, 50257, False), (50259, 50257, False), (50256, 50257, False), (301, 300, False), (320, 300, True)),
    ],
)
def test_sizes_to_which_vocabularies_are_padded(size, tokens, padded):
    assert is_padded(size, tokens) == padded


@pytest.mark.parametrize("tied", [True, False])
def test_the_books_file_and_back_is_the_same_model(tied, words, reference_folder, tmp_path):
    folder = tmp_path / "hub"
    weights.save(folder, *weights.load(reference_folder))
    model = weights.load(folder).model
    if not tied:
        state = {**model.state_dict(), "output.weight": model.tokens.weight.detach() * 1.5}
        weights.save(
            folder,
            GPT2.holding(replace(model.config, tied=False), state),
            Tokenizer.of_checkpoint(words, 300),
        )
    conversion.convert(folder, tmp_path / "model.pth")
    written = torch.load(tmp_path / "model.pth", weights_only=True)
    expected = _book(GPT2LMHeadModel.from_pretrained(folder))
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], expected[name]) for name in expected)
    conversion.convert(tmp_path / "model.pth", tmp_path / "back", heads=4, vocabulary=words)
    assert torch.equal(_theirs(tmp_path / "back"), _theirs(folder))
    with pytest.raises(judgekit.UsageError, match=r"GGUF is not written here; llama\.cpp's convert_hf_to_gguf"):
        conversion.convert(folder, tmp_path / "model.gguf")


@pytest.mark.parametrize(
    ("heads", "message"),
    [(None, "cannot be known from a width of 32; give it as --heads"), (5, "32 is not divisible by 5 heads; give an")],
)
def test_heads_that_cannot_be_known_are_asked_for(heads, message, state, words, tmp_path):
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(judgekit.UsageError, match=message):
        conversion.convert(tmp_path / "a.pth", tmp_path / "made", heads=heads, vocabulary=words)


def test_what_a_folder_says_itself_is_not_asked(reference_folder, words, tmp_path):
    for option, choice in (("--heads", {"heads": 4}), ("--vocabulary", {"vocabulary": words})):
        with pytest.raises(judgekit.UsageError, match=f"{option} is for a file by itself"):
            conversion.convert(reference_folder, tmp_path / "made", **choice)


def test_a_vocabulary_that_does_not_belong_to_it_is_an_error(state, words, tmp_path):
    state["tok_emb.weight"] = state["out_head.weight"] = torch.ones(301, 32)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(judgekit.CheckpointError, match="makes a vocabulary of 300, where"):
        conversion.convert(tmp_path / "a.pth", tmp_path / "made", heads=4, vocabulary=words)
    (words / "merges.txt").unlink()
    with pytest.raises(judgekit.CheckpointError, match=r"words: there is no merges.txt in it"):
        conversion.convert(tmp_path / "a.pth", tmp_path / "made", heads=4, vocabulary=words)


def test_where_nothing_is_or_something_is_already_is_an_error(reference_folder, tmp_path):
    with pytest.raises(judgekit.CheckpointError, match="nowhere: there is no such file or folder"):
        conversion.convert(tmp_path / "nowhere", tmp_path / "made")
    for into in (reference_folder, reference_folder / "config.json"):
        with pytest.raises(judgekit.UsageError, match="is not empty"):
            conversion.convert(reference_folder, into)
    (tmp_path / "made").mkdir()
    conversion.convert(reference_folder, tmp_path / "made")
    assert weights.load(tmp_path / "made")[0].config.width == 32


def test_values_that_the_type_cannot_hold_are_an_error(state, words, tmp_path):
    _changed("trf_blocks.1.norm2.shift", 1e5)(state)
    torch.save(state, tmp_path / "a.pth")
    options = {"heads": 4, "vocabulary": words}
    with pytest.raises(judgekit.UsageError, match=r"h.1.ln_2.bias has a value that float16 cannot hold"):
        conversion.convert(tmp_path / "a.pth", tmp_path / "made", dtype=torch.float16, **options)
    assert _names(tmp_path) == ["a.pth", "words"]
    conversion.convert(tmp_path / "a.pth", tmp_path / "made", dtype=torch.bfloat16, **options)


def test_a_full_disk_leaves_nothing(reference_folder, tmp_path):
    with full_disk(1 << 14), pytest.raises(judgekit.StorageError) as caught:
        conversion.convert(reference_folder, tmp_path / "made")
    assert caught.value.exit_code == 6
    assert _names(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("2GB", 2 * 10**9), ("1.5 mb", 1_500_000), ("2GiB", 2**31), ("40000", 40000), ("30k", 30_000), ("9B", 9)],
)
def test_sizes_are_read_as_the_hubs_tools_write_them(text, bytes_):
    assert commands._size(None, None, text) == bytes_


@pytest.mark.parametrize("text", ["much", "-1GB", "0", "1.2.3MB", "", "5 apples", "9" * 400])
def test_what_is_no_size_is_an_error(text, tmp_path):
    done = CliRunner().invoke(gpt2, ["convert", "a", "--into", str(tmp_path / "made"), "--max-shard", text])
    assert done.exit_code == 2
    assert "is no size like 500MB or 2GB" in done.stderr
