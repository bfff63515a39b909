"""The numbers of a run made again from its rows, without judgekit: `recompute.py runs/ID` prints what differs."""

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
        if (value := fill if value is None else value) is not None:
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
    tails, se = ((1 - confidence) / 2, (1 + confidence) / 2), np.std(x, ddof=1) / math.sqrt(n)
    low, high = (t[min(max(round((resamples + 1) * p) - 1, 0), resamples - 1)] for p in tails)
    return np.mean(x) - high * se, np.mean(x) - low * se


def rerun(rows, series, confidence):
    units = [[np.mean(one) for one in by] for by in generations(rows, series).values()]
    if max(map(len, units)) == 1:
        units = [judged for by in generations(rows, series).values() for judged in by]
    df = sum(len(one) - 1 for one in units)
    error = math.sqrt(sum(np.var(one) * len(one) for one in units) / df * sum(1 / len(one) for one in units)) / len(
        units
    )
    mean = np.mean(list(item_means(rows, series).values()))
    half = stats.t.ppf((1 + confidence) / 2, df) * error
    return error, (mean - half, mean + half)


def bradley_terry(rows, system, anchor):
    """By the root of the likelihood's gradient in log-strengths, the anchor's being 0."""
    names = [anchor, *sorted({name for pair in rows for name in pair} - {anchor})]
    wins = np.zeros((len(names),) * 2)
    for (first, second), its in rows.items():
        a, b, means = names.index(first), names.index(second), item_means(its, "value")
        wins[[a, b], [b, a]] += sum(means.values()), len(means) - sum(means.values())

    def gradient(free):
        s = np.append(0, free)
        return np.sum(wins - (wins + wins.T) * expit(s[:, None] - s), axis=1)[1:]

    return expit(optimize.root(gradient, np.zeros(len(names) - 1), tol=1e-14).x[names.index(system) - 1])


def length_adjusted(rows):
    wins, longer = item_means(rows, "value"), item_means(rows, "longer")
    both = [item for item in wins if item in longer]
    win, x = np.array([wins[one] for one in both]), np.array([longer[one] for one in both])
    x = np.tanh(x / np.std(x, ddof=1))
    if min(np.mean(x >= 0), np.mean(x <= 0)) < 0.1:
        return None
    design = np.column_stack([x, np.ones(len(x))])
    return expit(optimize.root(lambda w: design.T @ (expit(design @ w) - win), [0.0, 0.0], tol=1e-14).x[1])


def expected(one, rows, record):
    """field → number of an estimate's record."""
    spec, series = record["spec"], one["series"]
    low, high, confidence = one["scale"]["low"], one["scale"]["high"], one["confidence"]
    mine = rows[one["metric"]][one["system"], one["opponent"] or ""]
    if series in ("bradley_terry", "length_adjusted"):
        paired = (rows[one["metric"]], one["system"], one["opponent"])
        return {"value": bradley_terry(*paired) if series == "bradley_terry" else length_adjusted(mine)}
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
        again = rerun(mine, series, confidence) if one["interval"]["low"] is not None else ()
        return made | dict(zip(("se", "interval"), again, strict=False))
    made |= {"se": np.std(x, ddof=1) / math.sqrt(len(x))} if len(x) > 1 and one["n_clusters"] is None else {}
    bounds = (
        [np.mean(list(item_means(mine, series, end).values())) for end in (low, high)] if not one["against"] else ()
    )
    made |= {"bounds": bounds} if bounds else {}
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


def counted(one, mine):
    """A statistic's number; None for one that is not counted here."""
    means = np.array(list(item_means(mine, "value").values()))
    twice = sum("asked twice" in verdict["detail"] for row in mine for verdict in row["verdicts"])
    counts = {"wins": np.sum(means > 0.5), "ties": np.sum(means == 0.5), "losses": np.sum(means < 0.5)}
    return {**counts, "asked_twice": twice}.get(one["name"])


def by_pair(lines, ids=None):
    rows = defaultdict(lambda: defaultdict(list))
    for row in (row for row in lines if ids is None or row["sample_id"] in ids):
        rows[row["metric"]][row["system"], row["opponent"]].append(row)
    return rows


def differences(folder):
    """(what, recorded, made again) of every number; and how many were compared."""
    read = {name: (Path(folder) / f"{name}.jsonl").read_text().splitlines() for name in ("rows", "samples")}
    record, lines = json.loads((Path(folder) / "record.json").read_text()), [json.loads(line) for line in read["rows"]]
    fields = {one["id"]: {**one["metadata"], "category": one["category"]} for one in map(json.loads, read["samples"])}
    compared, wrong, whole = Counter(), [], by_pair(lines)
    asked = [(one, whole) for one in (*record["estimates"], *record["differences"])]
    for part in record["breakdowns"]:
        for one in (*part["estimates"], *part["differences"]):
            ids = {sample_id for sample_id, its in fields.items() if its.get(part["field"]) == one["group"]}
            asked.append((one, by_pair(lines, ids)))
    for one in record["statistics"]:
        made = counted(one, whole[one["metric"]][one["system"], one["opponent"] or ""])
        compared["statistic"] += made is not None
        wrong += [] if made in (None, one["value"]) else [(one["label"], one["value"], made)]
    for one, rows in asked:
        for field, made in expected(one, rows, record).items():
            there, scale = one[field], one["scale"]
            if field in ("interval", "bootstrap"):
                there = [there["low"], there["high"]] if there is not None else [None]
                if there[0] is None:
                    continue
                made = np.clip(made() if callable(made) else made, scale["low"], scale["high"])
            compared[field] += 1
            if (made is None) != (there is None) or (made is not None and not np.allclose(made, there, 1e-9, 1e-9)):
                wrong.append((f"{one['metric']} {one['system']} {one['series']} {field}", there, made))
    return wrong, compared


if __name__ == "__main__":
    wrong, compared = differences(sys.argv[1])
    print(*wrong, dict(compared), sep="\n")
    sys.exit(bool(wrong))
