"""`judgekit doctor`: the installation, or one backend in detail."""

from judgekit.cli import execute
from judgekit.testing import closed_port


def test_the_installation_is_told_line_by_line(capsys):
    assert execute(["doctor"]) == 0
    out = capsys.readouterr().out
    for name in ("judgekit", "torch", "plugin html"):
        assert name in out


def test_a_backend_whose_server_is_down_is_not_well(capsys):
    host = f"127.0.0.1:{closed_port()}"
    assert execute(["doctor", "ollama", "--set", f"host={host}", "--set", "model=m"]) != 0
    assert host in capsys.readouterr().out
    assert execute(["doctor", "ollama", "--set", "modle=m"]) == 2
