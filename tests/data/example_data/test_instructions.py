"""The instruction items' shape, their splits, and that the test split is not in the training split under another name.

What counts as a near-duplicate is defined here. The test split asks in words that training never uses. In the recall
tasks it asks for facts that training items ask for too, in other words: what is measured is whether an instruction is
understood, not whether the fact is new. In the pattern tasks the sentence to rewrite is new as well.
"""

import re
from collections import Counter

Item = dict[str, str]
SPLITS = ("train", "validation", "test")
NEAR = 0.8  # Jaccard similarity of the prompts' word sets from which two items are near-duplicates


def words(text):
    return frozenset(re.findall(r"[a-z0-9]+", text.casefold()))


def prompt(item):
    """The item's question, without regard to case, punctuation and spacing."""
    return " ".join(re.findall(r"[a-z0-9]+", f"{item['instruction']} {item['input']}".casefold()))


def of(items, *splits):
    return [item for item in items if item["split"] in splits]


def test_items_are_in_shape_and_split_by_wording(items, asked):
    for item in items:
        assert list(item) == ["id", "category", "split", "instruction", "input", "output"]
        assert all(isinstance(value, str) and value == value.strip() for value in item.values())
        assert item["instruction"]
        assert item["output"]
        assert item["split"] in SPLITS
        assert re.fullmatch(r"[a-z_]+-\d{3}", item["id"])
        assert all(value.isascii() for value in item.values())
    counts = Counter(item["split"] for item in items)
    assert len(items) >= 900
    assert 60 <= counts["test"] <= 100
    assert 40 <= counts["validation"] <= 60
    kinds = {item["category"] for item in items}
    assert len(kinds) >= 14
    for split in SPLITS:
        assert {item["category"] for item in of(items, split)} == kinds
    for split in SPLITS:
        assert {item["category"] for item in of(items, split)[: len(kinds)]} == kinds
    assert len({item["id"] for item in items}) == len(items)
    assert len({prompt(item) for item in items}) == len(items)
    assert max(len(item["instruction"]) + len(item["input"]) + len(item["output"]) for item in items) < 200
    answers: dict[str, set[str]] = {}
    for item in items:
        answers.setdefault(prompt(item), set()).add(item["output"])
    assert all(len(outputs) == 1 for outputs in answers.values())
    for item in items:
        for split in SPLITS:
            assert len(asked(item, split)) == (split == item["split"]), (item, split)
    seen = [(item["id"], words(prompt(item))) for item in of(items, "train", "validation")]
    for item in of(items, "test"):
        mine = words(prompt(item))
        for other, theirs in seen:
            assert len(mine & theirs) < NEAR * len(mine | theirs), (item["id"], other)


def test_pattern_tasks_are_tested_on_inputs_found_nowhere_else(items, pretrain, table, asked):
    tasks = table("tasks")
    others = "\n".join(
        text
        for item in of(items, "train", "validation")
        for text in (item["instruction"], item["input"], item["output"])
    ).casefold()
    checked = 0
    for item in of(items, "test"):
        if tasks[item["id"].rpartition("-")[0]]["kind"] == "pattern":
            (slots,) = asked(item, "test")
            assert slots["a"].casefold() not in others, item["id"]
            assert slots["a"].casefold() not in pretrain.casefold(), item["id"]
            checked += 1
    assert checked >= 20


def test_recall_tasks_are_tested_on_facts_that_training_asks_for_in_other_words(items, table, asked):
    def fact(item):
        (slots,) = asked(item, item["split"])
        said = {re.sub(r"^an? ", "", value) for value in slots.values()}
        return (item["id"].rpartition("-")[0], item["output"], *sorted(said))

    known = Counter(fact(item) for item in of(items, "train"))
    tasks = table("tasks")
    for item in of(items, "test"):
        if tasks[item["id"].rpartition("-")[0]]["kind"] == "recall":
            assert known[fact(item)] >= 2, item["id"]
