"""Records and rows of finished runs, with the scores and preferences that a test gives them; and fixtures that write
such runs and files of labels."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from judgekit.agreement.agreement import Terms, with_labels
from judgekit.agreement.labels import read_labels
from judgekit.records import Response, Row, Sample, Scale
from judgekit.results import Estimate, Interval, RunRecord
from judgekit.run_folder import RunFolder

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


def by_name(agreement):
    return {figure.name: figure for figure in agreement.figures}


def compared(found, labels, content, name="labels.csv", **terms):
    return with_labels(found, read_labels(labels(content, name)), Terms(**terms))


def scores(values, **place):
    return [row(f"s{number}", value, **place) for number, value in enumerate(values)]


@pytest.fixture
def labels(tmp_path):
    """Write labels: rows of dicts as CSV, or a text with the given suffix."""

    def write(content, name="labels.csv"):
        path: Path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content, "utf-8")
        elif path.suffix == ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(dict.fromkeys(key for one in content for key in one)))
                writer.writeheader()
                writer.writerows(content)
        else:
            path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def stored(tmp_path):
    """A run's folder with these rows."""

    def write(rows, run_id="run-a", texts=None, **changes):
        folder = RunFolder(tmp_path / "runs" / run_id)
        ids = dict.fromkeys(row.sample_id for row in rows)
        files = {
            "rows.jsonl": folder.rows.write(rows),
            "samples.jsonl": folder.samples.write([Sample(id=one, instruction=one) for one in ids]),
        }
        for system in dict.fromkeys(row.system for row in rows):
            mine = dict.fromkeys((row.sample_id, row.repeat) for row in rows if row.system == system)
            files[f"responses/{system}.jsonl"] = folder.responses(system).write(
                Response(system=system, sample_id=one, repeat=repeat, text=(texts or {}).get(one, f"answer to {one}"))
                for one, repeat in mine
            )
        folder.write_record(record_of(rows, run_id, **changes).model_copy(update={"files": files}))
        return folder.path

    return write
