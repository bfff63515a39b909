"""What a studentised interval costs beside scipy's vectorised BCa: `python benchmarks/bootstrap.py [--rounds N]`.

Both resample 110 skewed scores 10,000 times. They take turns in one process, and the ratio is of the medians of their
times, so that a busy machine slows both. The promise is a ratio of at most 4.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from scipy import stats

from judgekit.statistics.bootstrap import Kind, bootstrap, generator
from judgekit.statistics.intervals import Scale

ITEMS, RESAMPLES, PROMISED = 110, 10_000, 4
UNIT = Scale(0, 1)


def seconds(make: Callable[[], object]) -> float:
    start = time.perf_counter()
    make()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=51, help="how often each is timed (default 51)")
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    arguments = parser.parse_args()
    rounds = 1 if arguments.smoke else arguments.rounds
    x = np.random.default_rng(0).beta(1.7, 0.75, ITEMS)

    def ours(kind: Kind) -> Callable[[], object]:
        return lambda: bootstrap(x, 0.95, UNIT, generator(0), kind, RESAMPLES)

    makers: dict[str, Callable[[], object]] = {
        "studentised": ours("bootstrap"),
        "bca": ours("bca"),
        "percentile": ours("percentile"),
        "scipy's BCa": lambda: stats.bootstrap(
            (x,), np.mean, n_resamples=RESAMPLES, method="BCa", vectorized=True, rng=np.random.default_rng(0)
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in makers}
    for make in makers.values():
        make()  # once unmeasured
    for _ in range(rounds):
        for name, make in makers.items():
            times[name].append(seconds(make))
    scipy = median(times["scipy's BCa"])
    print(f"n = {ITEMS}, {RESAMPLES} resamples, {rounds} rounds, medians")
    for name, taken in times.items():
        print(f"  {name:12} {1e3 * median(taken):7.2f} ms   {median(taken) / scipy:5.2f} × scipy's BCa")
    ratio = median(times["studentised"]) / scipy
    print(f"promised: at most {PROMISED} ×; {'kept' if ratio <= PROMISED else 'BROKEN'}")


if __name__ == "__main__":
    main()
