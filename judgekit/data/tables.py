"""Files of rows: CSV and TSV (with a header), Parquet and Arrow, and what is packed by gzip or zstd.

A cell of CSV is a text; an empty one is a field that is not there. What else a file may hold is in json_files.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from judgekit.errors import DataError
from judgekit.files import ordinary
from judgekit.text import counted, install_hint

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
TABLES = (".csv", ".tsv", ".tab")
COLUMNS = (".parquet", ".arrow", ".feather", ".ipc")
PACKED = (".gz", ".zst")
_LOOKED_AT = 50  # rows by which the delimiter is told


def kind_of(path: Path) -> str:
    """The suffix that says what a file holds, whatever it is packed with."""
    return (Path(path.stem) if path.suffix.lower() in PACKED else path).suffix.lower()


def content_of(path: Path) -> bytes:
    """The file's bytes, unpacked. Raises DataError where it cannot be read."""
    try:
        content = ordinary(path).read_bytes()
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None
    if content.startswith(b"\x1f\x8b"):
        try:
            return gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"not gzip, though it begins like it: {error}", path=path) from None
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        arrow = _arrow(path)
        try:
            unpacked: bytes = arrow.input_stream(io.BytesIO(content), compression="zstd").read()
        except arrow.ArrowException as error:
            raise DataError(f"not zstd, though it begins like it: {error}", path=path) from None
        return unpacked
    if content.startswith(b"PAR1") and kind_of(path) not in COLUMNS:
        raise DataError("is Parquet: such a file ends in .parquet", path=path)
    return content


def rows_of_table(
    text: str, path: Path, delimiter: str | None = None, bad: list[DataError] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, fields) of every row. Raises DataError with file and line: no header, a name twice, a row of another
    length, quotes that never close."""
    sign = delimiter or ("\t" if kind_of(path) in (".tsv", ".tab") else _delimiter(text, path))
    header: list[str] = []
    for line, row in _rows(text, sign, path):
        if not header:
            header = _checked([name.strip() for name in row], sign, path, line)
            continue
        if len(row) != len(header):
            wrong = f"{counted(len(row), 'column')}, and the header names {len(header)}"
            said = f"{wrong} (taken for the delimiter: {DELIMITERS.get(sign, sign)})"
            error = DataError(said, path=path, line=line)
            if bad is None:
                raise error
            bad.append(error)
            continue
        yield line, {name: cell for name, cell in zip(header, row, strict=True) if cell.strip()}


def rows_of_columns(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet or Arrow file; fields that are null are left out. Raises DataError."""
    arrow = _arrow(path)
    try:
        for batch in _batches(path):
            for row in batch.to_pylist():
                yield {name: value for name, value in row.items() if value is not None}
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"cannot be read: {str(error).splitlines()[0]}", path=path) from None


def _batches(path: Path) -> Iterator[Any]:
    if kind_of(path) == ".parquet":
        with import_module("pyarrow.parquet").ParquetFile(ordinary(path)) as file:
            _unlike(file.schema_arrow.names, path)
            yield from file.iter_batches(batch_size=1000)
        return
    ipc = import_module("pyarrow.ipc")
    with ordinary(path).open("rb") as source:
        try:
            opened = ipc.open_file(source)
        except ValueError:  # ArrowInvalid: the streaming format
            source.seek(0)
            opened = ipc.open_stream(source)
        _unlike(opened.schema.names, path)
        yield from (
            (opened.get_batch(place) for place in range(opened.num_record_batches))
            if hasattr(opened, "num_record_batches")
            else opened
        )


def _arrow(path: Path) -> Any:
    try:
        return import_module("pyarrow")
    except ImportError:
        raise DataError(f"{kind_of(path) or 'zstd'} is read by pyarrow, {install_hint('data')}", path=path) from None


def _rows(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line that each begins on; blank lines are none."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for row in rows:
            if row:
                yield begins, row
            begins = rows.line_num + 1
    except csv.Error as error:
        raise DataError(f"not CSV: {error} in the row that begins here", path=path, line=begins) from None


def _delimiter(text: str, path: Path) -> str:
    """The sign that divides the first rows into the most columns, as many in each. A file of one column has none."""
    columns = {sign: _columns(text, sign, path) for sign in DELIMITERS}
    best = max(DELIMITERS, key=lambda sign: columns[sign])
    return best if columns[best] > 1 else ","


def _columns(text: str, delimiter: str, path: Path) -> int:
    """How many columns all of the first rows have; 0 where they differ."""
    counts = set()
    try:
        for place, (_, row) in enumerate(_rows(text, delimiter, path)):
            counts.add(len(row))
            if place == _LOOKED_AT:
                break
    except DataError:
        return 0
    return counts.pop() if len(counts) == 1 else 0


def _checked(header: list[str], delimiter: str, path: Path, line: int) -> list[str]:
    _unlike(header, path, line)
    if "" in header:
        place = header.index("") + 1
        raise DataError(f"column {place} has no name; the first row names the columns", path=path, line=line)
    if len(header) == 1 and any(sign in header[0] for sign in DELIMITERS if sign != delimiter):
        raise DataError("its rows have different numbers of columns, whatever divides them", path=path, line=line)
    return header


def _unlike(names: list[str], path: Path, line: int | None = None) -> None:
    twice = next((name for name, times in Counter(names).items() if times > 1 and name), None)
    if twice is not None:
        raise DataError(f"two columns are named {twice!r}", path=path, line=line)
