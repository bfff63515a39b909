"""The hooks: each documented and called by keyword, and kept by the commands' own watchers."""

import inspect

import pluggy
import pytest

from judgekit import hookspecs

HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("judgekit_")}


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_documented_and_typed(name):
    assert inspect.getdoc(HOOKS[name])
    assert {*inspect.signature(HOOKS[name]).parameters, "return"} == HOOKS[name].__annotations__.keys()


def test_the_commands_own_watchers_keep_the_contract():
    from judgekit.cli.progress import Progress

    manager = pluggy.PluginManager("judgekit")
    manager.add_hookspecs(hookspecs)
    assert manager.register(Progress("none"))
