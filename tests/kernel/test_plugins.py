"""A plugin that does not load, or does not keep the contract, is named, and hides no other."""

import sys

import pytest

from judgekit import run_config
from judgekit.cli import app, execute
from judgekit.errors import PluginError

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
    "old_import": ("from judgekit import Series", "it is judgekit.Scale now"),
    "old_attribute": ("import judgekit\nread = judgekit.read_items", "it is judgekit.data.read_items now"),
    "old_argument": (f"{HOOK}def judgekit_run_started(run_id, spec):\n    pass", "the argument is `config` now"),
    "clash": (f"{BACKENDS}return {{'openai': object}}", "plugin 'openai' offers the backend 'openai' too"),
}


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Installs a plugin module under a name."""

    def install(name, source):
        (tmp_path / f"plugin_{name}.py").write_text(source)
        info = tmp_path / f"plugin_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plugin-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[judgekit]\n{name} = plugin_{name}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_listed_beside_the_others_and_other_commands_stop_at_it(name, plugin, capsys, monkeypatch):
    source, words = BROKEN[name]
    plugin(name, source)
    monkeypatch.setattr(app, "_plugins_added", False)  # another test of this process may have added them
    assert execute(["list", "backends"] if name != "bad_command" else ["--help"]) == 2
    err = capsys.readouterr().err
    assert f"JUDGEKIT_BLOCK_PLUGINS={name}" in err or "JUDGEKIT_BLOCK_PLUGINS=openai" in err
    assert "Traceback" not in err
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


def test_two_broken_ones_are_both_named(plugin, capsys):
    plugin("one", "1 / 0")
    plugin("two", f"{BACKENDS}return 5")
    assert execute(["plugins"]) == 2
    out, err = capsys.readouterr()
    assert "ZeroDivisionError" in err
    assert "it returned int" in err
    assert out.count("BROKEN") == 2


PARTS = """\
import sys
import judgekit

HOW = {how!r}
AT = {at!r}


def reach(place):
    if place == AT:
        exec(HOW)


class Backend(judgekit.Backend):
    def __init__(self, *given):
        super().__init__(*given)
        reach("factory")

    def identity(self):
        reach("identity")
        return super().identity()

    def check(self):
        reach("check")
        return []

    def generate(self, requests):
        reach("generate")
        return [judgekit.Reply(text="yes") for _ in requests]

    def close(self):
        reach("close")


class Metric(judgekit.Metric):
    def series_of(self, judged):
        reach("series")
        return {{"value": judgekit.Scale(label="mine", low=0, high=1)}}

    def rows(self, study):
        reach("rows")
        return iter(())


def reporter(run, sections):
    reach("reporter")
    return {{}}


@judgekit.hookimpl
def judgekit_backends():
    reach("judgekit_backends")
    return {{"mine": Backend}}


@judgekit.hookimpl
def judgekit_metrics():
    return {{"mine": Metric}}


@judgekit.hookimpl
def judgekit_reporters():
    return {{"mine": reporter}}


@judgekit.hookimpl
def judgekit_check(config, trainers, samples):
    reach("judgekit_check")
    return []


@judgekit.hookimpl
def judgekit_row_done(row):
    reach("judgekit_row_done")


@judgekit.hookimpl
def judgekit_report_sections(run):
    reach("judgekit_report_sections")
    return []


reach("import")
"""
RUN = """\
name: t
data: {path: data.json}
models: {a: {backend: mine}}
metrics: {mine: {type: mine}, e: {type: exact_match}}
reports: [mine]
"""
PLACES = (
    *("import", "judgekit_backends", "factory", "identity", "check", "generate", "close", "series", "rows", "reporter"),
    *("judgekit_check", "judgekit_row_done", "judgekit_report_sections"),
)


@pytest.fixture
def run(plugin, tmp_path, monkeypatch):
    """Runs a config whose backend, metric and reporter are of the plugin `parts`, which does `how` at `at`."""

    def start(at, how):
        monkeypatch.delitem(sys.modules, "plugin_parts", raising=False)
        plugin("parts", PARTS.format(at=at, how=how))
        (tmp_path / "data.json").write_text('[{"instruction": "Say yes.", "output": "yes"}]')
        (tmp_path / "judgekit.yaml").write_text(RUN)
        monkeypatch.chdir(tmp_path)
        return execute(["run", "judgekit.yaml", "--progress", "none"])

    return start


@pytest.mark.parametrize("at", ["check", "series", "rows", "reporter", "judgekit_report_sections"])
def test_a_plugin_that_raises_is_named_in_one_line(at, run, capsys):
    assert run(at, "raise ValueError('one\\ntwo')") == 2
    err = capsys.readouterr().err
    assert "'parts'" in err
    assert "ValueError: one two" in err
    assert len(err.splitlines()) == 1


ENDS = {
    "raise SystemExit": "SystemExit",
    "import asyncio; raise asyncio.CancelledError": "CancelledError",
    "sys.exit('bye')": "SystemExit: bye",
}
PARTLY = ("import", "judgekit_backends", "check", "generate", "rows")


@pytest.mark.parametrize(
    ("at", "how", "said"),
    [
        *((at, "sys.exit(0)", "SystemExit: 0") for at in PLACES),
        *((at, how, said) for at in PARTLY for how, said in ENDS.items()),
    ],
)
def test_a_plugin_that_exits_is_named(at, how, said, run, capsys):
    assert run(at, how) == 2
    err = capsys.readouterr().err
    for part in ("'parts'", said, "JUDGEKIT_BLOCK_PLUGINS=parts"):
        assert part in err
    assert "Traceback" not in err


@pytest.mark.parametrize("at", [*PARTLY, "reporter"])
def test_an_interrupt_in_a_plugin_stays_one(at, run):
    assert run(at, "raise KeyboardInterrupt") == 130


def test_a_plugin_without_exits_runs(run):
    assert run("nowhere", "sys.exit(0)") == 0


@pytest.mark.parametrize("at", ["factory", "generate", "rows"])
def test_in_python_it_is_a_plugin_error(at, run, tmp_path):
    assert run("nowhere", "") == 0
    sys.modules["plugin_parts"].AT, sys.modules["plugin_parts"].HOW = at, "sys.exit(0)"
    for ledger in tmp_path.glob(".judgekit/ledger*"):
        ledger.unlink()
    with pytest.raises(PluginError, match="plugin 'parts' raised SystemExit"):
        run_config(tmp_path / "judgekit.yaml")
