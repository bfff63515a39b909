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

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from judgekit.errors import DataError, StorageError
from judgekit.files import Anew, JsonLines, _sha256, damage, ordinary, write_atomically
from judgekit.records import Response, Row, Sample
from judgekit.results import RunRecord, RunView
from judgekit.text import counted

RECORD = "record.json"
BASELINE = "baseline.json"
TIMING = "timing.json"
SPEEDS = "tokens_per_second"  # in it: of each training


@functools.lru_cache(maxsize=256)
def _sha256_at(path: Path, size: int, changed: int) -> str:
    """The sha256 of a file as it was at that size and time: a process that opens a run again does not hash it again."""
    return _sha256(path)


def _check(lines: JsonLines[Any], written: str | None) -> None:
    """Raises StorageError, with the first damaged line where there is one, for a file that is not as it was written.

    `written` is its sha256 in the record; None where the record has none.
    """
    path = lines.path
    way_out = "restore it from a copy, or make the run again: the ledger holds its replies"
    try:
        state = path.stat()
        if written is not None and _sha256_at(path.absolute(), state.st_size, state.st_mtime_ns) == written:
            return
    except FileNotFoundError:
        raise StorageError(f"is missing, and belongs to the run: {way_out}", path=path) from None
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", path=path) from None
    if written is None:
        raise StorageError(f"{RECORD} has no sha256 of it, so it may be anything: {way_out}", path=path)
    try:
        there = counted(sum(1 for _ in lines), "line")
    except DataError as error:
        raise StorageError(f"{error.message}; {way_out}", path=error.place) from None
    raise StorageError(f"damaged: its {there} are not what the run wrote (its sha256 differs); {way_out}", path=path)


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

    def written(self, system: str) -> Iterable[Response]:
        """The system's responses; none where it has no file."""
        responses = self.responses(system)
        return responses if responses.path.is_file() else ()

    def write_record(self, record: RunRecord) -> None:
        tree = record.model_dump(mode="json", exclude=None if record.empty else {"empty"})
        text = json.dumps(tree, indent=1, sort_keys=True, allow_nan=False)
        write_atomically(self.path / RECORD, text.encode("ascii") + b"\n")

    def view(self) -> RunView:
        """The finished run. Raises what `record` does, and StorageError for a file that is not as the run wrote it."""
        record = self.record()
        _check(self.samples, record.files.get("samples.jsonl"))
        _check(self.rows, record.files.get("rows.jsonl"))
        files = []
        for system in record.systems:
            responses, written = self.responses(system), record.files.get(f"responses/{system}.jsonl")
            if written is not None or responses.path.exists():
                _check(responses, written)
                files.append(responses)
        return RunView(record, self.samples, Anew(lambda: chain.from_iterable(files)), self.rows)

    def record(self) -> RunRecord:
        """The record alone. Raises DataError where it is missing, damaged or of a newer judgekit."""
        path = self.path / RECORD
        try:
            tree = json.loads(ordinary(path).read_text("ascii"))
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
        if outside := [name for name in record.systems if not _is_file_name(name)]:
            raise DataError(
                f"damaged: a system is named {outside[0]!r}, which leads out of the run's folder", path=path
            )
        return record


def _is_file_name(name: str) -> bool:
    """Whether `responses/NAME.jsonl` is in that folder, here and on other systems."""
    return name.strip(". ") != "" and not any(sign in name for sign in "/\\:\0")


def timed(folder: RunFolder) -> dict[str, Any]:
    """The content of timing.json; empty if it is missing or damaged, since no result depends on it."""
    try:
        tree = json.loads((folder.path / TIMING).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}
