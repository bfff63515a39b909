"""`judgekit data fetch` against a real server on this machine."""

import hashlib
import io
import re
import tarfile

import pytest

import judgekit
import judgekit.data
from hub import nobody_there, serving
from judgekit_instructions import fetch
from tables import each


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")


def archive(members):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_sets_are_pinned_and_unknown_ones_told(data):
    assert set(fetch.SETS) == {"alpaca", "dolly", "book", "mmlu"}
    for one in fetch.SETS.values():
        assert re.fullmatch(r"[0-9a-f]{64}", one.sha256)
        assert one.address.startswith("https://")
        assert one.licence
    code, out, _ = data("fetch")
    assert code == 0
    for name in (*fetch.SETS, "CC BY-NC 4.0", "CC BY-SA 3.0", "Apache-2.0", "MIT"):
        assert name in out
    code, _, err = data("fetch", "alpacca")
    assert (code, "no public set is named 'alpacca'; did you mean 'alpaca'?" in err) == (2, True)


def test_the_books_file_is_the_one_that_is_pinned(shared_data):
    content = (shared_data / "instructions" / "instruction-data.json").read_bytes()
    assert sha256(content) == fetch.SETS["book"].sha256


def test_a_set_is_fetched_checked_and_not_fetched_again(data, tmp_path, shared_data):
    content = (shared_data / "instructions" / "instruction-data.json").read_bytes()
    with serving({"instruction-data.json": content}, "/there") as hub:
        fetch_book = ("fetch", "book", "--address", f"{hub.address}/there/instruction-data.json")
        code, out, err = data(*fetch_book)
        assert (code, out) == (0, "data/book/instruction-data.json\n")
        assert "licence: Apache-2.0" in err
        assert (tmp_path / out.strip()).read_bytes() == content
        assert data(*fetch_book)[0] == 0
        assert hub.asked == [("instruction-data.json", "")]
    assert len(judgekit.data.read_items(tmp_path / out.strip())) == 1100


def test_a_cut_download_goes_on(data, tmp_path, shared_data):
    content = (shared_data / "instructions" / "instruction-data.json").read_bytes()
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "instruction-data.json.part").write_bytes(content[:1000])
    with serving({"instruction-data.json": content}, "/there") as hub:
        address = f"{hub.address}/there/instruction-data.json"
        assert data("fetch", "book", "--address", address, "--into", "x")[0] == 0
        assert hub.asked == [("instruction-data.json", "bytes=1000-")]
    assert (tmp_path / "x" / "instruction-data.json").read_bytes() == content


def test_other_bytes_are_refused_unless_they_are_pinned(data, tmp_path):
    content = b'[{"instruction": "a", "output": "b"}]'
    with serving({"alpaca_data.json": content}, "/there") as hub:
        fetch_it = ("fetch", "alpaca", "--into", "x", "--address", f"{hub.address}/there/alpaca_data.json")
        code, _, err = data(*fetch_it)
        assert (code, f"gave other bytes than the published ones (sha256 {sha256(content)})" in err) == (2, True)
        assert not list((tmp_path / "x").iterdir())
        assert data(*fetch_it, "--sha256", sha256(content).upper())[0] == 0
        assert data(*fetch_it, "--sha256", "abc")[0] == 2


def test_an_archive_is_unpacked_and_nothing_beside_it(data, tmp_path, monkeypatch):
    members = {"data/dev/a_dev.csv": "q,1,2,3,4,A\n", "data/._junk": "x", "other/b.csv": "y"}
    content = archive(members)
    with serving({"data.tar": content}, "/there") as hub:
        arguments = ("--into", "mmlu", "--address", f"{hub.address}/there/data.tar", "--sha256", sha256(content))
        code, out, _ = data("fetch", "mmlu", *arguments)
    assert (code, out) == (0, "mmlu/data\n")
    assert (tmp_path / "mmlu" / "data" / "dev" / "a_dev.csv").read_text() == members["data/dev/a_dev.csv"]
    assert sorted(path.name for path in (tmp_path / "mmlu").rglob("*")) == ["a_dev.csv", "data", "data.tar", "dev"]


@each(
    (b"no archive at all", "cannot be unpacked"),
    (archive({"other/a": "x"}), "has no folder 'data'"),
    (archive({"data/../../out": "x"}), "has no folder 'data'"),
)
def test_an_archive_that_is_none_is_an_error(content, message, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data.tar").write_bytes(content)
    with pytest.raises(judgekit.DataError, match=message):
        fetch.unpacked(tmp_path / "in" / "data.tar", "data")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_without_a_network_one_line_says_what_to_do(data):
    with nobody_there() as address:
        code, _, err = data("fetch", "dolly", "--address", f"{address}/dolly.jsonl")
    assert code == 4
    message = err.splitlines()[-1]
    assert f"{address}/dolly.jsonl: no connection" in message
    assert "bring databricks-dolly-15k.jsonl from there into data/dolly by hand" in message
    assert "--address" in message
