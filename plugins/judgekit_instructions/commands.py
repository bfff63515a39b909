"""`judgekit data …`: instruction data from the command line."""

from __future__ import annotations

import click


def add_to(group: click.Group) -> None:
    """Add the commands to `judgekit data`."""
    from judgekit_instructions.converting import convert

    group.add_command(convert)
