"""What a gate gets right and wrong: `python benchmarks/gate.py [--pairs N] [--real FOLDER]`.

Each row simulates pairs of runs on the same items whose true difference is known, and counts in percent how often
each gate says FAIL. Scores are skewed, 0 to 100: mean 69, item sd 25, sd inside an item 12.3; n items, R repeats on
both sides. "mean dropped" and "intervals disjoint" are what people write first. Under a minute for 20,000 pairs.
With `--real`, a folder of AlpacaEval's result files, each ordered pair of its systems is drawn from too: how often a
loss of just the margin passes, and how often no change fails.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from judgekit.statistics.gating import LEVEL, Design, bounds, fails, holm, p_worse, passes
from judgekit.statistics.power import POWER, detection, items_needed, minimum_detectable
from judgekit.statistics.sequential import SHARE, log_capital

Values = NDArray[np.float64]
SPAN, MEAN, ITEM, WITHIN = 100.0, 69.0, 25.0, 12.3
CELLS = 2_000_000  # values of one block


def items(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """True item means: beta distributed over the scale."""
    share, spread = MEAN / SPAN, (ITEM / SPAN) ** 2
    total = share * (1 - share) / spread - 1
    return SPAN * rng.beta(share * total, (1 - share) * total, shape)


def run_means(rng: np.random.Generator, truth: Values, repeats: int) -> Values:
    """Item means over the repeats of one run."""
    return truth + rng.normal(0, WITHIN / np.sqrt(repeats), truth.shape)


def differences(
    rng: np.random.Generator, pairs: int, n: int, repeats: int, change: float
) -> Iterator[tuple[Values, Values]]:
    """(baseline, candidate) item means of shape (some pairs, n), until there are `pairs`."""
    done = 0
    while done < pairs:
        block = min(pairs - done, max(1, CELLS // n))
        truth = items(rng, (block, n))
        yield run_means(rng, truth, repeats), run_means(rng, truth + change, repeats)
        done += block


def sd_of(repeats: int) -> float:
    return float(WITHIN * np.sqrt(2 / repeats))


def rates(
    rng: np.random.Generator, pairs: int, design: Design, repeats: int, change: float, margin: float
) -> dict[str, float]:
    """Percent of pairs by what each gate says."""
    counts = dict.fromkeys(("mean dropped", "disjoint", "paired 5 %", "pass", "inconclusive", "fail"), 0)
    for baseline, candidate in differences(rng, pairs, design.n, repeats, change):
        found = candidate - baseline
        mean, sd = found.mean(axis=1), found.std(axis=1, ddof=1)
        low, high = bounds(mean, sd, design)
        half = 1.96 * (baseline.std(axis=1, ddof=1) + candidate.std(axis=1, ddof=1)) / np.sqrt(design.n)
        counts["mean dropped"] += int(np.sum(mean < 0))
        counts["disjoint"] += int(np.sum(mean < -half))
        counts["paired 5 %"] += int(np.sum(mean / sd * np.sqrt(design.n) < stdtrit(design.n - 1, LEVEL)))
        passed, failed = passes(low, margin), fails(low, high, margin)
        counts["pass"] += int(passed.sum())
        counts["fail"] += int(failed.sum())
        counts["inconclusive"] += int(np.sum(~passed & ~failed))
    return {name: 100 * count / pairs for name, count in counts.items()}


def family(
    rng: np.random.Generator, pairs: int, design: Design, repeats: int, metrics: int, related: float
) -> tuple[float, float]:
    """(percent with any FAIL uncorrected, by Holm) of gates with several metrics and no change in any.

    `related`: the correlation of the metrics' differences on one item.
    """
    loose = strict = 0
    done = 0
    while done < pairs:
        block = min(pairs - done, max(1, CELLS // (design.n * metrics)))
        shared = rng.normal(size=(block, 1, design.n))
        own = rng.normal(size=(block, metrics, design.n))
        found = sd_of(repeats) * (np.sqrt(related) * shared + np.sqrt(1 - related) * own)
        p = p_worse(found.mean(axis=2), found.std(axis=2, ddof=1), design)
        loose += int(np.sum((p <= LEVEL).any(axis=1)))
        strict += sum(min(holm(row)) <= LEVEL for row in p.tolist())
        done += block
    return 100 * loose / pairs, 100 * strict / pairs


def sequential(
    rng: np.random.Generator, pairs: int, design: Design, repeats: int, change: float, margin: float
) -> dict[str, float]:
    """Percent of gates that look after every item: FAIL by a look, FAIL and PASS in all, and the mean share of items
    judged. "peeking" is the paired 5 % test looked at after every item from the tenth."""
    counts = dict.fromkeys(("look fails", "fail", "pass", "judged", "peeking"), 0.0)
    level = LEVEL * SHARE
    end = replace(design, level=level)
    for baseline, candidate in differences(rng, pairs, design.n, repeats, change):
        found = np.clip(candidate - baseline, -SPAN, SPAN)
        worse = log_capital(found, 0.0, SPAN, "less") >= -np.log(level)
        better = log_capital(found, -margin, SPAN, "more") >= -np.log(level)
        first = [np.where(one.any(axis=1), one.argmax(axis=1), design.n) for one in (worse, better)]
        look_fails, look_passes = first[0] < first[1], (first[1] <= first[0]) & (first[1] < design.n)
        low, high = bounds(found.mean(axis=1), found.std(axis=1, ddof=1), end)
        undecided = ~look_fails & ~look_passes
        counts["look fails"] += int(look_fails.sum())
        counts["fail"] += int((look_fails | (undecided & fails(low, high, margin))).sum())
        counts["pass"] += int((look_passes | (undecided & passes(low, margin))).sum())
        counts["judged"] += float(np.minimum(np.minimum(*first) + 1, design.n).sum() / design.n)
        counts["peeking"] += int(peeks(found).sum())
    return {name: 100 * count / pairs for name, count in counts.items()}


def preferences(path: Path) -> Values:
    """The win rates item by item of one of AlpacaEval's files: preference − 1, a draw or none being a half."""
    with path.open(newline="", encoding="utf-8") as file:
        said = [float(row["preference"] or 0) for row in csv.DictReader(file)]
    return np.asarray([0.5 if value == 0 else value - 1 for value in said])


