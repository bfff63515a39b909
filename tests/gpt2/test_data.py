"""What a model is trained on, and which targets count."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import judgekit
import judgekit.data
from book import by_hand
from judgekit_gpt2 import data
from judgekit_gpt2.data import IGNORED, Example
from learnt import learnt_items

END = 50256


def test_collate_on_the_books_case():
    """The three texts of the book's chapter 7: one end of text is learnt after each, the other pads are not."""
    batch = data.collate([Example([0, 1, 2, 3, 4]), Example([5, 6]), Example([7, 8, 9])], END)
    assert batch.inputs.tolist() == [[0, 1, 2, 3, 4], [5, 6, END, END, END], [7, 8, 9, END, END]]
    assert batch.targets.tolist() == [
        [1, 2, 3, 4, END],
        [6, END, IGNORED, IGNORED, IGNORED],
        [8, 9, END, IGNORED, IGNORED],
    ]


TEXTS = st.lists(st.tuples(st.lists(st.integers(0, END - 1), max_size=6), st.integers(0, 6)), min_size=1, max_size=4)


@given(TEXTS, st.none() | st.integers(1, 8))
def test_collate_is_the_books_rule_on_any_texts(texts, limit):
    """With and without the mask of exercise 7.2, and cut to any length."""
    batch = data.collate([Example(ids, masked) for ids, masked in texts], END, limit)
    inputs, targets = by_hand(texts, END, limit)
    assert batch.inputs.tolist() == inputs
    assert batch.targets.tolist() == targets
    assert batch.weight == sum(target != IGNORED for row in targets for target in row)
    assert batch.inputs.dtype == batch.targets.dtype == torch.long


def test_parts_of_a_batch_are_the_batch():
    batch = data.collate([Example([row, 9][: 1 + row % 2], name=str(row)) for row in range(5)], END)
    parts = [batch.part(rank, 2) for rank in range(2)]
    assert [part.names for part in parts] == [("0", "2", "4"), ("1", "3")]
    assert [part.inputs[:, 0].tolist() for part in parts] == [[0, 2, 4], [1, 3]]
    assert sum(part.weight for part in parts) == batch.weight
    assert all(part.targets.shape[1] == 2 for part in parts), "no part is cut to its own longest row"
    alone = batch.part(5, 6)
    assert alone.inputs.shape == alone.targets.shape == (0, 2)
    assert (alone.names, alone.weight) == ((), 0)


@pytest.mark.parametrize("count", [1, 7, 8, 935])
@pytest.mark.parametrize("drop_last", [True, False])
def test_shuffled_epochs_are_those_of_a_data_loader(count, drop_last):
    """Of the first epoch after seeding, and of later ones too where nothing else draws in between."""
    examples = [Example([number]) for number in range(count)]
    generator = torch.Generator().manual_seed(123)
    loader = DataLoader(examples, batch_size=8, shuffle=True, drop_last=drop_last, collate_fn=list)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        for _ in range(3):
            assert data.shuffled(examples, 8, generator, drop_last) == list(loader)


def test_no_examples_make_no_batches():
    generator = torch.Generator().manual_seed(0)
    assert data.shuffled([], 8, generator, drop_last=False) == []
    assert data.bucketed([], 8, generator) == []


def test_buckets_hold_every_example_once_with_little_padding():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 60, (200,), generator=generator).tolist()
    examples = [Example([0] * length, name=str(number)) for number, length in enumerate(lengths)]
    batches = data.bucketed(examples, 8, generator)
    assert sorted(example.name for batch in batches for example in batch) == sorted(map(str, range(200)))
    assert all(len(batch) <= 8 for batch in batches)
    padded = sum(len(batch) * max(len(example.ids) for example in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    one, same, other = (data.bucketed(examples, 8, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert one == same != other
    full = data.bucketed(examples[:21], 4, generator, drop_last=True)
    assert [len(batch) for batch in full] == [4] * 5, "the smaller one is left out"
    assert len({example.name for batch in full for example in batch}) == 20


@pytest.fixture
def instructions(tmp_path):
    items = [
        {"id": "a", "split": "train", "instruction": "Name the capital of France.", "output": "Paris is the capital."},
        {"id": "c", "split": "validation", "instruction": "Nothing"},
    ]
    path = tmp_path / "instructions.json"
    path.write_text(json.dumps(items))
    return path


def _examples(path, split, tokenizer, context=200, **options):
    settings = {"style": "alpaca", "mask_prompt": True, **options}
    read = {key: settings.pop(key) for key in ("format", "mapping", "learn", "ignore_marks") if key in settings}
    return data.instruction_examples(learnt_items(path, split, **read), tokenizer, context=context, **settings)


def test_examples_are_the_rendered_prompt_and_the_response(instructions, tokenizer):
    (example,) = _examples(instructions, "train", tokenizer)
    sample = judgekit.Sample(id="a", instruction="Name the capital of France.")
    prompt = judgekit.data.render_instruction("alpaca", sample)
    assert tokenizer.decode(example.ids) == prompt + "Paris is the capital."
    assert tokenizer.decode(example.ids[: example.masked]) == prompt
    assert example.ids[: example.masked] == tokenizer.encode(prompt), "prompts are encoded as in evaluation"
    assert example.name == "a"
    assert _examples(instructions, "train", tokenizer, mask_prompt=False)[0].masked == 0


def test_examples_without_a_response_or_too_long_are_errors_or_cut(instructions, tokenizer):
    with pytest.raises(judgekit.DataError, match="item 2: no output to learn from"):
        _examples(instructions, "validation", tokenizer)
    (example,) = _examples(instructions, "train", tokenizer)
    length = len(example.ids)
    assert _examples(instructions, "train", tokenizer, context=length) == [example]
    with pytest.raises(judgekit.DataError, match=f"item 1: {length} tokens are more than the context of {length - 1}"):
        _examples(instructions, "train", tokenizer, context=length - 1)
    cut = _examples(instructions, "train", tokenizer, context=length - 1, truncate=True)
    assert cut == [example]
    assert data.collate(cut, tokenizer.end_of_text, length - 1).inputs.shape == (1, length - 1)
    with pytest.raises(judgekit.DataError, match="item 1: the prompt alone fills the context of 10"):
        _examples(instructions, "train", tokenizer, context=10, truncate=True)
