"""The book's fine-tuning data (chapter 7): its 1,100 items, its splits, and its batches under seed 123."""

import json

import pytest
import torch
from torch.utils.data import DataLoader

import judgekit
import judgekit.data
from book import by_hand, whole_text
from judgekit_gpt2 import data
from judgekit_gpt2.tokens import Tokenizer
from learnt import learnt_items

pytestmark = pytest.mark.shared
SPLITS = {"train": 935, "test": 110, "validation": 55}


@pytest.fixture(scope="module")
def tokenizer():
    try:
        return Tokenizer.gpt2()
    except judgekit.CheckpointError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def path(shared_data):
    return shared_data / "instructions" / "instruction-data.json"


@pytest.fixture(scope="module")
def items(path):
    return json.loads(path.read_text("utf-8"))


def _examples(path, split, tokenizer, **options):
    settings = {"style": "book", "mask_prompt": False, "context": 1024, **options}
    read = {key: settings.pop(key) for key in ("format", "mapping", "learn", "ignore_marks") if key in settings}
    return data.instruction_examples(learnt_items(path, split, **read), tokenizer, **settings)


@pytest.fixture(scope="module")
def training(path, tokenizer):
    return _examples(path, "train", tokenizer)


def _first_epoch(examples):
    return data.shuffled(examples, 8, torch.Generator().manual_seed(123), drop_last=True)


def test_prompt_and_response_have_the_tokens_of_the_books_one_text(path, items, tokenizer):
    """The book encodes prompt and response as one text. Ours are encoded apart: on all its items the ids are equal."""
    examples = {split: _examples(path, split, tokenizer) for split in SPLITS}
    assert {split: len(part) for split, part in examples.items()} == SPLITS
    ours = [example.ids for split in SPLITS for example in examples[split]]
    assert ours == [tokenizer.encode(whole_text(item)) for item in items]


PRINTED = """\
Below is an instruction that describes a task. Write a response that appropriately completes the request.

### Instruction:
Identify the correct spelling of the following word.

### Input:
Ocassion

### Response:
The correct spelling is 'Occasion.'"""


def test_the_rendering_that_the_book_prints(path):
    sample = judgekit.data.read_items(path)[50].sample
    spans = judgekit.data.render_training("book", sample)
    assert "".join(span.text for span in spans) == PRINTED
    assert [span.text for span in spans if span.learn] == [sample.reference]
    assert judgekit.data.render_prompt("book", sample) + sample.reference == PRINTED


@pytest.mark.parametrize("limit", [1024, 50])
def test_batches_are_those_of_torchs_loader_and_the_books_rule(items, training, tokenizer, limit):
    texts = [(tokenizer.encode(whole_text(item)), 0) for item in items[:935]]
    loader = DataLoader(texts, batch_size=8, shuffle=True, drop_last=True, collate_fn=list)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        expected = [by_hand(batch, tokenizer.end_of_text, limit) for batch in loader]
    batches = [data.collate(batch, tokenizer.end_of_text, limit) for batch in _first_epoch(training)]
    assert [(batch.inputs.tolist(), batch.targets.tolist()) for batch in batches] == expected
    assert len(batches) == 116
    lengths = [batch.inputs.shape[1] for batch in batches]
    assert lengths[:3] + lengths[-2:] == [min(length, limit) for length in (61, 76, 73, 74, 69)], "as the book prints"
