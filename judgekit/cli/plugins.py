"""`judgekit plugins`: the installed plugins and their offers."""

from __future__ import annotations

import click

from judgekit.cli import App, complain
from judgekit.cli.tables import print_table
from judgekit.plugins import blocked_by_environment, survey


class Plugins(click.Group):
    """The commands that plugins add, looked for when one is asked for: a broken plugin is listed all the same."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._added(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._added(ctx).get(cmd_name)

    def _added(self, ctx: click.Context) -> dict[str, click.Command]:
        app = ctx.find_root().command
        return app.added_to("plugins") if isinstance(app, App) else {}


@click.group("plugins", cls=Plugins, invoke_without_command=True)
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
