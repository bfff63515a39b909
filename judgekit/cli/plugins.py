"""`judgekit plugins`: who offers what."""

from __future__ import annotations

import click


@click.command("plugins")
def command() -> None:
    """List the installed plugins, their versions, and what each offers. Plugins run with your full rights.

    JUDGEKIT_BLOCK_PLUGINS=NAME,NAME leaves plugins out; `plugins: {only: [...]}` in a config pins them.
    """
    from judgekit.cli.results import print_table
    from judgekit.plugins import blocked_by_environment, build_manager, describe

    blocked = blocked_by_environment()
    rows = [
        (info.name, f"{info.distribution} {info.version}", ", ".join(info.offers) or "commands or watchers only")
        for info in describe(build_manager(block=blocked))
    ]
    rows += [(name, "", "blocked by JUDGEKIT_BLOCK_PLUGINS") for name in sorted(blocked)]
    print_table("plugins", ("name", "from", "offers"), rows)
