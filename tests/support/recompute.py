"""The numbers of a run, made again from its rows without any code of judgekit: `python recompute.py runs/ID`.

Of record.json it takes the settings, each estimate's scale and its interval's method; the rest is made of rows.jsonl by
the formulas of docs/statistics.md. Prints what differs by more than 1e-9, and exits with 1 if anything does.
"""

import hashlib
import json
import math
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from scipy import optimize, stats
from scipy.special import expit


def generations(rows, series, fill=None):
    """item → generation → its judgements, missing ones as `fill` or left out."""
    found = defaultdict(lambda: defaultdict(list))
    for row in rows:
        value = row["value"] if series == "value" else row["series"].get(series)
        if row["status"] == "skipped" or (series != "value" and value is None and series not in row["missing"]):
            continue
        if value is None:
            value = fill
        if value is not None:
            found[row["sample_id"]][row["repeat"]].append(value)
    return {item: [np.array(judged) for judged in by.values()] for item, by in sorted(found.items())}


def item_means(rows, series, fill=None):
    return {item: np.mean([np.mean(one) for one in by]) for item, by in generations(rows, series, fill).items()}


def t_bounds(x, confidence):
    half = stats.t.ppf((1 + confidence) / 2, len(x) - 1) * np.std(x, ddof=1) / math.sqrt(len(x))
    return np.mean(x) - half, np.mean(x) + half


def wilson(rate, n, confidence):
    z = stats.norm.ppf((1 + confidence) / 2)
    centre, half = rate + z * z / (2 * n), z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def wilson_neff(x, trials, confidence):
    rate, n = np.mean(x), len(x)
    if np.ptp(x) > 1e-9:
        shrink = (stats.norm.ppf((1 + confidence) / 2) / stats.t.ppf((1 + confidence) / 2, n - 1)) ** 2
        n = min(rate * (1 - rate) / (np.var(x, ddof=1) / n), n * trials) * shrink
    return wilson(rate, n, confidence)


