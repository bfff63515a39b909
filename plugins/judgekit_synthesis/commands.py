"""`judgekit data self-instruct | evolve | reflect` from the command line."""

from __future__ import annotations

import click


def add_to(group: click.Group) -> None:
    """Add the commands to `judgekit data`."""
