"""judgekit's GPT-2 beside `transformers`' with the same random weights: exactness and speed in one run.

    python benchmarks/gpt2.py [--threads 2] [--layers 2] [--vocabulary 50257]

Exactness is for all four published widths, float32, with fewer layers. Speed is for the width of the 124M model with
that many layers, medians of five runs with the range: training 8 × 128 tokens with all targets and with those of a
response only (the last 16 of each row), greedy generation of 32 tokens after 32, and the letters of multiple choice.
A few minutes on two cores with the defaults; --layers 12 is the 124M model itself.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from transformers import GPT2Config as ReferenceConfig
from transformers import GPT2LMHeadModel

from judgekit_gpt2 import training, weights
from judgekit_gpt2.config import PRESETS, GPT2Config
from judgekit_gpt2.data import IGNORED, Batch
from judgekit_gpt2.generation import Prompt, generate
from judgekit_gpt2.loglikelihood import loglikelihoods
from judgekit_gpt2.model import GPT2, KVCache, left_pad


def pair(config: GPT2Config) -> tuple[GPT2, GPT2LMHeadModel]:
    """Ours and theirs with the same random weights, without dropout."""
    sizes = {"n_embd": config.width, "n_layer": config.layers, "n_head": config.heads, "n_positions": config.context}
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(ReferenceConfig(vocab_size=config.vocabulary, **sizes)).eval()
    ours = GPT2(config)
    weights.assign(ours, {name.removeprefix("transformer."): value for name, value in theirs.named_parameters()})
    return ours.eval(), theirs


@torch.inference_mode()
def exactness(ours: GPT2, theirs: GPT2LMHeadModel) -> dict[str, float]:
    """The largest |Δ logit| plainly, with left padding, and through the cache in three parts."""
    config = ours.config
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(0, config.vocabulary, (size,), generator=generator).tolist() for size in (48, 31, 5)]
    want = [theirs(torch.tensor([row])).logits[0] for row in rows]
    ids, positions = left_pad(rows)
    cache = KVCache.empty(config, len(rows), 48, ours.tokens.weight)
    parts = zip(ids.split([30, 17, 1], 1), positions.split([30, 17, 1], 1), strict=True)
    found = {
        "plain": ours.logits(ours(ids[:1])),
        "padded": ours.logits(ours(ids, positions)),
        "cached": ours.logits(torch.cat([ours(part, places, cache) for part, places in parts], 1)),
    }
    return {
        name: max(float((row[-len(w) :] - w).abs().max()) for row, w in zip(logits, want, strict=False))
        for name, logits in found.items()
    }


def timed(work: Callable[[], int], repeats: int = 5) -> str:
    """Units of work a second: the median and the range."""
    work()
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        rates.append(work() / (time.perf_counter() - start))
    return f"{statistics.median(rates):9.1f}  ({min(rates):.1f}-{max(rates):.1f})"


def train_step(model: torch.nn.Module, loss: Callable[[], torch.Tensor], count: int) -> Callable[[], int]:
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step() -> int:
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return count

    return step


def speed(ours: GPT2, theirs: GPT2LMHeadModel) -> None:
    generator = torch.Generator().manual_seed(2)
    vocabulary = ours.config.vocabulary
    ids = torch.randint(0, vocabulary, (8, 129), generator=generator)
    inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    response = targets.clone()
    response[:, :-16] = IGNORED
    for name, wanted in (("all targets", targets), ("response only", response)):

        def reference_loss(wanted: torch.Tensor = wanted) -> torch.Tensor:
            logits = theirs(inputs).logits.flatten(0, 1)
            return torch.nn.functional.cross_entropy(logits, wanted.flatten(), ignore_index=IGNORED)

        batch = Batch(inputs, wanted)
        print(
            f"training, {name:14} tokens/s    judgekit",
            timed(train_step(ours, lambda b=batch: training.batch_loss(ours, b), 1024)),
        )
        print(f"training, {name:14} tokens/s    transformers", timed(train_step(theirs, reference_loss, 1024)))
    for rows in (1, 16):
        prompts = torch.randint(0, vocabulary, (rows, 32), generator=generator)
        settings = {"max_new_tokens": 32, "min_new_tokens": 32, "do_sample": False, "pad_token_id": 0}

        def write(prompts: torch.Tensor = prompts) -> int:
            return sum(len(g.ids) for g in generate(ours, [Prompt(row, 32) for row in prompts.tolist()], -1))

        def reference_write(prompts: torch.Tensor = prompts, settings: dict[str, object] = settings) -> int:
            return int(theirs.generate(prompts, attention_mask=torch.ones_like(prompts), **settings)[:, 32:].numel())

        print(f"generation, batch {rows:<6} tokens/s    judgekit", timed(write))
        print(f"generation, batch {rows:<6} tokens/s    transformers", timed(reference_write))
    question, letters = ids[0, :120].tolist(), [[317], [347], [327], [360]]
    print(
        "letters, 120 tokens      questions/s judgekit", timed(lambda: len([loglikelihoods(ours, question, letters)]))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=50257)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.layers} layers")
    for name, preset in PRESETS.items():
        config = GPT2Config(arguments.vocabulary, 128, preset.width, arguments.layers, preset.heads, dropout=0.0)
        differences = exactness(*pair(config))
        print(f"max |Δ logit| {name:12}", "  ".join(f"{key} {value:.1e}" for key, value in differences.items()))
    speed(*pair(GPT2Config(arguments.vocabulary, 1024, 768, arguments.layers, 12, dropout=0.0)))


if __name__ == "__main__":
    main()
