"""`judgekit rescore` and `judgekit agreement` as commands, over a real server."""

from judged_runs import scores
from judgekit.cli import execute
from judgekit.testing import ChatServer
from scoring import in_process, prepare

CALLS = 12


def test_responses_are_judged_again_over_a_real_server_once(tmp_path, capsys):
    with ChatServer() as server:
        assert in_process(prepare(tmp_path, server.url, CALLS, 4)).returncode == 0
        (first,) = (tmp_path / "runs").iterdir()
        (tmp_path / "items.json").unlink()  # the system's responses and the data
        judges = tmp_path / "judges.yaml"
        judges.write_text(
            f"judges:\n  strict: {{backend: openai, base_url: {server.url}, model: other, prompt: score/integer, "
            "control_items: 0}\n"
        )
        words = ["rescore", str(first), "--judge", "strict", "--config", str(judges), "--progress", "none"]
        words += ["-o", str(tmp_path / "runs"), "--home", str(tmp_path / "home")]
        before = server.counts().total()
        assert execute([*words, "--dry-run"]) == 0
        assert server.counts().total() == before
        assert f"stored in {first.name}" in capsys.readouterr().out
        assert execute(words) == 0
        out = capsys.readouterr().out
        assert f"A: judge main of {first.name}" in out
        assert "12 responses" in " ".join(out.split())
        assert server.counts().total() == before + CALLS
        assert execute(words) == 0
        assert server.counts().total() == before + CALLS  # the ledger has them all
    (second,) = (run for run in (tmp_path / "runs").iterdir() if run != first)
    assert (second / "summary.json").is_file()
    capsys.readouterr()
    assert execute(["agreement", str(first), str(second)]) == 0
    assert "12 responses" in " ".join(capsys.readouterr().out.split())


def test_what_cannot_be_rescored_is_one_clear_error(stored, tmp_path, capsys):
    run = stored(scores([1, 2]))
    cases = [
        (["rescore", str(run), "--judge", "mian"], "no judge is named 'mian'; did you mean 'main'? (there are: main)"),
        (["rescore", str(tmp_path / "gone"), "--judge", "main"], "name the folder of a finished run"),
        (["rescore", str(run), "--judge", "main", "--config", str(tmp_path / "no.yaml")], "no.yaml: no such file"),
        (["rescore", str(run), "--judge", "main"], "no backend is named 'parrot'"),
        (["rescore", str(run)], "Missing option '--judge'"),
    ]
    for words, message in cases:
        assert execute(words) == 2
        err = capsys.readouterr().err
        assert message in err, err
        assert "Traceback" not in err
