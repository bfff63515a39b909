"""`judgekit data convert` as it is typed."""

import json

import pytest

from judgekit.cli import execute


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    """Exit code, stdout and stderr of the command, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = execute(["data", "convert", *arguments])
        return code, *capsys.readouterr()

    return run


def test_a_file_is_converted_and_converted_back(tmp_path, convert):
    items = [{"id": "a", "instruction": "Give the plural.", "input": "mouse", "output": "mice"}]
    (tmp_path / "a.json").write_text(json.dumps(items))
    done = convert("a.json", "b.jsonl", "--to", "sharegpt")
    assert done == (0, "b.jsonl\n", "1 item, alpaca → sharegpt\n")
    assert convert("b.jsonl", "c.json", "--from", "vicuna", "--to", "alpaca")[0] == 0
    assert json.loads((tmp_path / "c.json").read_text()) == items


def test_a_loss_is_refused_and_counted_when_it_is_asked_for(tmp_path, convert):
    talk = {"messages": [{"role": role, "content": "x"} for role in ("user", "assistant", "user", "assistant")]}
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(talk)}\n" * 2)
    lost = "turns after the first of 2 items (from line 1 on)"
    refused = f"error: a.jsonl:1: alpaca cannot hold {lost}; --lossy drops it\n"
    assert convert("a.jsonl", "b.json", "--to", "alpaca") == (2, "", refused)
    assert not (tmp_path / "b.json").exists()
    done = convert("a.jsonl", "b.json", "--to", "alpaca", "--lossy")
    assert done == (0, "b.json\n", f"dropped: {lost}\n2 items, messages → alpaca\n")
    assert convert("a.jsonl", "b.json", "--to", "messages")[0] == 2, "nothing is replaced without --force"


def test_a_mapping_renames_fields_and_bad_ones_are_refused(tmp_path, convert):
    (tmp_path / "a.json").write_text('[{"question": "a", "answer": "b"}]')
    names = ("--map", "instruction=question", "--map", "output=answer")
    assert convert("a.json", "b.json", "--from", "alpaca", "--to", "dolly", *names)[0] == 0
    assert json.loads((tmp_path / "b.json").read_text()) == [{"instruction": "a", "context": "", "response": "b"}]
    code, _, said = convert("a.json", "c.json", "--to", "dolly", "--map", "instruction")
    assert (code, "write FIELD=NAME" in said) == (2, True)
    code, _, said = convert("a.json", "c.json", "--to", "dolly", "--map", "instruction=queston", "--from", "alpaca")
    assert (code, "a.json:1: item 1: no 'queston' (instruction)" in said) == (2, True)
