"""Small GPT-2s with random weights, as `transformers` writes them and as we do."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config as ReferenceConfig
from transformers import GPT2LMHeadModel

from judgekit_gpt2 import bpe, weights
from judgekit_gpt2.config import GPT2Config
from judgekit_gpt2.model import GPT2
from judgekit_gpt2.tokens import Tokenizer

TEXT = (
    "The cat sat on the mat. The dog sat on the log. What is the capital of France? Paris is the capital.\n"
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n"
)


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    yield
    torch.set_num_threads(before)


def _reference(**sizes: int) -> GPT2LMHeadModel:
    """A reference model whose weights are large enough for attention, biases and logits to matter."""
    defaults = {"vocab_size": 300, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
    torch.manual_seed(1)
    model = GPT2LMHeadModel(ReferenceConfig(**defaults | sizes, bos_token_id=299, eos_token_id=299)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "ln_" in name and name.endswith("weight") else 0.0
            scale = (3.0 if "wte" in name else 0.8) / model.config.n_embd**0.5
            parameter.copy_(centre + torch.randn_like(parameter) * scale)
    return model


@pytest.fixture(scope="package")
def make_reference() -> Callable[..., GPT2LMHeadModel]:
    return _reference


@pytest.fixture(scope="package")
def reference() -> GPT2LMHeadModel:
    return _reference()


@pytest.fixture(scope="package")
def tokenizer() -> Tokenizer:
    return bpe.train([TEXT], 300)


@pytest.fixture(scope="package")
def reference_folder(reference: GPT2LMHeadModel, tokenizer: Tokenizer, tmp_path_factory) -> Path:
    """A checkpoint written by `transformers`, with a vocabulary of ours."""
    folder = tmp_path_factory.mktemp("reference")
    reference.save_pretrained(folder)
    tokenizer.save(folder)
    return folder


@pytest.fixture
def folder(reference_folder, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(reference_folder, tmp_path / "checkpoint"))


@pytest.fixture(scope="package")
def model(reference_folder: Path) -> GPT2:
    """Ours, with the reference model's weights."""
    return weights.load(reference_folder)[0]


@pytest.fixture(scope="package")
def naive(reference: GPT2LMHeadModel) -> Callable[[list[int], list[int]], list[float]]:
    """log P of each token of a continuation, from one forward pass of the reference over prompt and continuation."""

    def compute(prompt: list[int], continuation: list[int]) -> list[float]:
        with torch.inference_mode():
            table = reference(torch.tensor([[*prompt, *continuation]])).logits[0].log_softmax(-1)
        return [table[len(prompt) - 1 + at, token].item() for at, token in enumerate(continuation)]

    return compute


@pytest.fixture
def fresh(tokenizer: Tokenizer) -> GPT2:
    """An untrained model with 300 tokens."""
    untrained = GPT2(GPT2Config(vocabulary=tokenizer.size, context=64, width=32, layers=2, heads=4, dropout=0.1))
    untrained.initialise(torch.Generator().manual_seed(3))
    return untrained
