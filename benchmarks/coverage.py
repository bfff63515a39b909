"""How often a nominal 95 % interval holds the truth: `python benchmarks/coverage.py [--simulations N]`.

Each row simulates many studies of n items with R repeats whose true mean is known, and counts in percent how often
each method's interval contains it. "pooled" and "runs" are the two natural mistakes: the percentile bootstrap over
item×repeat rows, and over run means. The second number of `auto` is its mean width in percent of the scale.
About two minutes with the default; 2,000 simulations take the noise (three standard errors) to ± 1.5 points.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from judgekit.records import Estimate, Interval, Series
from judgekit.statistics.bootstrap import bootstrap
from judgekit.statistics.estimates import difference, estimate
from judgekit.statistics.intervals import Scale, plus_two_t, t_interval, wilson
from judgekit.statistics.items import ItemTable

Rows = NDArray[np.float64]  # items × repeats, in [0, 1]
Draw = Callable[[np.random.Generator, int, int], Rows]
UNIT, SERIES = Scale(0, 1), Series(label="score", low=0, high=1)
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


SHAPES: dict[str, tuple[Draw, float]] = {
    "skewed": (skewed, 0.69),
    "saturated": (saturated, 0.95),
    "low rate": (low_rate, 0.09),
    "0/1": (passes, 2 / 3),
    "ties": (ties, 0.55),
}
METHODS = ("pooled", "runs", "percentile", "bca", "t", "plus_two_t", "bootstrap", "auto")


def table_of(rows: Rows, clusters: dict[str, str] | None = None) -> ItemTable:
    table = ItemTable(clusters)
    for i, values in enumerate(rows.tolist()):
        for repeat, value in enumerate(values):
            table.add(f"{i:04}", repeat, 0, value)
    return table


def auto(rows: Rows, clusters: dict[str, str] | None = None) -> Estimate:
    table = table_of(rows, clusters)
    return estimate(table, metric="m", system="s", series=SERIES, confidence=CONFIDENCE, resamples=RESAMPLES)[0]


def intervals(rows: Rows, rng: np.random.Generator) -> dict[str, Interval]:
    x = rows.mean(axis=1)
    made = {
        "pooled": bootstrap(rows.ravel(), CONFIDENCE, UNIT, rng, "percentile", RESAMPLES),
        "runs": bootstrap(rows.mean(axis=0), CONFIDENCE, UNIT, rng, "percentile", RESAMPLES),
        "percentile": bootstrap(x, CONFIDENCE, UNIT, rng, "percentile", RESAMPLES),
        "bca": bootstrap(x, CONFIDENCE, UNIT, rng, "bca", RESAMPLES),
        "bootstrap": bootstrap(x, CONFIDENCE, UNIT, rng, "bootstrap", RESAMPLES),
        "t": t_interval(x, CONFIDENCE, UNIT),
        "plus_two_t": plus_two_t(x, CONFIDENCE, UNIT),
        "auto": auto(rows).interval,
    }
    if rows.shape[1] == 1:
        del made["runs"]
    return made


def holds(interval: Interval, truth: float) -> bool:
    """A missing interval holds nothing."""
    return interval.low is not None and interval.high is not None and interval.low <= truth <= interval.high


def simulate(shape: str, n: int, repeats: int, simulations: int, seed: int) -> None:
    draw, truth = SHAPES[shape]
    rng = np.random.default_rng([seed, n, repeats])
    hits, width, used = dict.fromkeys(METHODS, 0), 0.0, dict[str, int]()
    for _ in range(simulations):
        made = intervals(draw(rng, n, repeats), rng)
        for method, interval in made.items():
            hits[method] += holds(interval, truth)
        chosen = made["auto"]
        width += (chosen.high or 0) - (chosen.low or 0)
        used[chosen.method] = used.get(chosen.method, 0) + 1
    cells = " ".join(f"{100 * hits[m] / simulations:10.1f}" if m in made else f"{'–':>10}" for m in METHODS)
    print(f"{shape:10} {n:4} {repeats:2} {cells} {100 * width / simulations:7.1f}  {max(used, key=lambda m: used[m])}")


def binary(n: int) -> None:
    """Wilson's exact coverage over all success rates: no simulation is needed."""
    rates = np.linspace(0.001, 0.999, 999)
    k = np.arange(n + 1)
    bounds = [wilson(np.repeat([1.0, 0.0], [i, n - i]), CONFIDENCE, UNIT) for i in k]
    chance = np.exp(
        np.concatenate(([0], np.cumsum(np.log((n - k[:-1]) / (k[:-1] + 1)))))[:, None]
        + k[:, None] * np.log(rates)
        + (n - k)[:, None] * np.log1p(-rates)
    )
    inside = np.asarray([[holds(bound, rate) for rate in rates] for bound in bounds])
    coverage = 100 * (chance * inside).sum(axis=0)
    middle = (rates >= 0.05) & (rates <= 0.95)
    print(
        f"  n {n:4}: mean {coverage.mean():.1f} over all rates, worst {coverage.min():.1f};"
        f" worst {coverage[middle].min():.1f} over rates in .05 … .95"
    )


