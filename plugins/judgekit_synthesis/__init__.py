"""Instruction data that models write: Self-Instruct, Evol-Instruct, and pairs of preferences from verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import judgekit

if TYPE_CHECKING:
    import click

OPERATIONS = ("deepen", "constrain", "concretise", "reason", "complicate", "breadth")  # of `evolve`


@judgekit.hookimpl
def judgekit_commands(app: click.Group) -> None:
    from judgekit_synthesis.commands import add_to

    add_to(judgekit.command_group(app, "data", "Convert, split, mix, check and make instruction data."))
