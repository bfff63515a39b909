"""`judgekit ledger`: what it holds by backend and status, and nothing forgotten without a yes."""

import re

from judgekit.calls.ledger import Ledger, call_key
from judgekit.cli import execute
from judgekit.records import Message, Reply, Request


def test_replies_are_counted_and_forgotten_only_when_confirmed(tmp_path, capsys):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for number, status in enumerate(("complete", "complete", "refused")):
            identity = {"model": "m"}
            request = Request(messages=(Message(role="user", content=str(number)),))
            key, question = call_key(identity, "generate", request, 0, 0)
            ledger.put(key, question, identity, Reply(text="x", status=status))
    assert execute(["ledger", "stats", "--home", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "3 replies" in out
    assert re.search(r"status +complete +2\b", out)
    assert re.search(r"status +refused +1\b", out)
    prune = ["ledger", "prune", "--home", str(tmp_path), "--older-than"]
    assert execute([*prune, "0"]) != 0, "nobody said yes"
    capsys.readouterr()
    for days, forgotten in (("1", "0 replies"), ("0", "3 replies")):
        assert execute([*prune, days, "--yes"]) == 0
        assert capsys.readouterr().out.startswith(forgotten)


def test_damaged_replies_are_forgotten_alone(tmp_path, capsys):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put("key", "[1]", {}, Reply(text="85"))
    prune = ["ledger", "prune", "--home", str(tmp_path), "--yes"]
    assert execute([*prune, "--damaged"]) == 0
    assert capsys.readouterr().out == "0 replies forgotten\n"
    for words in ([], ["--damaged", "--older-than", "1"]):
        assert execute([*prune, *words]) == 2
        assert "give either --older-than DAYS or --damaged" in capsys.readouterr().err
