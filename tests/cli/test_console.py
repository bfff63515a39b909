"""What reaches a terminal: no control characters, and no command of a CI system."""

from judgekit.cli import execute


def test_terminal_controls_never_reach_the_terminal(here, capsys):
    with (here / "judgekit.yaml").open("a") as config:
        config.write('"\\e[31mred\\u202e": 1\n')
    assert execute(["validate"]) == 2
    err = capsys.readouterr().err
    assert "\\x1b[31mred\\u202e" in err
    assert "\x1b" not in err
    assert "\u202e" not in err
