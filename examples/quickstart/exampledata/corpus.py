"""The pretraining text: facts as statements, sentences beside their rewritings, and small stories."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from exampledata.instructions import SplitTask, held_out_texts, is_clean
from exampledata.tables import capital, table

SEPARATOR = "\n<|endoftext|>\n"
ROUNDS = 2  # times each fact is told
WORDINGS = 2  # ways it is told in at a time
STORIES = 150


def text(split_tasks: Sequence[SplitTask], seed: int) -> str:
    """The documents in an order drawn from the seed, each followed by `<|endoftext|>` on a line of its own."""
    rng = Random(f"{seed}/corpus")
    held_out = held_out_texts(split_tasks)
    documents = [
        *_facts(split_tasks, rng),
        *_rewritings(split_tasks, held_out, rng),
        *(_story(rng) for _ in range(STORIES)),
    ]
    clean = [document for document in documents if is_clean(document, held_out)]
    rng.shuffle(clean)
    return "".join(document + SEPARATOR for document in clean)


def _facts(split_tasks: Sequence[SplitTask], rng: Random) -> list[str]:
    """Documents of two facts, each said in `WORDINGS` ways in a row: repetition teaches a small model to copy."""
    documents = []
    for turn in range(ROUNDS):
        told = [
            " ".join(
                case.fill(each.task.statements[(turn * WORDINGS + index + say) % len(each.task.statements)])
                for say in range(WORDINGS)
            )
            for each in split_tasks
            if each.task.kind == "recall"
            for index, case in enumerate(each.cases)
        ]
        documents += _chunks(told, 2, rng)
    return documents


def _rewritings(split_tasks: Sequence[SplitTask], held_out: Sequence[str], rng: Random) -> list[str]:
    documents = []
    for each in split_tasks:
        if each.task.kind == "pattern":
            lines = [case.fill(rng.choice(each.task.statements)) for case in each.cases]
            documents += _chunks([line for line in lines if is_clean(line, held_out)], 3, rng)
    return documents


def _chunks(lines: Sequence[str], size: int, rng: Random) -> list[str]:
    shuffled = rng.sample(lines, len(lines))
    return [" ".join(shuffled[start : start + size]) for start in range(0, len(shuffled), size)]


def _story(rng: Random) -> str:
    parts = table("stories")
    pronoun = rng.choice(["she", "he"])
    name, friend = rng.choice(parts[pronoun]), rng.choice(parts["she"] + parts["he"])
    while friend == name:
        friend = rng.choice(parts["she"] + parts["he"])
    slots = {key: rng.choice(parts[key]) for key in ("animal", "color", "thing", "food", "place", "weather")}
    slots |= {"name": name, "friend": friend, "she": pronoun, "she_capital": capital(pronoun)}
    skeleton = rng.choice(parts["skeletons"])
    return " ".join(rng.choice(sentences).format_map(slots) for sentences in skeleton)
