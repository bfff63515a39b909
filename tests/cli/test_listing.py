"""`judgekit list`: runs, prompts, and what every plugin offers."""

import pytest

from gate_folders import a_run
from judgekit.cli import execute
from judgekit.cli.listing import KINDS


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "runs"])
def test_everything_that_is_offered_is_listed(kind, capsys):
    from judgekit.plugins import Catalogue, build_manager
    from judgekit.prompting.templates import Prompts

    assert execute(["list", kind]) == 0
    first = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert set(Prompts().names() if kind == "prompts" else Catalogue(build_manager()).offers(kind)) <= first


def test_finished_runs_are_listed_and_none_is_said(tmp_path, capsys):
    assert execute(["list", "runs", "-o", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert (out, str(tmp_path) in err) == ("", True)
    a_run(tmp_path / "one", {"quality": {"a": [1, 2], "b": [3, 4]}})
    assert execute(["list", "runs", "-o", str(tmp_path)]) == 0
    assert "a, b" in capsys.readouterr().out