def real(rng: np.random.Generator, folder: Path, n: int, studies: int) -> dict[str, list[float]]:
    """Percent of studies of n items, by ordered pair of systems: of a loss of just the margin those that PASS, of no
    change (the differences about their mean) those that FAIL."""
    wins = [preferences(path) for path in sorted(folder.glob("*.csv"))]
    found: dict[str, list[float]] = {"false PASS": [], "false FAIL": []}
    for first, second in itertools.permutations(wins, 2):
        change, design = first - second, Design(n, 1.0)
        drawn = rng.choice(change, (studies, n))
        sd = drawn.std(axis=1, ddof=1)
        if (margin := -float(change.mean())) > 0:
            low = bounds(drawn.mean(axis=1), sd, design)[0]
            passed = np.flatnonzero(passes(low, margin))
            powers = [minimum_detectable(float(sd[place]), design, margin) for place in passed]
            found["false PASS"].append(100 * sum(one is not None and one <= margin for one in powers) / studies)
        low, high = bounds(drawn.mean(axis=1) + margin, sd, design)
        found["false FAIL"].append(100 * float(fails(low, high, 0.02).mean()))
    return found


def peeks(found: Values) -> NDArray[np.bool_]:
    """Whether the paired test at 5 %, looked at after every item, ever says that it is worse."""
    n = np.arange(1, found.shape[1] + 1)
    total, squares = np.cumsum(found, axis=1), np.cumsum(found**2, axis=1)
    variance = np.maximum(squares - total**2 / n, 1e-12) / np.maximum(n - 1, 1)
    t = total / n / np.sqrt(variance / n)
    return (t[:, 9:] < -1.66).any(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000, help="simulated pairs a row (default 20,000)")
    parser.add_argument("--n", type=int, default=110)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--margin", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    parser.add_argument("--real", type=Path, help="folder of AlpacaEval result files")
    args = parser.parse_args()
    if args.smoke:
        args = parser.parse_args(["--pairs", "100"])
    rng = np.random.default_rng(args.seed)
    design, sd, pairs, repeats = Design(args.n, SPAN), sd_of(args.repeats), args.pairs, args.repeats
    noise = 300 * np.sqrt(0.05 * 0.95 / pairs)
    print(
        f"{pairs} pairs a row, n {args.n}, R {repeats}; 5 % has ± {noise:.1f} points of noise (three standard errors)\n"
    )
    heads = ("true change", "mean dropped", "disjoint", "paired 5 %")
    print(f"{' '.join(f'{head:>12}' for head in heads)}   margin {args.margin:g}: pass / inconclusive / fail")
    for change in (0.0, -2.0, -3.0, -5.0):
        found = rates(rng, pairs, design, repeats, change, args.margin)
        three = f"{found['pass']:.1f} / {found['inconclusive']:.1f} / {found['fail']:.1f}"
        shown = (change, found["mean dropped"], found["disjoint"], found["paired 5 %"])
        print(f"{' '.join(f'{value:12.1f}' for value in shown)}   {three}")
    print("\nthe least change that is found, as the gate prints it, and how often it is (promised: 80 %)")
    for n in (20, 50, 99, 110, 500):
        for margin in (0.0, args.margin, 8.0):
            one = Design(n, SPAN)
            least = minimum_detectable(sd, one, margin)
            if least is None:
                print(f"  n {n:4}, margin {margin:g}: none")
                continue
            seen = rates(rng, pairs, one, repeats, -least, margin)["fail"]
            alarms = rates(rng, pairs, one, repeats, 0.0, margin)["fail"]
            print(f"  n {n:4}, margin {margin:g}: {least:5.2f} points, found {seen:.1f}; without a change {alarms:.1f}")
    least, need = minimum_detectable(sd, design) or 0.0, items_needed(sd, design, 2.0)
    print(f"  a margin of 2 needs {need} items; the textbook says {np.ceil(((1.645 + 0.8416) * sd / 2) ** 2):.0f}")
    thrice = 100 * detection(-least, sd, design) ** 3
    print(f"  run again until it is green: {100 * POWER:.0f} % detection is {thrice:.0f} % in three tries")
    print("\nseveral metrics without a change: percent of gates with a FAIL")
    for related in (0.0, 0.5):
        loose, strict = family(rng, pairs, design, repeats, 5, related)
        print(f"  5 metrics, correlated {related:g}: uncorrected {loose:.1f}, Holm {strict:.1f}")
    for n in (50, 110, 200) if args.real else ():
        for name, seen in real(rng, args.real, n, max(pairs // 20, 1)).items():
            print(f"  real pairs, n {n}: {name} {np.mean(seen):.1f} on average, {max(seen):.1f} at worst")
    print("\nsequential, looked at after every item, undecided ones tested at the end")
    for n in (args.n, 500):
        for change in (0.0, -args.margin, -5.0, 3.0):
            found = sequential(
                rng, max(pairs // (1 if n <= 200 else 4), 1), Design(n, SPAN), repeats, change, args.margin
            )
            by_look = f"{found['fail']:.1f} ({found['look fails']:.1f} by a look)"
            print(
                f"  n {n:4}, change {change:+g}: FAIL {by_look}, PASS {found['pass']:.1f}, "
                f"judged {found['judged']:.0f}; peeking at the paired test: {found['peeking']:.1f}"
            )


if __name__ == "__main__":
    main()
