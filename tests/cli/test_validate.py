"""`judgekit validate`: good, or everything that is wrong, and what could not be checked."""

import json

from judgekit.cli import execute


def said(capsys, folder, **config):
    """(exit code, the lines on checks that did not run)"""
    (folder / "items.json").write_text(
        json.dumps([{"id": "1", "instruction": "Say hello.", "output": "Hello.", "a": "x"}])
    )
    tree = {
        "name": "checked",
        "data": {"path": "items.json"},
        "models": {"a": {"backend": "responses", "path": "items.json", "field": "a"}},
        "metrics": {"exact": {"type": "exact_match"}},
    }
    (folder / "judgekit.yaml").write_text(json.dumps(tree | config))
    code = execute(["validate", str(folder / "judgekit.yaml")])
    return code, [line for line in capsys.readouterr().out.splitlines() if line.startswith("not checked: ")]


def test_where_everything_was_checked_nothing_is_said(tmp_path, capsys):
    assert said(capsys, tmp_path) == (0, [])


def test_a_backend_on_a_checkpoint_to_come_is_asked_later(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("Once upon a time. " * 50)
    model = {"layers": 1, "heads": 1, "width": 8}
    base = {"trainer": "gpt2-pretrain", "data": "text.txt", "model": model, "tokenizer": {"bpe": 257}}
    models = {"gpt": {"backend": "gpt2", "checkpoint": "train:base"}}
    code, lines = said(capsys, tmp_path, train={"base": base}, models=models)
    assert code == 0
    assert len(lines) == 1
    assert "models.gpt" in lines[0]


def test_what_errors_kept_from_being_checked(tmp_path, capsys):
    code, lines = said(capsys, tmp_path, against="nobody", gate={"exact": {"min": 0.5}})
    assert code == 2
    assert [line.split(":")[1].strip() for line in lines] == ["whether the backends answer", "gate"]
    code, lines = said(capsys, tmp_path, data={"path": "nowhere.json"})
    assert code == 2
    assert any("metrics.exact" in line for line in lines)


def test_validate_says_good_or_everything_that_is_wrong(here, capsys):
    assert execute(["validate"]) == 0
    assert "judgekit.yaml: good (1 model, 0 judges, 1 metric, 6 samples)" in capsys.readouterr().out
    assert execute(["validate", "--set", "against=x", "--set", "reports=[pdf]"]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 2
