"""A chat server for the ways to make data: it writes tasks, examples, changes, critiques, … that the request decides.

Give `write` to an OpenAIFake. Some of what it writes breaks each of the rules, so that every one has work to do.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from typing import Any

VERBS = ("Describe", "Compare", "Explain", "Name", "Sketch", "Translate", "Rank", "Invent", "Plan", "Correct")
NOUNS = ("river", "engine", "violin", "contract", "winter", "market", "theorem", "garden", "harbour", "lantern")
WAYS = ("briefly", "loudly", "twice", "backwards", "carefully", "today", "abroad", "underwater", "alone", "kindly")


def draw(body: dict[str, Any]) -> random.Random:
    """The request's own luck: its words and its seed."""
    said = json.dumps([body["messages"], body.get("seed")])
    return random.Random(hashlib.sha256(said.encode()).hexdigest())


def task(luck: random.Random) -> str:
    words = [luck.choice(VERBS), "the", luck.choice(NOUNS), "of", luck.choice(NOUNS), *luck.sample(WAYS, 3)]
    return " ".join(words) + "."


def write(body: dict[str, Any]) -> str:
    text, luck = body["messages"][-1]["content"], draw(body)
    if found := re.search(r"Write (\d+) new tasks, numbered (\d+)", text):
        wanted, first = int(found[1]), int(found[2])
        return "\n".join(f"{first + n}. {_perhaps_bad(luck)}" for n in range(wanted))
    if "fixed labels?" in text:
        return luck.choice(["yes", "no", "No.", "no", "perhaps"])
    if "first choose a label" in text:
        return f"Output: {luck.choice(['good', 'bad'])}\nInput: the {luck.choice(NOUNS)}"
    if text.startswith("Make up an example"):
        return luck.choice(
            [
                f"Input: {luck.choice(NOUNS)}\nOutput: {task(luck)}",
                f"Input: none\nOutput: {task(luck)}",
                "Input: same\nOutput: same",
                "I have no idea.",
                f"Input: one\nOutput: a {luck.choice(WAYS)}\nInput: one\nOutput: b {luck.choice(WAYS)}",
            ]
        )
    if "changed task and nothing else" in text or "other task and nothing else" in text:
        good = [task(luck)] * 5
        return luck.choice([*good, f"{good[0]} The given prompt.", "...", text.split("\n\n")[-2][6:]])
    if "Do they ask for the same" in text:
        return luck.choice(["yes", "no", "no", "no", "hm"])
    if text.startswith("A task, and a response to it."):
        return f"It should be done {luck.choice(WAYS)}."
    if "a critique of that response" in text:
        return task(luck)
    if found := re.search(r"The code of this grading is (\w+)", text):
        return json.dumps({"rationale": "As I see it.", "score": luck.randrange(101), "nonce": found[1]})
    good = [f"It is {task(luck)}"] * 4
    return luck.choice([*good, "Sorry, that I cannot say.", "the of and"])


def _perhaps_bad(luck: random.Random) -> str:
    fault = luck.randrange(9)
    return {0: "Do.", 1: "Describe an image of a house.", 2: "- a dash in front of it"}.get(fault) or task(luck)
