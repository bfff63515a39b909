"""`judgekit plugins`: the installed plugins and their offers."""

from __future__ import annotations

import click

from judgekit.cli import complain
from judgekit.cli.tables import print_table
from judgekit.plugins import blocked_by_environment, survey


@click.group("plugins", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> int:
    """List the installed plugins, their versions, and what each offers. Plugins run with your full rights.

    A broken one is listed as such, and ends this with 2. JUDGEKIT_BLOCK_PLUGINS=NAME,NAME leaves plugins out;
    `plugins: {only: [...]}` in a config pins them.
    """
    if context.invoked_subcommand is not None:
        return 0
    blocked = blocked_by_environment()
    working, wrong = survey(blocked)
    rows = [
        (info.name, f"{info.distribution} {info.version}", ", ".join(info.offers) or "commands or watchers only")
        for info in working
    ]
    rows += [(name, "", "BROKEN") for name in wrong]
    rows += [(name, "", "blocked by JUDGEKIT_BLOCK_PLUGINS") for name in sorted(blocked)]
    print_table("plugins", ("name", "from", "offers"), rows)
    for why in wrong.values():
        complain(why)
    return 2 if wrong else 0
