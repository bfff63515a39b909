"""A run's folder on disk: its files, written atomically, and read back.

runs/<id>/record.json            manifest and estimates
          samples.jsonl          every sample, one a line
          responses/<system>.jsonl
          rows.jsonl             every measured row
          timing.json            wall clock and call counts; the only file that differs between equal runs
          baseline.json          a copy of the baseline that the run was compared with, if it was
          report.html, …         made from the files above
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgekit.errors import DataError
from judgekit.files import JsonLines, damage, write_atomically
from judgekit.records import Response, Row, Sample
from judgekit.results import RunRecord, RunView

RECORD = "record.json"
BASELINE = "baseline.json"
TIMING = "timing.json"
SPEEDS = "tokens_per_second"  # in it: of each training


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def samples(self) -> JsonLines[Sample]:
        return JsonLines(self.path / "samples.jsonl", Sample)

    @property
    def rows(self) -> JsonLines[Row]:
        return JsonLines(self.path / "rows.jsonl", Row)

    def responses(self, system: str) -> JsonLines[Response]:
        return JsonLines(self.path / "responses" / f"{system}.jsonl", Response)

    def write_record(self, record: RunRecord) -> None:
        text = json.dumps(record.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False)
        write_atomically(self.path / RECORD, text.encode("ascii") + b"\n")

    def view(self) -> RunView:
        """The finished run. Raises DataError where the record is missing, damaged or of a newer judgekit."""
        path = self.path / RECORD
        try:
            tree = json.loads(path.read_text("ascii"))
            version = tree.get("schema_version") if isinstance(tree, dict) else None
            if isinstance(version, int) and version > RunRecord.model_fields["schema_version"].default:
                raise DataError(
                    f"written by a newer judgekit (schema {version}); update judgekit to read it", path=path
                )
            record = RunRecord.model_validate(tree)
        except FileNotFoundError:
            raise DataError("no such file: name the folder of a finished run (runs/<id>)", path=path) from None
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=path) from None
        except (ValueError, RecursionError) as error:
            raise DataError(damage(error), path=path) from None
        return RunView(record, self.samples, _Responses(self, record.systems), self.rows)


@dataclass(frozen=True)
class _Responses:
    """All systems' responses, one system after the other."""

    folder: RunFolder
    systems: tuple[str, ...]

    def __iter__(self) -> Iterator[Response]:
        for system in self.systems:
            if self.folder.responses(system).path.is_file():
                yield from self.folder.responses(system)


def timed(folder: RunFolder) -> dict[str, Any]:
    """The content of timing.json; empty if it is missing or damaged, since no result depends on it."""
    try:
        tree = json.loads((folder.path / TIMING).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}
