"""What no call could be answered with is found before the first one, and said in one line with its place."""

import json
import shutil
import socket
import subprocess
import sys

import pytest

from judgekit import CheckpointError, ConfigError, Message, Request, Sampling, UsageError, build_options
from judgekit.testing import tiny_llama, tiny_models
from judgekit_transformers import checkpoint
from judgekit_transformers.backend import TransformersBackend, TransformersOptions


def backend_of(path, **options):
    return TransformersBackend(TransformersOptions(model=str(path), **options))


def request(*continuations, prompt="the cat", **sampling):
    message = Message(role="user", content=prompt)
    return Request(messages=(message,), continuations=continuations, sampling=Sampling(**sampling))


def only_problem(backend):
    (problem,) = backend.check()
    assert "\n" not in problem.message
    return problem


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return {
        "llama": tiny_llama.folder(tmp_path_factory.mktemp("llama")),
        "gpt2": tiny_models.gpt2(tmp_path_factory.mktemp("gpt2")),
        "t5": tiny_models.t5(tmp_path_factory.mktemp("t5")),
    }


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
        backend_of(tmp_path).generate([request()])


def test_a_model_with_another_head_cannot_write(copied):
    folder = copied("llama")
    changed(folder / "config.json", architectures=["LlamaForSequenceClassification"])
    assert "has no language-model head" in only_problem(backend_of(folder)).message


@pytest.mark.parametrize(
    ("kind", "wrong", "words"), [("llama", "seq2seq", "no encoder"), ("t5", "causal", "an encoder and a decoder")]
)
def test_a_model_of_the_other_kind(whole, kind, wrong, words):
    message = only_problem(backend_of(whole[kind], kind=wrong)).message
    assert message.endswith(f"has {words}, which is not kind: {wrong}")
    right = "causal" if kind == "llama" else "seq2seq"
    assert backend_of(whole[kind], kind=right).check() == []
    assert backend_of(whole[kind], kind=right).identity() == backend_of(whole[kind]).identity()


def test_a_tokenizer_of_another_model(copied):
    folder = copied("gpt2")
    changed(folder / "config.json", vocab_size=100)
    message = only_problem(backend_of(folder)).message
    assert "the tokenizer has 264 tokens and the model knows 100: it is not this model's tokenizer" in message


def test_a_token_that_the_model_does_not_know_fails_its_request_alone(copied):
    """An added token outside of the model's vocabulary is common (for padding) and harmless until it is used."""
    folder = copied("llama")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    extra = tokenizer["added_tokens"][0] | {"id": 264, "content": "<extra>"}
    tokenizer["added_tokens"].append(extra)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    backend = backend_of(folder)
    assert backend.check() == []
    good, bad = backend.generate([request(max_new_tokens=3), request(prompt="an <extra> one")])
    assert good.status == "truncated"
    assert (bad.status, bad.detail) == (
        "error",
        "the tokenizer's '<extra>' is token 264, and the model knows 264 tokens",
    )


def test_no_tokenizer(copied):
    folder = copied("t5")
    (folder / "tokenizer.json").unlink()
    assert only_problem(backend_of(folder)).message == f"{folder}: it has no tokenizer (tokenizer.json)"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"", "truncated or damaged"),
        (b"\xff" * 100, "truncated or damaged"),
        (b"\x02\0\0\0\0\0\0\0[]", "truncated or damaged"),
        (b"\x04\0\0\0\0\0\0\0\xff\xfe\xfd\xfc", "truncated or damaged"),
    ],
)
def test_damaged_weights_are_found_in_preflight(copied, content, words):
    folder = copied("gpt2")
    (folder / "model.safetensors").write_bytes(content)
    message = only_problem(backend_of(folder)).message
    assert words in message
    assert str(folder / "model.safetensors") in message


def test_a_part_of_the_weights_is_missing(copied):
    folder = copied("gpt2")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    message = only_problem(backend_of(folder)).message
    assert "1 of 2 weight files are missing: model-00002-of-00002.safetensors" in message


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_json_file(copied, name):
    folder = copied("gpt2")
    (folder / name).write_text("{")
    message = only_problem(backend_of(folder)).message
    assert message.startswith(f"{folder / name}: not to be read as JSON")


def test_an_architecture_that_transformers_does_not_know(copied):
    folder = copied("gpt2")
    changed(folder / "config.json", model_type="shiny", architectures=["ShinyForCausalLM"])
    with pytest.raises(CheckpointError, match="transformers cannot load it") as error:
        backend_of(folder).generate([request()])
    assert "\n" not in str(error.value)


def test_code_beside_the_weights_is_never_run(copied, tmp_path):
    folder, canary = copied("gpt2"), tmp_path / "ran"
    changed(folder / "config.json", model_type="shiny", auto_map={"AutoConfig": "code.Config"})
    (folder / "code.py").write_text(f"open({str(canary)!r}, 'w')\nclass Config: pass\n")
    with pytest.raises(CheckpointError, match="which judgekit never runs"):
        backend_of(folder).generate([request()])
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


def test_a_device_that_is_not_there(whole):
    problem = only_problem(backend_of(whole["gpt2"], device="cuda:7"))
    assert problem.message.startswith("device 'cuda:7' cannot be used: ")
    with pytest.raises(UsageError, match="cannot be used"):
        backend_of(whole["gpt2"], device="cuda:7").generate([request()])


def test_a_chat_that_the_model_has_no_template_for(whole):
    problem = only_problem(backend_of(whole["gpt2"], chat=True))
    assert problem.message.endswith("chat: true, and the model has no chat template; chat: auto asks in plain text")


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
    (reply,) = backend.generate([request(max_new_tokens=3, temperature=0)])
    assert backend_of(whole["gpt2"]).generate([request(max_new_tokens=3, temperature=0)]) == [reply]
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


def test_a_revision_of_a_folder_is_refused(whole):
    assert "is for hub ids" in only_problem(backend_of(whole["gpt2"], revision="main")).message


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
    requests = [request(prompt="word " * n, max_new_tokens=5) for n in range(1, 5)]
    assert [reply.status for reply in asked_for.generate(requests)] == ["truncated"] * 4
    assert asked_for._loaded.margin == 0


def test_bfloat16_is_near_float32_and_keeps_positions_exact(whole):
    import torch

    low, full = backend_of(whole["llama"], dtype="bfloat16"), backend_of(whole["llama"])
    one, other = (backend.loglikelihood([request(" the cat in", prompt="x" * 100)])[0] for backend in (low, full))
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
    (written,), (scored,) = backend.generate([request()]), backend.loglikelihood([request(" the")])
    for reply in (written, scored):
        assert reply.status == "error"
        assert "overflow in float16" in reply.detail
    (full,) = backend_of(folder).loglikelihood([request(" the")])
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
    (reply,) = backend.generate([request(max_new_tokens=3)])
    backend.rest()
    gc.collect()
    assert checkpoint.sha256(whole["t5"]) not in {key[0] for key in loading._loaded}
    assert backend.generate([request(max_new_tokens=3)]) == [reply]
    backend.close()
