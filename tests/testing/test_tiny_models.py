"""Tiny models: what transformers loads, the same for the same seed; nothing heavy before one is made."""

import subprocess
import sys

import pytest
import transformers

from judgekit.testing import save_model

CLASSES = {
    "llama": "LlamaForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "t5": "T5ForConditionalGeneration",
    "bart": "BartForConditionalGeneration",
    "spaced": "LlamaForCausalLM",
    "bert": "BertForMaskedLM",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_folder_is_what_transformers_loads(kind, tmp_path) -> None:
    folder = save_model(tmp_path, kind)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = getattr(transformers, CLASSES[kind]).from_pretrained(folder)
    assert model.config.architectures == [CLASSES[kind]]
    assert model.num_parameters() < 200_000
    assert max(tokenizer("the cat").input_ids) < model.config.vocab_size


def test_the_seed_decides_the_weights(tmp_path) -> None:
    first, again, other = (
        (save_model(tmp_path / str(at), "gpt2", seed) / "model.safetensors").read_bytes()
        for at, seed in enumerate((0, 0, 1))
    )
    assert first == again != other


def test_the_kit_is_light_until_a_model_is_made() -> None:
    code = (
        "import sys, judgekit.testing as kit\n[getattr(kit, name) for name in kit.__all__]\n"
        "print(sorted({'torch', 'transformers', 'tokenizers', 'numpy', 'pytest'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
