"""Finished runs in memory and on disk, and files of labels, as the tests give them."""

import csv
import json
from pathlib import Path

import pytest

from judged_runs import record_of, scores
from judgekit.folder import RunFolder
from judgekit.matching import measured
from judgekit.records import Response, Sample


@pytest.fixture
def found():
    def make(values, **place):
        rows = scores(values, **place)
        return measured(record_of(rows), rows, rows[0].metric)

    return make


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
