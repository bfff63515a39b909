"""How often a nominal 95 % interval holds the truth: `python benchmarks/coverage.py [--simulations N] [--jobs N]`.

Each row simulates many studies of n items with R repeats whose true mean is known, and counts in percent how often
each method's interval contains it. "pooled" and "runs" are the two natural mistakes: the percentile bootstrap over
item×repeat rows, and over run means. "width" is the mean width of `auto` in percent of the scale. The last column says
what `auto` mostly was, and `!` marks a row in which it missed its figure by more than the noise of the simulation.

Three tables follow: rates of 0/1 verdicts with repeats, beside scipy's BCa and statsmodels' Wilson (where it is
installed); agreement with so many labels; and the mean corrected by labels (PPI++).

`--alpaca FOLDER` adds real low rates: items drawn from AlpacaEval's preferences, whose mean over all 805 is the truth.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from judgekit.records import Scale
from judgekit.results import AgreementMeasure, Estimate, Interval
from judgekit.statistics.agreement import Ratings
from judgekit.statistics.agreement_measures import agreement_measures
from judgekit.statistics.bootstrap import bootstrap
from judgekit.statistics.estimates import IntervalTerms, Subject, difference, estimate
from judgekit.statistics.intervals import Range, clopper_pearson, plus_two_t, t_interval, wilson
from judgekit.statistics.items import ItemTable
from judgekit.statistics.ppi import corrected

try:
    from statsmodels.stats.proportion import proportion_confint
except ImportError:
    proportion_confint = None

Rows = NDArray[np.float64]  # items × repeats, in [0, 1]
Draw = Callable[[np.random.Generator, int, int], Rows]
UNIT, SERIES = Range(0, 1), Scale(label="score", low=0, high=1)
CONFIDENCE, RESAMPLES = 0.95, 999


def skewed(rng: np.random.Generator, n: int, repeats: int) -> Rows:
    """Judge scores: mean .69, item sd .25, sd inside an item .12, all beta distributed."""
    item = np.clip(rng.beta(0.69 * 2.4224, 0.31 * 2.4224, n), 1e-6, 1 - 1e-6)[:, None]
    return rng.beta(9 * item, 9 * (1 - item), (n, repeats))


def saturated(rng: np.random.Generator, n: int, repeats: int) -> Rows:
    """A judge that gives an exact 1 to 90 % of the items, and anything to the others. Mean .95."""
    return np.where(rng.random((n, 1)) < 0.9, 1.0, rng.random((n, repeats)))


def low_rate(rng: np.random.Generator, n: int, repeats: int) -> Rows:
    """Soft preferences for a much weaker system: nearly all near 0, a few near 1. Mean .09."""
    item = np.clip(rng.beta(0.09, 0.91, n), 1e-6, 1 - 1e-6)[:, None]
    return np.clip(rng.beta(20 * item, 20 * (1 - item), (n, repeats)), 0, 1)


def ties(rng: np.random.Generator, n: int, repeats: int) -> Rows:
    """Win, tie or loss. Mean .55."""
    return rng.choice([0, 0.5, 1], p=[0.25, 0.4, 0.35], size=(n, repeats))


def passes(rng: np.random.Generator, n: int, repeats: int) -> Rows:
    """0/1 in every repeat, items of different difficulty. Mean 2/3."""
    return (rng.random((n, repeats)) < rng.beta(1, 0.5, (n, 1))).astype(float)


def drawn_from(values: Rows, rng: np.random.Generator, n: int, repeats: int) -> Rows:
    """Items of a real study, drawn with replacement."""
    return rng.choice(values, n)[:, None]


@dataclass(frozen=True)
class Shape:
    """Simulated data with the coverage in percent that `auto` is to have, where something is claimed of it."""

    name: str
    draw: Draw
    mean: float
    least: float = 0
    most: float = 100


SHAPES = [
    Shape("skewed", skewed, 0.69, 94, 98),
    Shape("saturated", saturated, 0.95, 94),
    Shape("low rate", low_rate, 0.09, 94),
    Shape("0/1", passes, 2 / 3),
    Shape("ties", ties, 0.55),
]
METHODS = ("pooled", "runs", "percentile", "bca", "t", "plus_two_t", "bootstrap", "auto")


@dataclass(frozen=True)
class Cell:
    """One row of the table: a shape at n items and R repeats."""

    shape: Shape
    n: int
    repeats: int
    simulations: int
    seed: int


@dataclass(frozen=True)
class Result:
    """Coverage in percent by method, the mean width of `auto` in percent of the scale, and what it mostly was."""

    cell: Cell
    coverage: dict[str, float]
    width: float
    mostly: str

    @property
    def misses(self) -> bool:
        """Whether `auto` is off its figure by more than three standard errors of the simulation."""
        noise, found = noise_of(self.cell.simulations), self.coverage["auto"]
        return not self.cell.shape.least - noise <= found <= self.cell.shape.most + noise

    def __str__(self) -> str:
        cells = " ".join(f"{self.coverage[m]:10.1f}" if m in self.coverage else f"{'–':>10}" for m in METHODS)
        mark = "  !" if self.misses else ""
        where = f"{self.cell.shape.name:18} {self.cell.n:4} {self.cell.repeats:2}"
        return f"{where} {cells} {self.width:7.1f}  {self.mostly}{mark}"


def noise_of(simulations: int) -> float:
    """Three standard errors of a coverage of 95 %, in points."""
    return float(300 * (0.95 * 0.05 / simulations) ** 0.5)


def table_of(rows: Rows, clusters: dict[str, str] | None = None) -> ItemTable:
    table = ItemTable(clusters)
    for i, values in enumerate(rows.tolist()):
        for repeat, value in enumerate(values):
            table.add(f"{i:04}", repeat, 0, value)
    return table


def reported(rows: Rows, clusters: dict[str, str] | None = None, seed: int = 0) -> Estimate:
    """The estimate as a run makes it."""
    table = table_of(rows, clusters)
    made = estimate(table, Subject("m", "s", SERIES), IntervalTerms(CONFIDENCE, resamples=RESAMPLES, seed=seed))
    return made[0]


def intervals(rows: Rows, rng: np.random.Generator) -> dict[str, Interval]:
    x = rows.mean(axis=1)
    made = reported(rows, seed=int(rng.integers(2**31)))
    assert made.bootstrap is not None
    found = {
        "pooled": bootstrap(rows.ravel(), CONFIDENCE, UNIT, rng, "percentile", RESAMPLES),
        "runs": bootstrap(rows.mean(axis=0), CONFIDENCE, UNIT, rng, "percentile", RESAMPLES),
        "percentile": bootstrap(x, CONFIDENCE, UNIT, rng, "percentile", RESAMPLES),
        "bca": bootstrap(x, CONFIDENCE, UNIT, rng, "bca", RESAMPLES),
        "t": t_interval(x, CONFIDENCE, UNIT),
        "plus_two_t": plus_two_t(x, CONFIDENCE, UNIT),
        "bootstrap": made.bootstrap,
        "auto": made.interval,
    }
    if rows.shape[1] == 1:
        del found["runs"]
    return found


def holds(interval: Interval, truth: float) -> bool:
    """A missing interval holds nothing."""
    return interval.low is not None and interval.high is not None and interval.low <= truth <= interval.high


def simulate(cell: Cell) -> Result:
    rng = np.random.default_rng([cell.seed, cell.n, cell.repeats])
    hits, width, used = Counter[str](), 0.0, Counter[str]()
    for _ in range(cell.simulations):
        made = intervals(cell.shape.draw(rng, cell.n, cell.repeats), rng)
        hits.update({method: holds(interval, cell.shape.mean) for method, interval in made.items()})
        width += (made["auto"].high or 0) - (made["auto"].low or 0)
        used[made["auto"].method] += 1
    coverage = {method: 100 * hits[method] / cell.simulations for method in made}
    return Result(cell, coverage, 100 * width / cell.simulations, used.most_common(1)[0][0])


def binary(n: int) -> str:
    """The coverage of the rate intervals over all success rates, computed exactly: no simulation is needed."""
    grid, k = np.linspace(0.0005, 0.9995, 1999), np.arange(n + 1)
    made = [wilson(np.repeat([1.0, 0.0], [i, n - i]), CONFIDENCE, UNIT) for i in k]
    ends = np.asarray([end for one in made for end in ((one.low or 0) - 1e-12, (one.high or 0) + 1e-12)])
    rates = np.concatenate((grid, ends[(ends > 0) & (ends < 1)]))  # it is worst where a rate just leaves an interval
    chance = np.exp(
        np.concatenate(([0], np.cumsum(np.log((n - k[:-1]) / (k[:-1] + 1)))))[:, None]
        + k[:, None] * np.log(rates)
        + (n - k)[:, None] * np.log1p(-rates)
    )
    found = []
    for maker in (wilson, clopper_pearson):
        bounds = [maker(np.repeat([1.0, 0.0], [i, n - i]), CONFIDENCE, UNIT) for i in k]
        inside = np.asarray([[holds(bound, rate) for rate in rates] for bound in bounds])
        found.append(100 * (chance * inside).sum(axis=0))
    hundredths = np.isclose(100 * rates, np.round(100 * rates))
    score, exact = found
    average = score[: len(grid)].mean()
    return (
        f"  n {n:4}: Wilson {average:.1f} on average, worst {score[hundredths].min():.1f} over .01, .02 … .99"
        f" and {score.min():.1f} over every rate; Clopper–Pearson worst {exact.min():.1f}"
    )


def clustered(clusters: int, simulations: int, seed: int) -> str:
    """Clusters of five items with an intraclass correlation of .3."""
    rng, hits = np.random.default_rng([seed, clusters]), [0, 0]
    names = {f"{i:04}": str(i // 5) for i in range(5 * clusters)}
    for _ in range(simulations):
        z = np.sqrt(0.3) * np.repeat(rng.normal(size=clusters), 5) + np.sqrt(0.7) * rng.normal(size=5 * clusters)
        rows = np.clip(0.5 + 0.1 * z, 0, 1)[:, None]
        hits[0] += holds(t_interval(rows[:, 0], CONFIDENCE, UNIT), 0.5)
        hits[1] += holds(reported(rows, names).interval, 0.5)
    return f"  G {clusters:4}: items {100 * hits[0] / simulations:.1f}, clusters {100 * hits[1] / simulations:.1f}"


def paired(n: int, simulations: int, seed: int) -> str:
    """Two weak systems of the same worth, with soft preferences that agree in part."""
    rng, hits = np.random.default_rng([seed, n]), [0, 0]
    for _ in range(simulations):
        shared = rng.random((n, 1)) < 0.7
        common = low_rate(rng, n, 1)
        first, second = (np.where(shared, common, low_rate(rng, n, 1)) for _ in range(2))
        hits[0] += holds(t_interval((first - second)[:, 0], CONFIDENCE, Range(-1, 1)), 0)
        made = difference(
            table_of(first), table_of(second), Subject("m", "a", SERIES), "b", IntervalTerms(resamples=99)
        )
        hits[1] += holds(made.interval, 0)
    return f"  n {n:4}: t {100 * hits[0] / simulations:.1f}, reported {100 * hits[1] / simulations:.1f}"


def rare(rate: float, simulations: int, seed: int) -> str:
    """0/1 verdicts, 50 items of 5 repeats, at a low rate: what `auto` picks, beside others' intervals of item means."""
    rng, hits, used = np.random.default_rng([seed, int(1000 * rate)]), Counter[str](), Counter[str]()
    for _ in range(simulations):
        rows = (rng.random((50, 5)) < np.clip(rng.beta(0.3, 0.3 * (1 / rate - 1), (50, 1)), 0, 1)).astype(float)
        made, x = reported(rows), rows.mean(axis=1)
        used[made.interval.method] += 1
        hits["auto"] += holds(made.interval, rate)
        if np.ptp(x):
            low, high = stats.bootstrap(
                (x,), np.mean, n_resamples=199, method="BCa", confidence_level=CONFIDENCE, rng=rng
            ).confidence_interval
            hits["scipy's BCa"] += low <= rate <= high
        if proportion_confint is not None:
            low, high = proportion_confint(rows.sum(), rows.size, 1 - CONFIDENCE, "wilson")
            hits["statsmodels' Wilson over all verdicts"] += low <= rate <= high
            low, high = proportion_confint(x.sum(), len(x), 1 - CONFIDENCE, "wilson")
            hits["over items"] += low <= rate <= high
    found = ", ".join(f"{name} {100 * count / simulations:.1f}" for name, count in hits.items())
    return f"  rate {rate:.2f}: {found} (auto is mostly {used.most_common(1)[0][0]})"


