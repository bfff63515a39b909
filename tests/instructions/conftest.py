"""What the tests of `judgekit data …` share."""

import json

import pytest

from judgekit.cli import execute


@pytest.fixture
def data(tmp_path, monkeypatch, capsys):
    """`judgekit data …` in a folder of its own: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        return execute(["data", *map(str, arguments)]), *capsys.readouterr()

    return run


@pytest.fixture
def written(tmp_path):
    """Write items as a file by its name; returns the name."""

    def write(items, name="items.json"):
        whole = name.endswith(".json")
        text = json.dumps(items, ensure_ascii=False) if whole else "".join(f"{json.dumps(one)}\n" for one in items)
        (tmp_path / name).write_text(text, "utf-8")
        return name

    return write
