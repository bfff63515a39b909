"""Preference pairs as they stand in a file, and as they are learnt."""

import json

import pytest

import judgekit
import judgekit.data
from judgekit_gpt2 import preferences
from judgekit_gpt2.data import IGNORED
from judgekit_gpt2.tokens import Tokenizer

ITEM = {"instruction": "Sit.", "chosen": "The cat sat.", "rejected": "The dog did not sit on the mat."}


def _file(folder, *items, name="pairs.json"):
    path = folder / name
    path.write_text("\n".join(map(json.dumps, items)) if name.endswith("l") else json.dumps(items))
    return path


def _read(path, tokenizer, split="train", context=200, **options):
    return preferences.read_pairs(path, split, tokenizer, style="alpaca", context=context, **options)


@pytest.mark.parametrize("name", ["pairs.json", "pairs.jsonl"])
def test_a_pair_is_the_rendered_prompt_with_either_response(tmp_path, tokenizer, name):
    item = {**ITEM, "id": "a", "split": "train", "input": "mat", "output": "read by nobody"}
    (pair,) = _read(_file(tmp_path, item, name=name), tokenizer)
    prompt = judgekit.data.render_instruction("alpaca", judgekit.Sample(id="a", instruction="Sit.", input="mat"))
    for example, response in ((pair.chosen, ITEM["chosen"]), (pair.rejected, ITEM["rejected"])):
        assert tokenizer.decode(example.ids) == prompt + response
        assert example.ids[: example.masked] == tokenizer.encode(prompt), "prompts are encoded as in evaluation"
    assert pair.name == "a"
    assert len(pair) == len(pair.rejected.ids)
    assert pair.reference is None


@pytest.mark.parametrize("field", ["chosen", "rejected"])
def test_a_pair_needs_two_texts(tmp_path, tokenizer, field):
    whole = {**ITEM, "split": "train"}
    for value, problem in (
        (None, f"no '{field}'"),
        ("", ".* empty"),
        (" \n", ".* empty"),
        (["a"], ".* text"),
        (3, ".* text"),
    ):
        path = _file(tmp_path, whole, {**whole, field: value})
        with pytest.raises(judgekit.DataError, match=rf"pairs\.json:1: item 2: {problem}$"):
            _read(path, tokenizer)
    missing = {key: value for key, value in whole.items() if key != field}
    with pytest.raises(judgekit.DataError, match=rf"pairs\.jsonl:2: no '{field}'$"):
        _read(_file(tmp_path, whole, missing, name="pairs.jsonl"), tokenizer)


def test_equal_responses_are_an_error_or_left_out(tmp_path, tokenizer):
    equal = {**ITEM, "rejected": ITEM["chosen"], "id": "same", "split": "train"}
    path = _file(tmp_path, {**ITEM, "id": "a", "split": "train"}, equal)
    with pytest.raises(judgekit.DataError, match="item 2: 'chosen' and 'rejected' are the same; 'skip_equal: true'"):
        _read(path, tokenizer)
    assert [pair.name for pair in _read(path, tokenizer, skip_equal=True)] == ["a"]
    with pytest.raises(judgekit.DataError, match=r"pairs\.json: in the split 'train' every 'chosen' is the same"):
        _read(_file(tmp_path, equal), tokenizer, skip_equal=True)


def test_a_pair_must_fit_the_context_or_is_cut(tmp_path, tokenizer):
    path = _file(tmp_path, {**ITEM, "split": "train"})
    (pair,) = _read(path, tokenizer)
    prompt, shorter, longer = pair.chosen.masked, len(pair.chosen.ids), len(pair.rejected.ids)
    assert shorter < longer
    assert _read(path, tokenizer, context=longer) == [pair]
    with pytest.raises(
        judgekit.DataError,
        match=f"item 1: with 'rejected' {longer} tokens are more than the context of {longer - 1}; 'truncate: true'",
    ):
        _read(path, tokenizer, context=longer - 1)
    (cut,) = _read(path, tokenizer, context=shorter, truncate=True)
    batch = preferences.collate([cut], tokenizer.end_of_text, limit=shorter)
    assert batch.inputs.shape == batch.targets.shape == (1, 2, shorter)
    assert (batch.targets != IGNORED).sum(-1).tolist() == [[shorter - prompt + 1] * 2]
    with pytest.raises(judgekit.DataError, match=f"item 1: the prompt alone fills the context of {prompt}"):
        _read(path, tokenizer, context=prompt, truncate=True)


def test_responses_that_differ_only_in_what_is_cut_off_are_equal(tmp_path, tokenizer):
    path = _file(tmp_path, {**ITEM, "split": "train", "rejected": ITEM["chosen"] + " And so on."})
    (pair,) = _read(path, tokenizer)
    same = len(pair.chosen.ids)
    assert pair.rejected.ids[:same] == pair.chosen.ids
    # With a context of `same`, one has to end where the other has to go on.
    assert len(_read(path, tokenizer, context=same, truncate=True)) == 1
    batch = preferences.collate([pair], tokenizer.end_of_text, limit=same)
    assert (batch.targets[0, 0] != batch.targets[0, 1]).tolist() == [False] * (same - 1) + [True]
    with pytest.raises(judgekit.DataError, match=f"are the same within the context of {same - 1}; 'skip_equal: true'"):
        _read(path, tokenizer, context=same - 1, truncate=True)


@pytest.mark.shared
def test_the_books_preferences(shared_data):
    """1,100 pairs, of which six (all in the train split) have two equal responses."""
    path = shared_data / "instructions" / "instruction-data-with-preference.json"
    tokenizer = Tokenizer.gpt2()
    with pytest.raises(judgekit.DataError, match="item 123: 'chosen' and 'rejected' are the same"):
        _read(path, tokenizer, context=1024)
    counts = {}
    for split in ("train", "test", "validation"):
        pairs = _read(path, tokenizer, split, context=1024, skip_equal=split == "train")
        assert len({pair.name for pair in pairs}) == len(pairs)
        counts[split] = len(pairs)
    assert counts == {"train": 935 - 6, "test": 110, "validation": 55}
