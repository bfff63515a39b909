"""A run's folder: what is written is read back, and a folder that is no run is named."""

import json

import pytest

from gate_folders import a_run
from judgekit.cli import execute
from judgekit.errors import DataError
from judgekit.run_folder import RECORD, RunFolder


def test_what_is_written_is_read_back(tmp_path):
    folder = RunFolder(a_run(tmp_path / "run", {"quality": {"a": [1, None, 3], "b": [4, 5, 6]}}))
    view = folder.view()
    assert [row.value for row in view.rows if row.system == "a"] == [1, None, 3]
    assert len(list(view.samples)) == 3
    assert {response.system for response in view.responses} == {"a", "b"}
    before = (folder.path / RECORD).read_bytes()
    folder.write_record(view.record)
    assert (folder.path / RECORD).read_bytes() == before


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema_version": 999}', '{"run_id": 3}'])
def test_what_is_no_record_is_named(tmp_path, content):
    (tmp_path / RECORD).write_text(content)
    with pytest.raises(DataError) as caught:
        RunFolder(tmp_path).view()
    assert caught.value.place.startswith(str(tmp_path / RECORD))
    (tmp_path / RECORD).unlink()
    with pytest.raises(DataError) as caught:
        RunFolder(tmp_path).view()
    assert caught.value.place == str(tmp_path / RECORD)


def test_a_field_of_tomorrow_is_no_field_of_today(tmp_path):
    folder = RunFolder(a_run(tmp_path / "run", {"quality": {"a": [1, 2]}}))
    tree = json.loads((folder.path / RECORD).read_text())
    (folder.path / RECORD).write_text(json.dumps(tree | {"tomorrow": 1}))
    with pytest.raises(DataError):
        folder.view()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", ".", "", "..\\x", "C:x", "a\0"])
@pytest.mark.parametrize("command", ["gate", "report", "compare", "baseline show", "agreement", "selfcheck", "rescore"])
def test_a_system_leads_to_no_other_folder(name, command, tmp_path, capsys):
    folder = RunFolder(a_run(tmp_path / "run", {"quality": {"a": [1, 2]}}))
    tree = json.loads((folder.path / RECORD).read_text())
    (folder.path / RECORD).write_text(json.dumps(tree | {"systems": ["a", name]}))
    more = {
        "gate": ["--min", "1"],
        "compare": [folder.path],
        "agreement": [folder.path],
        "rescore": ["--judge", "main"],
    }
    if command == "rescore":
        (tmp_path / "judges.yaml").write_text("judges: {main: {preset: book}}")
        more["rescore"] += ["--config", tmp_path / "judges.yaml"]
    given = [*command.split(), folder.path, *more.get(command, ())]
    assert execute([str(one) for one in given]) == 2
    assert "leads out of the run's folder" in capsys.readouterr().err
