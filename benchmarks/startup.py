"""How long `judgekit --help` takes, and what it imports.

    python benchmarks/startup.py [--rounds 20] [--against ANOTHER_VENV/bin/python]

Wall time of the installed console script in fresh processes, warm; beside it a bare interpreter, since the machine's
share of the time is not ours. To reach: a median under 200 ms, and none of torch, scipy, numpy, httpx imported.
`--against` takes turns with another installation, of an earlier commit say: the ratio is to stay at 1.0 or below.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

HEAVY = ("torch", "scipy", "numpy", "httpx", "httpcore", "pydantic")
CODE = "import sys; from judgekit.cli import execute; execute(['--help']); print(*sys.modules, file=sys.stderr)"


def milliseconds(command: list[str], rounds: int) -> list[float]:
    times = []
    for _ in range(rounds + 2):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append((time.perf_counter() - begun) * 1000)
    return times[2:]  # the first two warm the caches


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    parser.add_argument("--against", type=Path, help="the python of another installation")
    arguments = parser.parse_args()
    rounds = 1 if arguments.smoke else arguments.rounds
    script = Path(sys.executable).with_name("judgekit")
    helped, bare = milliseconds([str(script), "--help"], rounds), milliseconds([sys.executable, "-c", ""], rounds)
    loaded = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stderr.split()
    heavy = sorted(set(HEAVY) & set(loaded))
    median = statistics.median(helped)
    print(f"judgekit --help: median {median:.0f} ms (fastest {min(helped):.0f}), to reach: 200")
    print(f"a bare interpreter: median {statistics.median(bare):.0f} ms")
    if arguments.against is not None:
        pythons = (Path(sys.executable), arguments.against)
        turns = [[milliseconds([str(one), "-P", "-m", "judgekit", "--help"], 1)[0] for one in pythons] for _ in helped]
        print(f"over the other's: {statistics.median(mine / other for mine, other in turns):.2f} ×, to reach: 1.0")
    print(f"heavy modules imported: {', '.join(heavy) or 'none'}")
    return 0 if (median < 200 or arguments.smoke) and not heavy else 1


if __name__ == "__main__":
    sys.exit(main())
