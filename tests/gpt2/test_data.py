"""What a model is trained on, and which targets count."""

import json

import pytest
import torch

import judgekit
from judgekit_gpt2 import data
from judgekit_gpt2.data import IGNORED, Example

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


def test_collate_masks_the_prompt():
    """Of five tokens three are the prompt: what is learnt is the two of the response and the end of text."""
    batch = data.collate([Example([10, 11, 12, 20, 21], masked=3), Example([10, 11], masked=1)], END)
    assert batch.targets.tolist() == [[IGNORED, IGNORED, 20, 21, END], [11, END, IGNORED, IGNORED, IGNORED]]


def test_collate_cuts_rows_to_a_limit():
    batch = data.collate([Example([0, 1, 2, 3, 4]), Example([5, 6])], END, limit=3)
    assert batch.inputs.tolist() == [[0, 1, 2], [5, 6, END]]
    assert batch.targets.tolist() == [[1, 2, 3], [6, END, IGNORED]]


def test_buckets_hold_every_example_once_with_little_padding():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 60, (200,), generator=generator).tolist()
    examples = [Example([0] * length, name=str(number)) for number, length in enumerate(lengths)]
    batches = data.bucketed(examples, 8, generator)
    assert sorted(example.name for batch in batches for example in batch) == sorted(map(str, range(200)))
    assert all(len(batch) <= 8 for batch in batches)
    padded = sum(len(batch) * max(len(example.ids) for example in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    again = data.bucketed(examples, 8, torch.Generator().manual_seed(1))
    assert [[e.name for e in batch] for batch in again] != [[e.name for e in batch] for batch in batches]


@pytest.fixture
def instructions(tmp_path):
    items = [
        {"id": "a", "split": "train", "instruction": "Name the capital of France.", "output": "Paris is the capital."},
        {"id": "b", "split": "test", "instruction": "Sit.", "input": "mat", "output": "The cat <|endoftext|> sat"},
        {"id": "c", "split": "validation", "instruction": "Nothing"},
    ]
    path = tmp_path / "instructions.json"
    path.write_text(json.dumps(items))
    return path


def _examples(path, split, tokenizer, context=200, **options):
    settings = {"style": "alpaca", "mask_prompt": True, **options}
    return data.instruction_examples(path, split, tokenizer, context=context, **settings)


def test_examples_are_the_rendered_prompt_and_the_response(instructions, tokenizer):
    (example,) = _examples(instructions, "train", tokenizer)
    sample = judgekit.Sample(id="a", instruction="Name the capital of France.")
    prompt = judgekit.render_instruction("alpaca", sample)
    assert tokenizer.decode(example.ids) == prompt + "Paris is the capital."
    assert tokenizer.decode(example.ids[: example.masked]) == prompt
    assert example.ids[: example.masked] == tokenizer.encode(prompt), "prompts are encoded as in evaluation"
    assert example.name == "a"
    assert _examples(instructions, "train", tokenizer, mask_prompt=False)[0].masked == 0


def test_a_special_token_in_the_data_is_plain_text(instructions, tokenizer):
    (example,) = _examples(instructions, "test", tokenizer)
    assert tokenizer.end_of_text not in example.ids
    batch = data.collate([example], tokenizer.end_of_text)
    assert (batch.targets == tokenizer.end_of_text).sum() == 1


def test_examples_without_a_response_or_too_long_are_errors(instructions, tokenizer):
    with pytest.raises(judgekit.DataError, match="item 3: no 'output' to learn from"):
        _examples(instructions, "validation", tokenizer)
    length = len(_examples(instructions, "train", tokenizer)[0].ids)
    assert _examples(instructions, "train", tokenizer, context=length)
    with pytest.raises(judgekit.DataError, match=f"item 1: {length} tokens are more than the context of {length - 1}"):
        _examples(instructions, "train", tokenizer, context=length - 1)
    assert _examples(instructions, "train", tokenizer, context=length - 1, truncate=True)
    with pytest.raises(judgekit.DataError, match="the prompt alone fills the context of 10"):
        _examples(instructions, "train", tokenizer, context=10, truncate=True)


def test_documents_are_set_apart_by_lines(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n<|endoftext|>\nthree <|endoftext|> four\n<|endoftext|>\n")
    (tmp_path / "b.txt").write_text("five")
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    assert data.read_documents(paths) == ["one\ntwo", "three <|endoftext|> four", "five"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "is empty"), (b"\n<|endoftext|>\n\n", "is empty"), (b"a\xff", "not UTF-8")],
)
def test_bad_text_files_are_errors(tmp_path, content, message):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(judgekit.DataError, match=f"text.txt: {message}"):
        data.read_documents([path])


def test_packing_makes_every_token_a_target_once():
    documents = [torch.tensor([1, 2, 3, 0]), torch.tensor([4, 0]), torch.tensor([5, 6, 7, 0])]
    rows = data.packed(documents, 3, None)
    assert rows.tolist() == [[1, 2, 3, 0], [0, 4, 0, 5], [5, 6, 7, 0]]
    (batch,) = data.packed_batches(rows, 4, None)
    assert batch.targets.flatten().tolist() == [2, 3, 0, 4, 0, 5, 6, 7, 0]
    assert batch.inputs.flatten().tolist() == [1, 2, 3, 0, 4, 0, 5, 6, 7]
    assert data.packed(documents, 20, None).shape == (0, 21)
    shuffled = data.packed(documents, 3, torch.Generator().manual_seed(2))
    assert shuffled.tolist() != rows.tolist()
