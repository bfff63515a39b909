"""What is shipped with the ways to make data: seeds, prompts, help and docs."""

import re

import pytest

import judgekit
import judgekit.data
from judgekit.cli import app, execute
from judgekit.prompting.templates import Prompts
from judgekit_synthesis import filters
from judgekit_synthesis.novelty import Novelty

COMMANDS = ("self-instruct", "evolve", "reflect")
PROMPTS = Prompts()
NAMES = [name for name in PROMPTS.names() if name.startswith("synthesis/")]


def test_the_seeds_pass_the_rules_themselves(checkout):
    items = judgekit.data.read_instructions(checkout / "examples" / "synthesis" / "seeds.json")
    assert len(items) >= 40
    known, pattern = Novelty(0.7), filters.forbidden_pattern(filters.FORBIDDEN)
    for item in items:
        sample = item.sample
        assert filters.task_fault(sample.instruction, (4, 150), pattern, ascii_only=True) == ""
        assert not known.near(sample.instruction), sample.instruction
        known.add(sample.instruction)
        assert sample.reference
        if item.fields["classification"]:
            assert sample.input
            assert len(sample.reference.split()) == 1
    assert sum(item.fields["classification"] for item in items) >= 10
    assert len({item.sample.category for item in items}) >= 30


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith((".ko", "_open"))])
def test_a_prompt_in_another_form_takes_and_gives_the_same(name):
    other, chat = PROMPTS.get(name), PROMPTS.get(name.removesuffix(".ko").removesuffix("_open"))
    assert other.variables.keys() == chat.variables.keys()
    assert other.front.reading == chat.front.reading
    assert other.front.tokens
    assert chat.front.tokens
    assert other.turns[-1][0] == ("assistant" if name.endswith("_open") else "user")


@pytest.mark.parametrize("name", [name for name in NAMES if "evolve" in name])
def test_every_operation_has_words_of_its_own(name):
    from judgekit_synthesis.evolve import OPERATIONS

    said = {PROMPTS.get(name).render(operation=operation, task="Name a tree.") for operation in OPERATIONS}
    assert len(said) == len(OPERATIONS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    assert execute(["data", name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"Usage: judgekit data {name}" in out
    assert "--budget KEY=VALUE" in out


def test_the_docs_name_options_that_there_are(checkout):
    import click

    context = click.Context(app)
    group = app.get_command(context, "data")
    assert isinstance(group, click.Group)
    known = {option for name in COMMANDS for option in _options(group.commands[name])}
    text = (checkout / "docs" / "synthesis.md").read_text("utf-8")
    named = set(re.findall(r"(?<![\w-])(--?[a-z][\w-]*)", text)) - {
        "--from",
        "-m",
        "-s",
    }  # of `judgekit gpt2 dpo` and of pytest
    assert named <= known, named - known
    for name in COMMANDS:
        assert f"judgekit data {name}" in text


def _options(command):
    return [option for parameter in command.params for option in parameter.opts]
