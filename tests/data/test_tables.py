"""CSV, TSV, Parquet, Arrow, gzip and zstd are read as JSON is: the same items, or an error with its line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from judgekit.data import read_instructions, read_objects
from judgekit.errors import DataError

ROWS = [
    {"id": "a", "question": "Which is larger, 1 or 2?", "answer": 'It is "2".'},
    {"id": "b", "question": "Two\nlines; and | a bar", "answer": "Yes, they are."},
    {"id": "c", "question": "한국어?", "answer": "네"},
]


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def csv_text(delimiter: str) -> str:
    lines = [delimiter.join(ROWS[0]), *(delimiter.join(map(quoted, row.values())) for row in ROWS)]
    return "\n".join(lines) + "\n"


def by_pyarrow(path: Path) -> None:
    import pyarrow
    from pyarrow import feather, parquet

    table = pyarrow.Table.from_pylist(ROWS)
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        feather.write_feather(table, str(path))


def by_stream(path: Path) -> None:
    import pyarrow

    table = pyarrow.Table.from_pylist(ROWS)
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def zstd(path: Path) -> None:
    import pyarrow

    with pyarrow.output_stream(str(path), compression="zstd") as stream:
        stream.write("".join(json.dumps(row) + "\n" for row in ROWS).encode())


WRITTEN: dict[str, Callable[[Path], object]] = {
    "x.json": lambda path: path.write_text(json.dumps(ROWS)),
    "x.jsonl": lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in ROWS)),
    "x.csv": lambda path: path.write_text(csv_text(","), "utf-8"),
    "semicolons.csv": lambda path: path.write_text(csv_text(";"), "utf-8"),
    "bars.csv": lambda path: path.write_text(csv_text("|"), "utf-8"),
    "tabs.csv": lambda path: path.write_text(csv_text("\t"), "utf-8"),
    "x.tsv": lambda path: path.write_text(csv_text("\t"), "utf-8"),
    "excel.csv": lambda path: path.write_bytes(("\ufeff" + csv_text(";").replace("\n", "\r\n")).encode("utf-8")),
    "utf16.csv": lambda path: path.write_bytes(csv_text(",").encode("utf-16")),
    "x.csv.gz": lambda path: path.write_bytes(gzip.compress(csv_text(",").encode())),
    "x.jsonl.gz": lambda path: path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in ROWS).encode())),
    "x.parquet": by_pyarrow,
    "x.feather": by_pyarrow,
    "x.arrow": by_stream,
    "x.jsonl.zst": zstd,
}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_kind_of_file_gives_the_same_items(name: str, tmp_path: Path) -> None:
    if Path(name).suffix in (".parquet", ".feather", ".arrow", ".zst"):
        pytest.importorskip("pyarrow")
    WRITTEN[name](tmp_path / name)
    items = read_instructions(tmp_path / name)
    said = [(item.sample.id, item.sample.instruction, item.sample.reference) for item in items]
    folded = [(id.replace("\r", ""), q.replace("\r\n", "\n"), a) for id, q, a in said]
    assert folded == [tuple(row.values()) for row in ROWS]


BAD: dict[str, tuple[str, str]] = {
    "quotes that never close": ('id,question\na,"never\nb,c\n', r"x\.csv:2: not CSV: .* in the row that begins here"),
    "another number of columns": ("id,question\na,b\nc,d,e\n", r"x\.csv:3: 3 columns, and the header names 2"),
    "a name twice": ("id,question,id\na,b,c\n", r"x\.csv:1: two columns are named 'id'"),
    "a column without a name": ("id,,question\na,b,c\n", r"x\.csv:1: column 2 has no name"),
    "nothing": ("", r"x\.csv: is empty"),
    "a header alone": ("id,question\n", r"x\.csv: has no items"),
    "no dialect": ("id,question\na;b\nc|d|e\n", r"x\.csv:2: 1 column, and the header names 2 .*comma"),
    "no question": ("a,b\n1,2\n", r"x\.csv:2: no 'instruction'"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_table_that_cannot_be_read_is_an_error_with_its_line(what: str, tmp_path: Path) -> None:
    text, said = BAD[what]
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_instructions(tmp_path / "x.csv")


def test_bytes_of_two_encodings_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("question,answer\nWhat?,é\n".encode() + "Who?,ñ\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"x\.csv:3: not UTF-8 text: .*; save it as UTF-8"):
        read_instructions(tmp_path / "x.csv")


def test_what_is_packed_badly_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b'{"instruction": "x"}')[:-9])
    with pytest.raises(DataError, match="not gzip, though it begins like it"):
        read_instructions(tmp_path / "x.jsonl.gz")
    (tmp_path / "x.json").write_bytes(b"PAR1 and so on")
    with pytest.raises(DataError, match=r"is Parquet: such a file ends in \.parquet"):
        read_instructions(tmp_path / "x.json")


def test_nested_columns_are_read_and_broken_ones_refused(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    talk = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello yourself"}]
    parquet.write_table(arrow.Table.from_pylist([{"messages": talk}]), tmp_path / "x.parquet")
    (item,) = read_instructions(tmp_path / "x.parquet")
    assert (item.sample.instruction, item.sample.reference, item.place) == ("Hello", "Hello yourself", "row 1")
    parquet.write_table(arrow.Table.from_pylist([{"messages": "Hello"}]), tmp_path / "y.parquet")
    with pytest.raises(DataError, match=r"y\.parquet: row 1: 'messages' should be a list"):
        read_instructions(tmp_path / "y.parquet")
    (tmp_path / "z.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"z\.parquet: cannot be read"):
        read_instructions(tmp_path / "z.parquet")


def test_rows_that_cannot_be_read_are_left_out_and_told(tmp_path: Path) -> None:
    text = '{"instruction": "a"}\nnonsense\n{"instruction": 2}\n[1]\n{"instruction": "b"}\n{"instruction": ""}\n'
    (tmp_path / "x.jsonl").write_text(text)
    bad: list[DataError] = []
    assert [item.sample.instruction for item in read_instructions(tmp_path / "x.jsonl", bad=bad)] == ["a", "b"]
    assert sorted(error.place.rpartition(":")[2] for error in bad) == ["2", "3", "4", "6"]
    (tmp_path / "x.csv").write_text("question,answer\na,b\nc\nd,e\n")
    bad.clear()
    assert [item.sample.instruction for item in read_instructions(tmp_path / "x.csv", bad=bad)] == ["a", "d"]
    assert len(bad) == 1
    with pytest.raises(DataError, match=r"x\.jsonl:2"):
        list(read_objects(tmp_path / "x.jsonl"))


def test_a_delimiter_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("question:answer\na,b:c,d\n")
    (entry,) = read_objects(tmp_path / "x.csv", ":")
    assert entry.fields == {"question": "a,b", "answer": "c,d"}
