"""The log of a training: the curve, the samples and the summary that a trainer writes beside its product."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from judgekit.files import storage_errors, write_atomically
from judgekit.results import CurvePoint, TrainingSample

CURVE = "training.jsonl"
TOKENS = "tokens"  # the measure of a training's curve that says how many targets it has learnt from so far
SAMPLES = "samples.jsonl"
SUMMARY = "summary.json"


@dataclass(frozen=True)
class TrainingLog:
    """The files of a training that the core reads, as a trainer writes them: the curve and the samples grow while it is
    under way, and go back to where they were when it goes on from an earlier state. All methods raise StorageError."""

    folder: Path

    def add(self, line: CurvePoint | TrainingSample) -> None:
        """Append a point to the curve, or a sample to the samples."""
        path = self.folder / (CURVE if isinstance(line, CurvePoint) else SAMPLES)
        with storage_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(line.model_dump_json() + "\n")

    def lengths(self) -> dict[str, int]:
        """The bytes of each file so far, to be kept with a state: see `cut`."""
        return {name: _size(self.folder / name) for name in (CURVE, SAMPLES)}

    def cut(self, lengths: Mapping[str, int]) -> bool:
        """Cut the files to these lengths; false, and nothing is cut, if one of them is shorter."""
        here = self.lengths()
        if any(here[name] < length for name, length in lengths.items()):
            return False
        for name, length in lengths.items():
            if here[name] > length:
                with storage_errors(self.folder / name):
                    os.truncate(self.folder / name, length)
        return True

    def clear(self) -> None:
        """Empty the files: nothing has been logged yet."""
        self.cut(dict.fromkeys((CURVE, SAMPLES), 0))

    def sum_up(self, summary: Mapping[str, JsonValue]) -> None:
        """Write the summary of the data for the report, unless it is empty."""
        if summary:
            write_atomically(self.folder / SUMMARY, json.dumps(summary).encode() + b"\n")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