def graded(rng: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(judge, label) of n items: grades of 1 to 5, of which the judge's are the labels' with noise."""
    worth = rng.normal(0, 1, n)
    label, judge = (np.clip(np.round(3.4 + 1.1 * worth + spread * rng.normal(0, 1, n)), 1, 5) for spread in (0.4, 0.7))
    return judge, label


def agreed(n: int, simulations: int, seed: int) -> str:
    """Each figure of agreement, against its value on 5,000 items."""
    scale, rng, hits = Range(1, 5), np.random.default_rng([seed, n]), Counter[str]()

    def figures(size: int, resamples: int) -> dict[str, AgreementMeasure]:
        judge, label = graded(rng, size)
        ratings = Ratings.of(judge.tolist(), label.tolist(), [str(i) for i in range(size)])
        made = agreement_measures(ratings, "score", scale, confidence=CONFIDENCE, resamples=resamples)
        return {one.name: one for one in made if one.name not in ("kendall", "majority")}

    truth = {name: one.value for name, one in figures(5_000, 99).items()}
    for _ in range(simulations):
        hits.update({name: holds(one.interval, truth[name] or 0) for name, one in figures(n, 499).items()})
    return f"  {n:4} labels: " + ", ".join(f"{name} {100 * count / simulations:.1f}" for name, count in hits.items())


def labelled(n: int, simulations: int, seed: int) -> str:
    """PPI++ with n labels of 500 items, against the labels' own interval."""
    scale, rng, hits = Range(1, 5), np.random.default_rng([seed, n]), [0, 0]
    truth = float(graded(rng, 1_000_000)[1].mean())
    for _ in range(simulations):
        judge, label = graded(rng, 500)
        hits[0] += holds(corrected("s", label[:n], judge[:n], judge[n:], scale, CONFIDENCE).interval, truth)
        hits[1] += holds(plus_two_t(label[:n], CONFIDENCE, scale), truth)
    return f"  {n:4} labels: PPI++ {100 * hits[0] / simulations:.1f}, labels alone {100 * hits[1] / simulations:.1f}"


def preferences(folder: Path) -> Iterator[Shape]:
    """A shape for each system with a win rate under 15 % in a folder of AlpacaEval's preferences (1 … 2, 0 a draw)."""
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8") as lines:
            found = [float(row["preference"] or 0) for row in csv.DictReader(lines)]
        values = np.asarray([0.5 if value == 0 else value - 1 for value in found])
        if values.mean() < 0.15:
            yield Shape(path.stem, partial(drawn_from, values), float(values.mean()), 94)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000, help="studies a row (default 2000)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n", type=int, nargs="+", default=[20, 50, 110, 500], help="numbers of items")
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 3, 5])
    names = [shape.name for shape in SHAPES]
    parser.add_argument("--shape", choices=[*names, "none"], nargs="+", default=names)
    parser.add_argument("--alpaca", type=Path, metavar="FOLDER", help="real preferences: a folder of <system>.csv")
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    args = parser.parse_args()
    if args.smoke:
        args = parser.parse_args(["--simulations", "20", "--n", "20", "--repeats", "1", "--jobs", "1"])
    noise = noise_of(args.simulations)
    print(f"coverage of nominal 95 % intervals, {args.simulations} simulations, ± {noise:.1f} points of noise\n")
    heading = f"{'n':>4} {'R':>2} " + " ".join(f"{m:>10}" for m in METHODS) + f" {'width':>7}  auto is mostly"
    print(f"{'data':18} {heading}", flush=True)
    chosen = [shape for shape in SHAPES if shape.name in args.shape]
    cells = [Cell(s, n, r, args.simulations, args.seed) for s in chosen for n in args.n for r in args.repeats]
    real = list(preferences(args.alpaca)) if args.alpaca else []
    cells += [Cell(s, n, 1, args.simulations, args.seed) for s in real for n in args.n]
    missed = 0
    with ProcessPoolExecutor(args.jobs) as pool:
        for result in pool.map(simulate, cells):
            missed += result.misses
            print(result, flush=True)
        claims = "auto is in 94 … 98 on skewed scores, and at 94 or more on saturated and low-rate ones"
        print(f"\n{claims}: {'within the noise, everywhere' if not missed else f'missed in {missed} rows'}")
        print("\n0/1 values, one an item, computed exactly")
        print("\n".join(pool.map(binary, args.n)))
        print("\nclusters of 5, intraclass correlation .3: intervals over")
        print("\n".join(pool.map(partial(clustered, simulations=args.simulations, seed=args.seed), (10, 20, 50))))
        print("\npaired difference of two low rates")
        print("\n".join(pool.map(partial(paired, simulations=args.simulations, seed=args.seed), (20, 110))))
        print("\n0/1 verdicts, 50 items of 5 repeats")
        print("\n".join(pool.map(partial(rare, simulations=args.simulations, seed=args.seed), (0.02, 0.05, 0.1, 0.3))))
        fewer = min(args.simulations, 400)
        print(f"\nagreement of grades from 1 to 5 ({fewer} simulations)")
        print("\n".join(pool.map(partial(agreed, simulations=fewer, seed=args.seed), (20, 50, 100))))
        print("\nthe mean of 500 items, corrected by labels")
        print("\n".join(pool.map(partial(labelled, simulations=args.simulations, seed=args.seed), (10, 20, 50))))


if __name__ == "__main__":
    main()
