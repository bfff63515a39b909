"""docs/ci.md: its tests run as they stand there, and what it names is there."""

import re

import click

from judgekit.cli.gate import command
from judgekit.plugins import Catalogue, build_manager
from judgekit_pytest.rules import KEYS


def page(checkout):
    return (checkout / "docs" / "ci.md").read_text("utf-8")


def test_the_docs_name_every_key_and_their_tests_are_python(checkout):
    rows = dict(re.findall(r"^\| `([\w-]+)` \| `--([\w-]+)` \|", page(checkout), re.MULTILINE))
    options = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    assert {f"--{option}" for option in rows.values()} <= options
    manager = build_manager(only=["ci"])
    assert set(rows) == {*Catalogue(manager).names("reporters"), "json"}
    (said,) = re.findall(r"^- A marker takes (.*?)\(", page(checkout), re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`(\w+)`", said)) == set(KEYS)
    (code,) = re.findall(r"```python\n(.*?)```", page(checkout), re.DOTALL)
    compiled = compile(code, "docs/ci.md", "exec")
    assert {"test_quality", "test_no_worse_than_the_release", "test_gate", "test_one_answer"} <= set(compiled.co_names)
