"""The four-option questions, in the MMLU layout: no header; question, four options, the right one's letter."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from exampledata.tables import table, with_article

LETTERS = "ABCD"
DEV, TEST = 5, 24  # questions of a subject; 5 is MMLU's number of shots, 24 gives each letter six times


@dataclass(frozen=True)
class Question:
    text: str
    right: str
    wrong: tuple[str, str, str]


def files(seed: int) -> dict[str, str]:
    """Path under `data/` to file content, of all subjects."""
    out = {}
    for subject, make in SUBJECTS.items():
        rng = Random(f"{seed}/{subject}")
        questions = make(rng)
        drawn = rng.sample(questions, DEV + TEST)
        out[f"mmlu/dev/{subject}_dev.csv"] = _csv(drawn[:DEV], rng)
        out[f"mmlu/test/{subject}_test.csv"] = _csv(drawn[DEV:], rng)
    return out


def _csv(questions: Sequence[Question], rng: Random) -> str:
    """One row a question; the right options take each letter equally often, as far as the number of rows allows."""
    letters = [LETTERS[index % len(LETTERS)] for index in range(len(questions))]
    rng.shuffle(letters)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for question, letter in zip(questions, letters, strict=True):
        options = rng.sample(question.wrong, 3)
        options.insert(LETTERS.index(letter), question.right)
        writer.writerow([question.text, *options, letter])
    return out.getvalue()


def _ask(rng: Random, text: str, right: str, candidates: Sequence[str]) -> Question:
    """A question whose wrong options are drawn from the candidates, which must all be wrong, bar the right one."""
    first, second, third = rng.sample(sorted(set(candidates) - {right}), 3)
    return Question(text, right, (first, second, third))


def arithmetic(rng: Random) -> list[Question]:
    questions = []
    for operation, pairs in (
        ("plus", [(n, m) for n in range(11, 40) for m in range(11, 40)]),
        ("minus", [(n, m) for n in range(40, 90) for m in range(11, 30)]),
        ("times", [(n, m) for n in range(3, 13) for m in range(3, 13)]),
    ):
        for n, m in rng.sample(pairs, 10):
            result = {"plus": n + m, "minus": n - m, "times": n * m}[operation]
            near = [str(result + step) for step in (-10, -2, -1, 1, 2, 10) if result + step > 0]
            questions.append(_ask(rng, f"What is {n} {operation} {m}?", str(result), near))
    return questions


def chemistry(rng: Random) -> list[Question]:
    elements = {name: symbol for name, (symbol, _) in table("elements").items()}
    questions = []
    for name, symbol in elements.items():
        alike = [other for other in elements.values() if other[0] == symbol[0] and other != symbol]
        others = alike if len(alike) >= 3 else list(elements.values())
        questions.append(_ask(rng, f"What is the chemical symbol for {name}?", symbol, others))
    return questions


def everyday_words(rng: Random) -> list[Question]:
    return [Question(text, right, (a, b, c)) for text, right, a, b, c in table("word_questions")]


def geography(rng: Random) -> list[Question]:
    capitals = table("capitals")
    questions = []
    for country, (city, continent) in capitals.items():
        near = [other for other, where in capitals.values() if where == continent]
        far = [other for other, _ in capitals.values()]
        questions.append(_ask(rng, f"What is the capital of {country}?", city, near if len(near) > 3 else far))
    return questions


def nature(rng: Random) -> list[Question]:
    animals = table("animals")
    # "Chick" names the young of many birds and "calf" that of many mammals: too often right to be a wrong option.
    young = [row["young"] for row in animals if "young" in row and row["young"] not in ("chick", "calf")]
    questions = [
        _ask(rng, f"What is a baby {row['name']} called?", row["young"], young) for row in animals if "young" in row
    ]
    for kind in sorted({row["class"] for row in animals}):
        members = [row["name"] for row in animals if row["class"] == kind]
        others = [row["name"] for row in animals if row["class"] != kind]
        for text in (f"Which of these animals is {with_article(kind)}?", f"Which one belongs to the {kind} group?"):
            questions.append(_ask(rng, text, rng.choice(members), others))
    return questions


SUBJECTS: Mapping[str, Callable[[Random], list[Question]]] = {
    "arithmetic": arithmetic,
    "chemistry": chemistry,
    "everyday_words": everyday_words,
    "geography": geography,
    "nature": nature,
}
