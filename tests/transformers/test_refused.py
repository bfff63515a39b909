"""What no call could be answered with is found before the first one, and said in one line with its place."""

import json
import shutil
import socket
import subprocess
import sys

import pytest

from asking_transformers import asked, backend_of, folders_of
from judgekit import CheckpointError, ConfigError, JudgekitError, build_options
from judgekit.testing import tiny_models
from judgekit_transformers import checkpoint
from judgekit_transformers.backend import TransformersOptions

REQUEST = asked("the cat")


def only_problem(backend):
    (problem,) = backend.check()
    assert "\n" not in problem.message
    return problem


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return folders_of(tmp_path_factory, "llama", "gpt2", "t5")


@pytest.fixture
def copied(whole, tmp_path):
    def copy(kind):
        return shutil.copytree(whole[kind], tmp_path / kind)

    return copy


def changed(path, **changes):
    settings = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in settings.items() if value is not None}))


def test_an_encoder_cannot_write(tmp_path):
    problem = only_problem(backend_of(tiny_models.bert(tmp_path)))
    assert problem.message.startswith(f"{tmp_path}: BertForMaskedLM is an encoder: it reads texts and cannot write")
    assert problem.exit_code == 2
    with pytest.raises(CheckpointError, match="is an encoder"):
        backend_of(tmp_path).generate([REQUEST])


@pytest.mark.parametrize(
    ("kind", "wrong", "words"), [("llama", "seq2seq", "no encoder"), ("t5", "causal", "an encoder and a decoder")]
)
def test_a_model_of_the_other_kind(whole, kind, wrong, words):
    message = only_problem(backend_of(whole[kind], kind=wrong)).message
    assert message.endswith(f"has {words}, which is not kind: {wrong}")
    right = "causal" if kind == "llama" else "seq2seq"
    assert backend_of(whole[kind], kind=right).check() == []
    assert backend_of(whole[kind], kind=right).identity() == backend_of(whole[kind]).identity()


def test_a_token_that_the_model_does_not_know_fails_its_request_alone(copied):
    """An added token outside of the model's vocabulary is common (for padding) and harmless until it is used."""
    folder = copied("llama")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    extra = tokenizer["added_tokens"][0] | {"id": 264, "content": "<extra>"}
    tokenizer["added_tokens"].append(extra)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    backend = backend_of(folder)
    assert backend.check() == []
    good, bad = backend.generate([asked("the cat", max_new_tokens=3), asked("an <extra> one")])
    assert good.status == "truncated"
    assert (bad.status, bad.detail) == (
        "error",
        "the tokenizer's '<extra>' is token 264, and the model knows 264 tokens",
    )


def _written(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def _in_parts(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))


def _configured(**changes):
    return lambda folder: changed(folder / "config.json", **changes)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
AMISS = {
    "another head": (_configured(architectures=["GPT2ForSequenceClassification"]), "", "no language-model head"),
    "another model's tokenizer": (_configured(vocab_size=100), "", "264 tokens and the model knows 100"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "", "no tokenizer (tokenizer.json)"),
    "a pointer": (_written("model.safetensors", POINTER), "model.safetensors", "Git LFS pointer"),
    "no weights": (_written("model.safetensors", b""), "model.safetensors", "truncated or damaged"),
    "other bytes": (_written("model.safetensors", b"\xff" * 100), "model.safetensors", "truncated or damaged"),
    "no header": (_written("model.safetensors", b"\x02\0\0\0\0\0\0\0[]"), "model.safetensors", "truncated or damaged"),
    "no text": (
        _written("model.safetensors", b"\x04\0\0\0\0\0\0\0\xff\xfe\xfd\xfc"),
        "model.safetensors",
        "truncated or",
    ),
    "a part is missing": (_in_parts, "", "1 of 2 weight files are missing: model-00002-of-00002.safetensors"),
    **{
        name: (_written(name, b"{"), name, "not to be read as JSON")
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json")
    },
}


@pytest.mark.parametrize("fault", AMISS)
def test_what_is_amiss_in_a_folder_is_found_in_preflight_with_its_place(copied, fault):
    inflict, name, words = AMISS[fault]
    folder = copied("gpt2")
    inflict(folder)
    message = only_problem(backend_of(folder)).message
    assert message.startswith(str(folder / name))
    assert words in message


def test_an_architecture_that_transformers_does_not_know(copied):
    folder = copied("gpt2")
    changed(folder / "config.json", model_type="shiny", architectures=["ShinyForCausalLM"])
    with pytest.raises(CheckpointError, match="transformers cannot load it") as error:
        backend_of(folder).generate([REQUEST])
    assert "\n" not in str(error.value)


def test_code_beside_the_weights_is_never_run(copied, tmp_path):
    folder, canary = copied("gpt2"), tmp_path / "ran"
    changed(folder / "config.json", model_type="shiny", auto_map={"AutoConfig": "code.Config"})
    (folder / "code.py").write_text(f"open({str(canary)!r}, 'w')\nclass Config: pass\n")
    with pytest.raises(CheckpointError, match="which judgekit never runs"):
        backend_of(folder).generate([REQUEST])
    assert not canary.exists()


