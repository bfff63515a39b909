"""A plugin that does not load, or does not keep the contract, is named, and hides no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from judgekit.cli import app, execute

HOOK = "import judgekit\n@judgekit.hookimpl\n"
BACKENDS = f"{HOOK}def judgekit_backends():\n    "
BROKEN = {
    "no_import": ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
    "no_syntax": ("def :", "SyntaxError"),
    "raises": (f"{BACKENDS}raise KeyError('x')", "failed in judgekit_backends: KeyError: 'x'"),
    "a_list": (f"{BACKENDS}return ['mine']", "TypeError: it returned list, where a mapping of names was due"),
    "nothing": (f"{BACKENDS}return None", "it returned NoneType"),
    "misspelt": (f"{HOOK}def judgekit_backend():\n    return {{}}", "a function that is no hook of judgekit"),
    "bad_command": (f"{HOOK}def judgekit_commands(app):\n    app.no_such_thing", "failed in judgekit_commands"),
    "clash": (f"{BACKENDS}return {{'openai': object}}", "plugin 'openai' offers the backend 'openai' too"),
}


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a plugin module under a name."""

    def install(name: str, source: str) -> None:
        (tmp_path / f"plugin_{name}.py").write_text(source)
        info = tmp_path / f"plugin_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plugin-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[judgekit]\n{name} = plugin_{name}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_listed_with_its_error_beside_the_others(
    name: str, plugin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, words = BROKEN[name]
    plugin(name, source)
    for command in (["plugins"], ["doctor"]):
        assert execute(command) == 2
        out, err = capsys.readouterr()
        assert words in out + err
        assert f"JUDGEKIT_BLOCK_PLUGINS={name}" in out + err
        assert "ollama" in out
        assert "Traceback" not in out + err
    monkeypatch.setenv("JUDGEKIT_BLOCK_PLUGINS", name)
    assert execute(["plugins"]) == 0
    assert execute(["doctor"]) == 0


@pytest.mark.parametrize("name", BROKEN)
def test_other_commands_stop_at_it_with_one_line(
    name: str, plugin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = BROKEN[name]
    plugin(name, source)
    monkeypatch.setattr(app, "_plugins_added", False)  # another test of this process may have added them
    code = execute(["list", "backends"]) if name != "bad_command" else execute(["--help"])
    assert code == 2
    err = capsys.readouterr().err
    assert f"JUDGEKIT_BLOCK_PLUGINS={name}" in err or "JUDGEKIT_BLOCK_PLUGINS=openai" in err
    assert "Traceback" not in err


def test_two_broken_ones_are_both_named(plugin, capsys: pytest.CaptureFixture[str]) -> None:
    plugin("one", "1 / 0")
    plugin("two", f"{BACKENDS}return 5")
    assert execute(["plugins"]) == 2
    out, err = capsys.readouterr()
    assert "ZeroDivisionError" in err
    assert "it returned int" in err
    assert out.count("BROKEN") == 2
