"""judgekit's GPT-2 beside `transformers` and `lm-eval`, with the same random weights, in one run.

    python benchmarks/gpt2.py [--only generation] [--rounds 5] [--threads 2] [--smoke]

Each section is a file in `gpt2_parts/`. What is compared is run in turns, and the table shows the median of the rounds
and their range; a ratio is taken within a round. Beside a figure stands its aim; the exit code is 1 if one is missed.
Some minutes a section on two cores. What is not installed (`pip install transformers lm-eval`) is said and left out.
`--smoke` takes a model of two thin layers and one round; of its aims only those of exactness count.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from dataclasses import replace
from pathlib import Path

import torch
from gpt2_parts.table import Figure, Missing, show

import judgekit.data
from judgekit_gpt2.config import PRESETS
from judgekit_gpt2.inference import multiplies_bytes

PARTS = Path(__file__).parent / "gpt2_parts"
FULL = replace(PRESETS["gpt2"], dropout=0.0)
SMALL = replace(FULL, width=64, layers=2, heads=2)
SECTIONS = sorted(path.stem for path in PARTS.glob("*.py") if path.stem not in ("__init__", "table"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=SECTIONS, action="append", help="may be given again")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    arguments = parser.parse_args()
    config, rounds = (SMALL, 1) if arguments.smoke else (FULL, arguments.rounds)
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads, {rounds} rounds", flush=True)
    bfloat16 = judgekit.data.gains_from_bfloat16(torch.device("cpu"))
    print(f"this CPU has {_arithmetic(bfloat16, multiplies_bytes())}", flush=True)
    missed = 0
    for section in arguments.only or SECTIONS:
        print(f"\n{section}", flush=True)
        try:
            figures: list[Figure] = []
            for figure in importlib.import_module(f"gpt2_parts.{section}").figures(config, rounds):
                figures.append(figure)
                show(figure)
        except Missing as error:
            print(f"  left out: {error}")
            continue
        missed += sum(figure.met is False for figure in figures if not (arguments.smoke and figure.is_speed))
    print(f"\n{missed} aims missed" if missed else "\nevery aim met")
    return 1 if missed else 0


def _arithmetic(bfloat16: bool, bytes_: bool) -> str:
    """What its aims in bfloat16 and int8 take for granted."""
    return f"{'' if bfloat16 else 'no '}arithmetic in bfloat16 and {'' if bytes_ else 'no '}products of bytes"


if __name__ == "__main__":
    sys.exit(main())