def clustered(clusters: int, simulations: int, seed: int) -> None:
    """Clusters of five items with an intraclass correlation of .3."""
    rng, hits = np.random.default_rng([seed, clusters]), [0, 0]
    names = {f"{i:04}": str(i // 5) for i in range(5 * clusters)}
    for _ in range(simulations):
        z = np.sqrt(0.3) * np.repeat(rng.normal(size=clusters), 5) + np.sqrt(0.7) * rng.normal(size=5 * clusters)
        rows = np.clip(0.5 + 0.1 * z, 0, 1)[:, None]
        hits[0] += holds(t_interval(rows[:, 0], CONFIDENCE, UNIT), 0.5)
        hits[1] += holds(auto(rows, names).interval, 0.5)
    print(f"  G {clusters:4}: items {100 * hits[0] / simulations:.1f}, clusters {100 * hits[1] / simulations:.1f}")


def paired(n: int, simulations: int, seed: int) -> None:
    """Two weak systems of the same worth, with soft preferences that agree in part."""
    rng, hits = np.random.default_rng([seed, n]), [0, 0]
    for _ in range(simulations):
        shared = rng.random((n, 1)) < 0.7
        common = low_rate(rng, n, 1)
        first, second = (np.where(shared, common, low_rate(rng, n, 1)) for _ in range(2))
        hits[0] += holds(t_interval((first - second)[:, 0], CONFIDENCE, Scale(-1, 1)), 0)
        made = difference(
            table_of(first), table_of(second), metric="m", system="a", against="b", series=SERIES, resamples=99
        )
        hits[1] += holds(made.interval, 0)
    print(f"  n {n:4}: t {100 * hits[0] / simulations:.1f}, reported {100 * hits[1] / simulations:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=150, help="studies a row (default 150)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n", type=int, nargs="+", default=[20, 50, 110, 500], help="numbers of items")
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--shape", choices=[*SHAPES, "none"], nargs="+", default=list(SHAPES))
    args = parser.parse_args()
    noise = 300 * (0.95 * 0.05 / args.simulations) ** 0.5
    print(f"coverage of nominal 95 % intervals, {args.simulations} simulations, ± {noise:.1f} points of noise\n")
    print(f"{'data':10} {'n':>4} {'R':>2} " + " ".join(f"{m:>10}" for m in METHODS) + f" {'width':>7}  auto is mostly")
    for shape in (s for s in args.shape if s in SHAPES):
        for n in args.n:
            for repeats in args.repeats:
                simulate(shape, n, repeats, args.simulations, args.seed)
    print("\n0/1 values, one an item: Wilson, computed exactly")
    for n in args.n:
        binary(n)
    print("\nclusters of 5, intraclass correlation .3: intervals over")
    for clusters in (10, 20, 50):
        clustered(clusters, args.simulations, args.seed)
    print("\npaired difference of two low rates")
    for n in (20, 110):
        paired(n, args.simulations, args.seed)


if __name__ == "__main__":
    main()
