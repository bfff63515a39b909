"""`judgekit gpt2 convert`: folders, files and the book's models become checkpoints that `transformers` loads."""

import json
import math

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import GPT2LMHeadModel

import judgekit
from checkpoint_folders import Code
from full_disk import full_disk
from judgekit_gpt2 import checkpoint, conversion, weights
from judgekit_gpt2.commands import gpt2
from judgekit_gpt2.config import PRESETS
from judgekit_gpt2.tokens import Tokenizer

IDS = torch.randint(0, 300, (2, 30), generator=torch.Generator().manual_seed(0))


class _Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.randn(width)), nn.Parameter(torch.randn(width))

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True)
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * self.scale + self.shift


class _Attention(nn.Module):
    def __init__(self, width, heads, context, bias):
        super().__init__()
        self.heads = heads
        self.W_query, self.W_key, self.W_value = (nn.Linear(width, width, bias=bias) for _ in range(3))
        self.out_proj = nn.Linear(width, width)
        self.register_buffer("mask", torch.ones(context, context).triu(1))

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (
            part(x).view(B, T, self.heads, -1).transpose(1, 2) for part in (self.W_query, self.W_key, self.W_value)
        )
        scores = (q @ k.transpose(2, 3)) / math.sqrt(C // self.heads)
        scores = scores.masked_fill(self.mask[:T, :T].bool(), -torch.inf)
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(B, T, C))


class _Block(nn.Module):
    def __init__(self, width, *options):
        super().__init__()
        self.att = _Attention(width, *options)
        self.ff = nn.Module()
        self.ff.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        self.norm1, self.norm2 = _Norm(width), _Norm(width)

    def forward(self, x):
        x = x + self.att(self.norm1(x))
        return x + self.ff.layers(self.norm2(x))


class _BookModel(nn.Module):
    """A GPT-2 whose parts have the book's names, worked out apart from ours."""

    def __init__(self, bias=True, width=32, heads=4, vocabulary=300, context=64):
        super().__init__()
        self.tok_emb, self.pos_emb = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.trf_blocks = nn.Sequential(*(_Block(width, heads, context, bias) for _ in range(2)))
        self.final_norm = _Norm(width)
        self.out_head = nn.Linear(width, vocabulary, bias=False)
        self.out_head.weight = nn.Parameter(self.tok_emb.weight.detach().clone())

    def forward(self, ids):
        x = self.tok_emb(ids) + self.pos_emb.weight[: ids.shape[1]]
        return self.out_head(self.final_norm(self.trf_blocks(x)))


@pytest.fixture
def book():
    torch.manual_seed(5)
    return _BookModel().eval()


