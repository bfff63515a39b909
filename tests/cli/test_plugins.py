"""`judgekit plugins`."""

import re

from judgekit.cli import execute


def test_a_plugin_can_be_blocked_by_the_environment(here, monkeypatch, capsys):
    monkeypatch.setenv("JUDGEKIT_BLOCK_PLUGINS", "gpt2,html")
    assert execute(["plugins"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"gpt2 +blocked by", out)
    assert "reporter html" not in out
