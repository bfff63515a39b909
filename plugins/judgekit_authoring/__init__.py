"""For authors of plugins: `judgekit plugins new` writes one, `judgekit plugins check` tries one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import judgekit

if TYPE_CHECKING:
    import click


@judgekit.hookimpl
def judgekit_commands(app: click.Group) -> None:
    from judgekit_authoring.commands import check, new

    group = judgekit.command_group(app, "plugins", "Write a plugin, or try one.")
    group.add_command(new)
    group.add_command(check)