@pytest.fixture
def state(book):
    return dict(book.state_dict())


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
def test_a_model_of_the_book_gives_the_same_logits(bias, form, words, tmp_path):
    torch.manual_seed(6)
    model = _BookModel(bias).eval()
    state = dict(model.state_dict())
    file, into = tmp_path / form, tmp_path / "made"
    if form == "with_optimizer.pth":
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=0.1)
        model(IDS).sum().backward()
        saved = {"model_state_dict": state, "optimizer_state_dict": optimizer.state_dict()}
        torch.save(saved, file)
    elif form.endswith("safetensors"):
        save_file(state, file)
    else:
        if form == "tied.bin":
            del state["out_head.weight"]
        torch.save(state, file, _use_new_zipfile_serialization=form != "legacy.pt")
    conversion.convert(file, into, heads=4, vocabulary=words)
    with torch.inference_mode():
        expected = model(IDS)
        ours, tokenizer = weights.load(into)
        torch.testing.assert_close(ours.logits(ours(IDS)), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(_theirs(into), expected, rtol=1e-4, atol=1e-4)
    assert tokenizer.size == 300
    assert _names(into) == ["config.json", "merges.txt", "model.safetensors", "vocab.json"]
    assert _names(tmp_path) == sorted([form, "made", "words"])


@pytest.mark.parametrize("form", ["book.pth", "hub.safetensors"])
def test_an_output_layer_that_was_trained_stays_apart(form, book, words, tmp_path):
    """As in the book's fine-tuned checkpoints: its out_head starts as the embeddings and is trained by itself."""
    with torch.no_grad():
        book.out_head.weight.add_(torch.randn(300, 32) * 0.1)
        book.tok_emb.weight.add_(torch.randn(300, 32) * 0.1)
    state, into = dict(book.state_dict()), tmp_path / "made"
    if form == "book.pth":
        torch.save(state, tmp_path / form)
    else:
        torch.save(state, tmp_path / "book.pth")
        conversion.convert(tmp_path / "book.pth", tmp_path / "first", heads=4, vocabulary=words)
        (tmp_path / "first" / "model.safetensors").rename(tmp_path / form)
    config = conversion.convert(tmp_path / form, into, heads=4, vocabulary=words)
    assert not config.tied
    assert config.parameters == sum(tensor.numel() for tensor in load_file(into / "model.safetensors").values())
    with torch.inference_mode():
        expected = book(IDS)
        ours, _ = weights.load(into)
        torch.testing.assert_close(ours.logits(ours(IDS)), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(_theirs(into), expected, rtol=1e-4, atol=1e-4)
    again = conversion.convert(into, tmp_path / "sharded", max_shard_bytes=30_000)
    assert again == config
    torch.testing.assert_close(_theirs(tmp_path / "sharded"), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PRESETS)
def test_the_four_known_widths_need_no_heads_and_gpt2s_vocabulary_no_folder(name, tmp_path):
    width = PRESETS[name].width
    with torch.device("meta"):
        model = _BookModel(width=width, heads=1, vocabulary=50257 if name == "gpt2" else 300, context=8)
    state = {key: torch.zeros(value.shape, dtype=torch.bfloat16) for key, value in model.state_dict().items()}
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


def test_names_of_another_orientation_are_an_error(reference_folder, words, tmp_path):
    """The hub's names with Linear's matrices, as some have them who train GPT-2 from scratch."""
    tensors = load_file(reference_folder / "model.safetensors")
    turned = {name: tensor.t() if ".h." in name and tensor.ndim == 2 else tensor for name, tensor in tensors.items()}
    torch.save(turned, tmp_path / "a.pt")
    with pytest.raises(judgekit.CheckpointError, match=r"c_attn.weight has the shape \[96, 32\], .* \[32, 96\]"):
        conversion.convert(tmp_path / "a.pt", tmp_path / "made", heads=4, vocabulary=words)


@pytest.mark.parametrize(
    ("heads", "message"),
    [(None, "cannot be known from a width of 32; give it as --heads"), (5, "32 is not divisible by 5 heads; give an")],
)
def test_heads_that_cannot_be_known_are_asked_for(heads, message, state, words, tmp_path):
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(judgekit.UsageError, match=message):
        conversion.convert(tmp_path / "a.pth", tmp_path / "made", heads=heads, vocabulary=words)


@pytest.mark.parametrize("option", ["--heads", "--vocabulary"])
def test_what_a_folder_says_itself_is_not_asked(option, reference_folder, words, tmp_path):
    choice = {"heads": 4} if option == "--heads" else {"vocabulary": words}
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


@pytest.mark.parametrize("content", ["code", "a whole model"])
def test_a_pickle_with_code_is_refused_and_not_run(content, book, state, tmp_path):
    ran = tmp_path / "ran"
    torch.save(book if content == "a whole model" else {**state, "x": Code(ran)}, tmp_path / "a.pth")
    with pytest.raises(judgekit.CheckpointError, match=r"a.pth: refused: a pickle that is more than tensors"):
        conversion.convert(tmp_path / "a.pth", tmp_path / "made", heads=4)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.999])
def test_a_truncated_file_is_an_error(name, keep, state, tmp_path):
    (save_file if name.endswith("safetensors") else torch.save)(state, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(judgekit.CheckpointError, match=rf"{name}: .*(truncated|damaged)") as caught:
        conversion.convert(tmp_path / name, tmp_path / "made", heads=4)
    assert "\n" not in str(caught.value)


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
def test_sizes_are_read_as_the_hubs_tools_write_them(text, bytes_, reference_folder, tmp_path, monkeypatch):
    asked = {}

    def convert(source, into, **options):
        asked.update(options)
        return PRESETS["gpt2"]

    monkeypatch.setattr(conversion, "convert", convert)
    CliRunner().invoke(
        gpt2, ["convert", "a", "--into", str(tmp_path / "made"), "--max-shard", text], catch_exceptions=False
    )
    assert asked["max_shard_bytes"] == bytes_


@pytest.mark.parametrize("text", ["much", "-1GB", "0", "1.2.3MB", "", "5 apples", "9" * 400])
def test_what_is_no_size_is_an_error(text, tmp_path):
    done = CliRunner().invoke(gpt2, ["convert", "a", "--into", str(tmp_path / "made"), "--max-shard", text])
    assert done.exit_code == 2
    assert "is no size like 500MB or 2GB" in done.stderr


def test_the_config_says_what_transformers_needs(state, words, tmp_path):
    torch.save(state, tmp_path / "a.pth")
    conversion.convert(tmp_path / "a.pth", tmp_path / "made", heads=4, vocabulary=words)
    values = json.loads((tmp_path / "made" / "config.json").read_text())
    assert (values["n_head"], values["eos_token_id"], values["tie_word_embeddings"]) == (4, 299, True)