def bootstrap(x, confidence, names, seed, resamples):
    """Studentised, by the estimate's own draws."""
    digest = hashlib.sha256("\x1f".join(names).encode()).digest()
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *digest[:16]])))
    x = np.sort(x)
    centred, n = x - np.mean(x), len(x)
    values, counts = np.unique(centred, return_counts=True)
    if len(values) * 24 <= n:
        drawn = rng.multinomial(n, counts / n, size=resamples)
        total, squares = drawn @ values, drawn @ values**2
    else:
        drawn = centred[rng.integers(0, n, size=(resamples, n))]
        total, squares = drawn.sum(axis=1), (drawn**2).sum(axis=1)
    mean = total / n
    error = np.sqrt(np.maximum(squares - n * mean**2, 0) / (n - 1) / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.sort(np.where(mean == 0, 0.0, mean / error))
    low, high = (
        t[min(max(round((resamples + 1) * p) - 1, 0), resamples - 1)]
        for p in ((1 - confidence) / 2, (1 + confidence) / 2)
    )
    se = np.std(x, ddof=1) / math.sqrt(n)
    return np.mean(x) - high * se, np.mean(x) - low * se


def rerun(rows, series, confidence):
    units = [[np.mean(one) for one in by] for by in generations(rows, series).values()]
    if max(map(len, units)) == 1:
        units = [judged for by in generations(rows, series).values() for judged in by]
    df = sum(len(one) - 1 for one in units)
    pooled = sum(np.var(one) * len(one) for one in units) / df
    error = math.sqrt(pooled * sum(1 / len(one) for one in units)) / len(units)
    mean = np.mean(list(item_means(rows, series).values()))
    half = stats.t.ppf((1 + confidence) / 2, df) * error
    return error, (mean - half, mean + half)


def bradley_terry(rows, system, anchor):
    """Zermelo's iteration: strength = wins / Σ games / (own + other's strength)."""
    wins = defaultdict(float)
    by_pair = {pair: item_means(rows[pair], "value") for pair in rows}
    for (first, second), means in by_pair.items():
        wins[first, second] += sum(means.values())
        wins[second, first] += len(means) - sum(means.values())
    names = sorted({name for pair in wins for name in pair})
    strength = dict.fromkeys(names, 1.0)
    for _ in range(200_000):
        new = {}
        for one in names:
            games = sum((wins[one, o] + wins[o, one]) / (strength[one] + strength[o]) for o in names if o != one)
            new[one] = sum(wins[one, o] for o in names if o != one) / games
        new = {one: value / new[anchor] for one, value in new.items()}
        if max(abs(new[one] / strength[one] - 1) for one in names) < 1e-14:
            break
        strength = new
    return strength[system] / (strength[system] + strength[anchor])


def length_adjusted(rows):
    wins, longer = item_means(rows, "value"), item_means(rows, "longer")
    both = [item for item in wins if item in longer]
    win, x = np.array([wins[one] for one in both]), np.array([longer[one] for one in both])
    x = np.tanh(x / np.std(x, ddof=1))
    if min(np.mean(x >= 0), np.mean(x <= 0)) < 0.1:
        return None

    def gradient(w):
        rest = expit(w[0] * x + w[1]) - win
        return [np.sum(rest * x), np.sum(rest)]

    return float(expit(optimize.root(gradient, [0.0, 0.0], tol=1e-14).x[1]))


def expected(one, rows, record):
    """field → number of an estimate's record."""
    spec, series = record["spec"], one["series"]
    low, high, confidence = one["scale"]["low"], one["scale"]["high"], one["confidence"]
    mine = rows[one["metric"]][one["system"], one["opponent"] or ""]
    if series == "bradley_terry":
        return {"value": bradley_terry(rows[one["metric"]], one["system"], one["opponent"])}
    if series == "length_adjusted":
        return {"value": length_adjusted(mine)}
    means = item_means(mine, series)
    span, names = high - low, (one["metric"], one["system"], series)
    if one["against"]:
        span, other = span / 2, item_means(rows[one["metric"]][one["against"], one["opponent"] or ""], series)
        x, names = np.array([means[i] - other[i] for i in means if i in other]), (*names, one["against"])
    else:
        x = np.array(list(means.values()))
        names = (*names, one["opponent"]) if len({opponent for _, opponent in rows[one["metric"]]}) > 1 else names
    made = {"value": np.mean(x) if len(x) else None, "n_items": len(x)}
    if one["estimand"] == "rerun on these items":
        if one["interval"]["low"] is not None:
            made["se"], made["interval"] = rerun(mine, series, confidence)
        return made
    if len(x) > 1 and one["n_clusters"] is None:
        made["se"] = np.std(x, ddof=1) / math.sqrt(len(x))
    if not one["against"]:
        made["bounds"] = [np.mean(list(item_means(mine, series, end).values())) for end in (low, high)]
    padded, unit = np.append(x, (low, high)), (x - low) / (high - low)
    student, plus = (t_bounds(y, confidence) for y in (x, np.append(x, (-span / 2, span / 2))))
    resamples, trials = spec["statistics"]["resamples"], one["repeats"]
    made["bootstrap"] = lambda: bootstrap(x, confidence, names, spec["seed"], resamples)
    halves = 1 if np.all(np.abs(unit - np.round(unit)) < 1e-9) and trials == 1 else 2
    by_name = {
        "bootstrap": made["bootstrap"],
        "t": lambda: student,
        "plus_two_t": lambda: t_bounds(padded, confidence),
        "wilson": lambda: [low + end * (high - low) for end in wilson(np.mean(unit), len(x), confidence)],
        "wilson_neff": lambda: [low + e * (high - low) for e in wilson_neff(unit, halves * trials, confidence)],
        "paired_t+plus_two": lambda: (min(student[0], plus[0]), max(student[1], plus[1])),
    }
    if one["interval"]["low"] is not None and one["interval"]["method"] in by_name:
        made["interval"] = by_name[one["interval"]["method"]]()
    return made


def differences(folder):
    """(what, recorded, made again) of every number; and how many were compared."""
    record = json.loads((Path(folder) / "record.json").read_text())
    rows = defaultdict(lambda: defaultdict(list))
    for line in (Path(folder) / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        rows[row["metric"]][row["system"], row["opponent"]].append(row)
    compared, wrong = Counter(), []
    for one in (*record["estimates"], *record["differences"]):
        for field, made in expected(one, rows, record).items():
            there, scale = one[field], one["scale"]
            if field in ("interval", "bootstrap"):
                if there is None or there["low"] is None:
                    continue
                made = made() if callable(made) else made
                made = [min(max(end, scale["low"]), scale["high"]) for end in made]
                there = [there["low"], there["high"]]
            compared[field] += 1
            if (made is None) != (there is None) or (made is not None and not np.allclose(made, there, 1e-9, 1e-9)):
                wrong.append((f"{one['metric']} {one['system']} {one['series']} {field}", there, made))
    return wrong, compared


if __name__ == "__main__":
    wrong, compared = differences(sys.argv[1])
    print(*wrong, dict(compared), sep="\n")
    sys.exit(bool(wrong))
