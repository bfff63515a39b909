"""`judgekit data …`: instruction data from the command line."""

from __future__ import annotations

import click


def add_to(group: click.Group) -> None:
    """Add the commands to `judgekit data`."""
    from judgekit_instructions.contamination import contamination
    from judgekit_instructions.converting import convert
    from judgekit_instructions.fetch import fetch
    from judgekit_instructions.mix import mix
    from judgekit_instructions.quality import quality
    from judgekit_instructions.split import split

    for command in (convert, split, mix, quality, contamination, fetch):
        group.add_command(command)
