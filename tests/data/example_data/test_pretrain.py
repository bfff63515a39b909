"""The pretraining text: its size and form, that it states every fact, and that it holds no test item's prompt."""

import re

Item = dict[str, str]


def normalised(text):
    return " ".join(re.findall(r"[a-z0-9]+", text.casefold()))


def test_size_separators_and_repeats(pretrain):
    assert 300_000 <= len(pretrain) <= 800_000
    assert pretrain.isascii()
    assert pretrain.endswith("\n<|endoftext|>\n")
    documents = pretrain.split("\n<|endoftext|>\n")[:-1]
    assert len(documents) >= 1_000
    assert all(document.strip() == document != "" and "<|" not in document for document in documents)
    assert len(set(documents)) == len(documents)
    assert not re.search(r"###|instruction|response|complete the request", pretrain, re.IGNORECASE)


def test_no_prompt_of_a_test_item_occurs(pretrain, items):
    text = normalised(pretrain)
    for item in items:
        if item["split"] == "test":
            assert normalised(item["instruction"]) not in text, item["id"]
            assert normalised(f"{item['instruction']} {item['input']}") not in text, item["id"]


def test_every_fact_is_stated(pretrain, table):
    """Each fact is there somewhere with its two sides at most sixty characters apart."""
    by_word: dict[str, list[str]] = {}
    for document in pretrain.casefold().split("<|endoftext|>"):
        for word in set(re.findall(r"\w+", document)):
            by_word.setdefault(word, []).append(document)
    facts = [(a, b) for a, b in table("antonyms")] + [(a, b) for a, b in table("synonyms")]
    facts += list(table("plurals").items()) + list(table("past_tenses").items()) + list(table("spelling").items())
    facts += [(country, city) for country, (city, _) in table("capitals").items()]
    facts += [(name, symbol) for name, (symbol, _) in table("elements").items()]
    facts += [(job, does) for job, does in table("occupations").items()]
    for pair in facts:
        left, right = (re.escape(side.casefold()) for side in pair)
        together = re.compile(rf"\b{left}\b.{{0,60}}\b{right}\b|\b{right}\b.{{0,60}}\b{left}\b")
        assert any(together.search(document) for document in by_word[pair[0].casefold().split()[-1]]), pair
