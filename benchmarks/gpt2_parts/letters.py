"""Multiple choice by the likelihood of four letters: questions a second beside lm-eval, 124M, float32.

The questions are MMLU's (shared data, or JUDGEKIT_SHARED), else made up. lm-eval's own model class is given the same
weights and tokens, with the better of two batch sizes; it is timed on fewer questions, since each costs it the same,
while ours reads the five worked examples once.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gpt2_parts.table import Figure, Missing, copy_of, if_installed, in_turns, pair, ratios, transformers
from judgekit_gpt2.config import GPT2Config
from judgekit_gpt2.inference import prepare
from judgekit_gpt2.loglikelihood import PrefixScorer
from judgekit_gpt2.tokens import Tokenizer

SUBJECT = "anatomy"
LETTERS = (" A", " B", " C", " D")
AIMS = {0: 1.8, 5: 9.0}
QUESTIONS = {0: (32, 16), 5: (64, 8)}  # ours, lm-eval's


def figures(config: GPT2Config, rounds: int) -> Iterator[Figure]:
    harness = if_installed(_lm_eval)
    _, theirs = pair(config)
    tokenizer = Tokenizer.gpt2()
    model = prepare(copy_of(theirs, config))
    rivals = {size: _rival(harness, theirs, tokenizer, size) for size in (1, 8)} if harness else {}
    letters = [tokenizer.encode(letter) for letter in LETTERS]
    for shots, (ours, others) in QUESTIONS.items():
        prompts = _prompts(shots, max(ours, others))
        questions = [(tokenizer.encode(prompt), letters) for prompt in prompts]

        def score(questions: list[Any] = questions[:ours]) -> int:
            scorer = PrefixScorer(model)  # a new one each time: nothing is kept from the round before
            for start in range(0, len(questions), 32):
                scorer.score(questions[start : start + 32])
            return len(questions)

        works = {"judgekit": score}
        works |= {f"lm-eval, batch {size}": _asking(ask, prompts[:others]) for size, ask in rivals.items()}
        rates = in_turns(works, rounds)
        for name, values in rates.items():
            yield Figure(f"{shots} shots, {name}", values, "questions/s")
        if not rivals:
            continue
        best = [values for name, values in rates.items() if name != "judgekit"]
        yield Figure(f"{shots} shots, over lm-eval's best", ratios(rates["judgekit"], *best), "×", AIMS[shots])
        mine = PrefixScorer(model).score(questions[:others])
        want = rivals[1](prompts[:others])
        difference = max(abs(m[0] - w) for q, r in zip(mine, want, strict=True) for m, w in zip(q, r, strict=True))
        yield Figure(f"{shots} shots, max |Δ log p| to lm-eval", [difference], at_most=1e-4)


def _lm_eval() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM
    except ImportError:
        raise Missing("lm-eval is not installed") from None
    return HFLM, Instance


def _rival(harness: Any, model: Any, tokenizer: Tokenizer, batch: int) -> Any:
    """A function from prompts to the log-likelihoods of the four letters."""
    hf_model, instance = harness
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder))
        files = {"vocab": f"{folder}/vocab.json", "merges": f"{folder}/merges.txt"}
        fast = transformers().GPT2Tokenizer(**files)
    lm = hf_model(pretrained=model, tokenizer=fast, device="cpu", batch_size=batch)

    def ask(prompts: list[str]) -> list[list[float]]:
        requests = [
            instance("loglikelihood", {}, (prompt, letter), at)
            for prompt in prompts
            for at, letter in enumerate(LETTERS)
        ]
        values = [value for value, _ in lm.loglikelihood(requests, disable_tqdm=True)]
        return [values[at : at + 4] for at in range(0, len(values), 4)]

    return ask


def _asking(ask: Any, prompts: list[str]) -> Any:
    return lambda: len(ask(prompts))


def _prompts(shots: int, count: int) -> list[str]:
    """In MMLU's usual form."""
    examples, questions = (_rows(part) for part in ("dev", "test"))
    head = f"The following are multiple choice questions (with answers) about {SUBJECT}.\n\n"
    head += "".join(f"{_block(row)} {row[5]}\n\n" for row in examples[:shots])
    return [head + _block(row) for row in questions[:count]]


def _block(row: list[str]) -> str:
    return row[0] + "".join(f"\n{letter}. {text}" for letter, text in zip("ABCD", row[1:5], strict=True)) + "\nAnswer:"


def _rows(part: str) -> list[list[str]]:
    shared = Path(os.environ.get("JUDGEKIT_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    path = shared / "data" / "mmlu" / part / f"{SUBJECT}_{part}.csv"
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))
    generator = torch.Generator().manual_seed(len(part))
    words = [f"bone {number} of the hand" for number in torch.randint(0, 999, (600,), generator=generator).tolist()]
    return [
        [f"Which lies nearest to {words[at]} and not to {words[at + 1]}?", *words[at : at + 4], "B"] for at in range(99)
    ]
