"""kill -9 at random moments of a pretraining: the same checkpoint and the same losses as without a kill.

    python benchmarks/kill_training.py [--kills 50] [--steps 300] [--seed 0]

`judgekit gpt2 pretrain` runs once undisturbed, for the reference. Then it is started and killed, in chains of up to
ten kills on one folder, and each chain ends with an undisturbed start. Every file of the folder is compared: the
checkpoint, the best one, the tokenizer, the losses, the samples, what it was made from; none may be missing or left.
A last start must say that it is done already. Ends with 1 when one of these fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from tiny_training import SIZES, contents, write_text

SETTINGS = {"batch": 4, "lr": 0.003, "tokenizer": {"bpe": 300}, "precision": "float32", "evaluate_every": 10}


def command(folder: Path, steps: int) -> list[str]:
    settings = {**SETTINGS, "steps": steps, "save_every": 3}
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    start = [sys.executable, "-m", "judgekit", "gpt2", "pretrain", str(folder.parent / "text.txt")]
    return [*start, "--into", str(folder), "--model", json.dumps(SIZES), *given]


def start(folder: Path, steps: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(folder, steps), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(folder: Path, steps: int) -> tuple[float, str]:
    """Run to the end; the seconds it took, and what it said."""
    begun = time.monotonic()
    process = start(folder, steps)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"ended with {process.returncode}: {said}")
    return time.monotonic() - begun, said


def kill_after(folder: Path, steps: int, seconds: float, what: str) -> bool:
    """Start, and kill so long after there is something new by such a name; False if it had ended by then."""
    before = set(folder.glob(what)) if what else set()
    process = start(folder, steps)
    while what and process.poll() is None and set(folder.glob(what)) <= before:
        time.sleep(0.0005)
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"a start after a kill ended with {process.returncode}: {said}")
    return process.returncode != 0


def run(kills: int, steps: int) -> bool:
    kept, left, resumable = True, kills, 0
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_text(place / "text.txt")
        whole, _ = finish(place / "whole", steps)
        reference = contents(place / "whole")
        print(f"undisturbed: {steps} steps in {whole:.1f} s, {len(reference)} files", flush=True)
        # At any moment of the process, while it trains, while it writes the best checkpoint, and the last one.
        moments = [(whole, ""), (2.0, "state/checkpoint-*"), (0.02, "best/.*"), (0.02, ".*")]
        for chain in range(kills):
            if left == 0:
                break
            folder, killed, length = place / str(chain), 0, min(left, random.randint(1, 10))
            while killed < length:
                seconds, what = random.choice(moments)
                if not kill_after(folder, steps, random.uniform(0, seconds), what):
                    break
                killed += 1
                resumable += any(folder.glob("state/*/judgekit.json"))
            finish(folder, steps)
            found = contents(folder)
            differing = sorted(one for one in found.keys() | reference.keys() if found.get(one) != reference.get(one))
            done = "already there" in finish(folder, steps)[1]
            left -= killed
            kept = kept and done and not differing
            print(f"{'BAD ' if differing or not done else 'good'} {killed:2} kills", *differing, flush=True)
    kept = kept and left == 0
    print(f"{kills} kills, {resumable} of them with a state on disk: {'every promise kept' if kept else 'FAILED'}")
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, help="of the times of the kills")
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    options = parser.parse_args()
    if options.smoke:
        options.kills, options.steps = 2, 100
    random.seed(options.seed)
    return 0 if run(options.kills, options.steps) else 1


if __name__ == "__main__":
    sys.exit(main())
