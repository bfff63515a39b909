"""Plugins that hang, exit or print: an error that names the plugin, within its deadline."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from judgekit.errors import PluginError, UsageError
from judgekit.hookspecs import hookimpl
from judgekit.plugins import Catalogue, NoEnd, aside, build_manager, deadline


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> None:
    (folder / f"{name}.py").write_text(code)
    known = folder / f"{name}-1.0.dist-info"
    known.mkdir()
    (known / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (known / "entry_points.txt").write_text(f"[judgekit]\n{name} = {name}\n")
    monkeypatch.syspath_prepend(str(folder))


HOOK = "import judgekit, time\n@judgekit.hookimpl\ndef judgekit_{hook}:\n    {body}\n"


@pytest.mark.parametrize(
    ("hook", "body", "said"),
    [
        ("run_finished(record)", "time.sleep(60)", "plugin 'bad0' hangs in judgekit_run_finished: no end after 0.2 s"),
        ("run_finished(record)", "while True: pass", "plugin 'bad1' hangs in judgekit_run_finished"),
        ("run_finished(record)", "raise SystemExit(0)", "'bad2' raised SystemExit: 0 in judgekit_run_finished"),
        ("run_finished(record)", "raise BaseException('x')", "'bad3' raised BaseException: x in judgekit_run_finished"),
        ("run_finished(record)", "raise GeneratorExit", "'bad4' raised GeneratorExit: +in judgekit_run_finished"),
        ("metrics()", "time.sleep(60)", "'bad5' failed in judgekit_metrics: NoEnd"),
        ("metrics()", "return {1: None, 'a': None}", "'bad6' failed in judgekit_metrics: TypeError: it offers 1, and"),
        ("metrics()", "return {'': None}", "it offers '', and a name is a text"),
        ("metrics()", "return ['a']", "it returned list"),
    ],
    ids=range(9),
)
def test_a_hook_that_does_not_behave_is_named(
    hook: str, body: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    number = request.node.callspec.id
    install(tmp_path, monkeypatch, f"bad{number}", HOOK.format(hook=hook, body=body))
    monkeypatch.setenv("JUDGEKIT_HOOK_SECONDS", "0.2")
    manager = build_manager(only=[f"bad{number}"])
    began = time.monotonic()
    with pytest.raises(PluginError, match=said) as caught:
        manager.hook.judgekit_run_finished(record=None) if "run" in hook else Catalogue(manager)
    assert f"JUDGEKIT_BLOCK_PLUGINS=bad{number}" in str(caught.value)
    assert time.monotonic() - began < 30


def test_a_plugin_that_hangs_while_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "slow", "import time\ntry:\n    time.sleep(60)\nexcept Exception:\n    pass\n")
    monkeypatch.setenv("JUDGEKIT_HOOK_SECONDS", "0.2")
    with pytest.raises(PluginError, match=r"plugin 'slow' .*no end after 0.2 s"):
        build_manager()


def test_ctrl_c_in_a_hook_stays_ctrl_c() -> None:
    class Interrupting:
        @hookimpl
        def judgekit_run_finished(self, record: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_manager(only=(), extra=[Interrupting()]).hook.judgekit_run_finished(record=None)


def test_anothers_timer_goes_on() -> None:
    def ignore(number: int, frame: object) -> None:
        pass

    before = signal.signal(signal.SIGALRM, ignore)
    try:
        signal.setitimer(signal.ITIMER_REAL, 500)
        with deadline():
            pass
        assert signal.getsignal(signal.SIGALRM) is ignore
        assert 400 < signal.setitimer(signal.ITIMER_REAL, 0)[0] <= 500
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_limit_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGEKIT_HOOK_SECONDS", "soon")
    with pytest.raises(UsageError, match="JUDGEKIT_HOOK_SECONDS"), deadline():
        pass
    assert not issubclass(NoEnd, Exception)


def test_what_a_plugin_prints_is_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    with aside():
        print("said")
    assert capsys.readouterr() == ("", "said\n")