def test_a_lora_adapter_alone(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "merge it into its base model" in only_problem(backend_of(tmp_path)).message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "float8"}, "dtype"),
        ({"kind": "encoder"}, "kind"),
        ({"batch": 0}, "batch"),
        ({"max_length": 1}, "max_length"),
        ({"device": "tpu"}, "device"),
        ({"chat": "perhaps"}, "chat"),
        ({"chat_template": "auto"}, "chat_template"),
        ({"trust_remote_code": True}, "trust_remote_code"),
    ],
)
def test_options_that_mean_nothing(options, words):
    with pytest.raises(ConfigError, match=words):
        build_options(TransformersOptions, options, "models.mine")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "cuda:7"}, "device 'cuda:7' cannot be used: "),
        ({"chat": True}, "chat: true, and the model has no chat template"),
        ({"revision": "main"}, "is for hub ids"),
    ],
)
def test_options_that_this_model_or_machine_cannot_serve(whole, options, words):
    assert words in only_problem(backend_of(whole["gpt2"], **options)).message
    with pytest.raises(JudgekitError, match=words.partition(":")[0]):
        backend_of(whole["gpt2"], **options).generate([REQUEST])


# --- hub ids ---


@pytest.fixture
def hub(whole, tmp_path, monkeypatch):
    """A hub's cache with one model, and a network that must not be asked."""
    import huggingface_hub.constants

    cache = tmp_path / "hub"
    commit = "0123456789abcdef0123456789abcdef01234567"
    model = cache / "models--makers--tiny"
    shutil.copytree(whole["gpt2"], model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))

    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return commit


def test_a_hub_id_means_the_snapshot_in_the_cache(hub, whole):
    backend = backend_of("makers/tiny")
    assert backend.check() == []
    (reply,) = backend.generate([asked("the cat", max_new_tokens=3, temperature=0)])
    assert backend_of(whole["gpt2"]).generate([asked("the cat", max_new_tokens=3, temperature=0)]) == [reply]
    assert backend.identity() == backend_of("makers/tiny", revision=hub).identity()
    assert backend.identity() == backend_of(whole["gpt2"]).identity(), "what answers is the content"


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("makers/other", {}, "has no makers/other; judgekit downloads no models itself: hf download makers/other"),
        ("makers/tiny", {"revision": "v9"}, "at revision 'v9'; judgekit downloads no models itself: hf download"),
        ("gpt99", {}, "hf download gpt99"),
        ("a/folder/deep", {}, "no model can be read"),
        ("makers/tiny.gguf", {}, "no model can be read"),
    ],
)
def test_a_model_that_is_nowhere_and_no_network_is_asked(hub, model, options, words):
    problem = only_problem(backend_of(model, **options))
    assert words in problem.message
    assert problem.exit_code == 2


# --- low precision ---


def test_in_bfloat16_answers_are_written_one_at_a_time_unless_a_batch_is_asked_for(whole):
    alone, asked_for = (
        backend_of(whole["llama"], dtype="bfloat16"),
        backend_of(whole["llama"], dtype="bfloat16", batch=4),
    )
    assert (alone.max_batch, asked_for.max_batch, backend_of(whole["llama"]).max_batch) == (1, 4, 8)
    assert alone.check() == []
    problem = only_problem(asked_for)
    assert problem.severity == "warning"
    assert "near tie" in problem.message
    assert alone.identity() != asked_for.identity()
    assert backend_of(whole["llama"], batch=4).identity() == backend_of(whole["llama"]).identity()
    requests = [asked("word " * n, max_new_tokens=5) for n in range(1, 5)]
    assert [reply.status for reply in asked_for.generate(requests)] == ["truncated"] * 4
    assert asked_for._loaded.margin == 0


def test_bfloat16_is_near_float32_and_keeps_positions_exact(whole):
    import torch

    if torch.cpu._is_amx_tile_supported() and torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2"):
        pytest.skip("torch is held to fewer instructions than the processor has: its attention refuses bfloat16")
    low, full = backend_of(whole["llama"], dtype="bfloat16"), backend_of(whole["llama"])
    one, other = (backend.loglikelihood([asked("x" * 100, " the cat in")])[0] for backend in (low, full))
    assert one.continuations[0].token_logprobs == pytest.approx(other.continuations[0].token_logprobs, abs=0.15)
    assert one != other
    assert low._loaded.model.model.rotary_emb.inv_freq.dtype == torch.float32
    assert low._loaded.model.dtype == torch.bfloat16


def test_numbers_that_overflow_make_no_answer(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tiny_models.gpt2(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights["transformer.ln_f.weight"] *= 1e6
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    backend = backend_of(folder, dtype="float16")
    (written,), (scored,) = backend.generate([REQUEST]), backend.loglikelihood([asked("the cat", " the")])
    for reply in (written, scored):
        assert reply.status == "error"
        assert "overflow in float16" in reply.detail
    (full,) = backend_of(folder).loglikelihood([asked("the cat", " the")])
    assert full.status == "complete"


def test_doctor_says_what_the_model_is_and_can(whole):
    command = [sys.executable, "-m", "judgekit", "doctor", "transformers", "--set"]
    out = subprocess.run([*command, f"model={whole['t5']}"], capture_output=True, text=True, check=True).stdout
    assert "T5ForConditionalGeneration (an encoder and a decoder)" in out
    assert "up to 512 tokens" in out
    assert "as plain text" in out
    assert "transformers: nothing amiss" in out
    assert "loglikelihood, logprobs, seed" in out
    done = subprocess.run([*command, "model=/nowhere/at/all"], capture_output=True, text=True)
    assert done.returncode == 4
    assert "/nowhere/at/all: no model can be read" in done.stdout


def test_rest_frees_the_model_and_it_comes_again(whole):
    import gc

    from judgekit_transformers import loading

    backend = backend_of(whole["t5"])
    (reply,) = backend.generate([asked("the cat", max_new_tokens=3)])
    backend.rest()
    gc.collect()
    assert checkpoint.sha256(whole["t5"]) not in {key[0] for key in loading._loaded}
    assert backend.generate([asked("the cat", max_new_tokens=3)]) == [reply]
    backend.close()
