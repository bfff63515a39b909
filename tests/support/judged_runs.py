"""Records and rows of finished runs, with the scores and preferences that a test gives them."""

from __future__ import annotations

from judgekit.records import Row, Scale
from judgekit.results import Estimate, Interval, RunRecord

SCORE = Scale(label="judge score", low=0, high=100)
SHARE = Scale(label="win rate", low=0, high=1, unit="%")


def row(sample_id, value, *, metric="quality", system="sft", opponent="", repeat=0, judge_repeat=0, status="unparsed"):
    return Row(
        metric=metric, system=system, opponent=opponent, sample_id=sample_id, repeat=repeat, judge_repeat=judge_repeat,
        status="scored" if value is not None else status, value=value,
    )  # fmt: skip


def record_of(rows, run_id="run-a", scale=SCORE, metrics=None, seed=0):
    names = list(dict.fromkeys(row.metric for row in rows))
    none = Interval(method="t", low=None, high=None)
    estimates = [
        Estimate(metric=name, system="sft", scale=scale, value=None, confidence=0.95, interval=none, n_items=1)
        for name in names
    ]
    spec = {
        "name": "run", "data": {"loader": "instructions", "path": "gone.json"}, "seed": seed,
        "judges": {"main": {"backend": "parrot"}},
        "models": {name: {"backend": "gone"} for name in dict.fromkeys(row.system for row in rows)},
        "metrics": metrics or {name: {"type": "score", "judge": "main"} for name in names},
        "statistics": {"confidence": 0.95},
    }  # fmt: skip
    return RunRecord(
        run_id=run_id, name="run", judgekit_version="0", status="complete", spec=spec, inputs={}, plugins=(),
        identities={}, n_samples=len({row.sample_id for row in rows}), estimates=tuple(estimates),
        systems=tuple(dict.fromkeys(row.system for row in rows)),
    )  # fmt: skip


def scores(values, **place):
    return [row(f"s{number}", value, **place) for number, value in enumerate(values)]
