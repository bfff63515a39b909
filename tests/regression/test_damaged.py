"""A run whose files are not as it wrote them: whatever reads its folder ends with 6 and names the file."""

import json

import pytest

import judgekit
from gate_folders import a_run, drawn
from judgekit.cli import execute
from judgekit.errors import StorageError
from judgekit.run_folder import RunFolder

BASE = drawn(40, 1)
FILES = ("samples.jsonl", "rows.jsonl", "responses/sft.jsonl")
HARMS = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut at a line": lambda path: path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:15])),
    "cut in a line": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "another number": lambda path: path.write_bytes(path.read_bytes().replace(b"s003", b"s004", 1)),
    "missing": lambda path: path.unlink(),
}


@pytest.fixture
def run(tmp_path):
    return a_run(tmp_path / "run", {"quality": {"sft": BASE}}, spec={"reports": ["json"]})


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", HARMS)
def test_no_file_is_read_that_is_not_as_the_run_wrote_it(run, name, harm):
    RunFolder(run).view()
    HARMS[harm](run / name)
    with pytest.raises(StorageError) as raised:
        RunFolder(run).view()
    assert raised.value.place.startswith(str(run / name))
    assert "make the run again" in raised.value.message


def test_every_command_that_reads_a_run_ends_with_6(run, tmp_path, capsys):
    other = a_run(tmp_path / "other", {"quality": {"sft": BASE}})
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps([{"id": f"s{i:03}", "score": 50} for i in range(40)]))
    assert execute(["baseline", "set", str(run), str(tmp_path / "b.json")]) == 0
    (run / "rows.jsonl").write_bytes(b"")
    for words in (
        ("gate", run, "--metric", "quality", "--min", "1"),
        ("gate", run, "--metric", "quality", "--margin", "9", "--baseline", tmp_path / "b.json"),
        ("compare", other, run),
        ("compare", run, other),
        ("baseline", "set", run, tmp_path / "b2.json"),
        ("baseline", "diff", run, tmp_path / "b.json"),
        ("report", run),
        ("report", run, "--format", "html", "--redact"),
        ("report", run, other),
        ("selfcheck", run),
        ("agreement", run, other),
        ("agreement", run, "--labels", labels, "--metric", "quality"),
        ("rescore", run, "--judge", "main"),
        ("data", "reflect", run, "--into", tmp_path / "pairs"),
    ):
        capsys.readouterr()
        code = execute([str(word) for word in words])
        out, err = capsys.readouterr()
        assert code == 6, (words, code, out, err)
        assert f"{run / 'rows.jsonl'}: damaged" in err
    assert not (tmp_path / "b2.json").exists()


def test_the_door_for_python_refuses_it_too(run):
    (run / "rows.jsonl").write_bytes(b"")
    with pytest.raises(StorageError, match=r"rows\.jsonl"):
        judgekit.read_run(run)


def test_a_record_that_vouches_for_no_file_is_refused(run):
    record = RunFolder(run).record()
    RunFolder(run).write_record(record.model_copy(update={"files": {}}))
    with pytest.raises(StorageError, match="no sha256"):
        RunFolder(run).view()


def test_a_list_of_runs_reads_no_more_than_their_records(run, capsys):
    (run / "rows.jsonl").unlink()
    assert execute(["list", "runs", "-o", str(run.parent)]) == 0
    assert str(run) in capsys.readouterr().out.replace("\n", "")
