"""The command line: one file per command, loaded when it is asked for."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from judgekit import __version__
from judgekit.errors import Interrupted, JudgekitError

# Command → (module, one line of help). Modules are imported when their command runs, so `--help` stays fast.
COMMANDS = {
    "init": ("init", "Write a starter config into a folder."),
    "run": ("run", "Train, generate, judge, and write the report."),
    "compare": ("compare", "Compare two runs, or two systems of one, item by item."),
    "gate": ("gate", "Hold a run against a baseline: PASS, FAIL or INCONCLUSIVE."),
    "baseline": ("baseline", "Write, show or compare the item scores that later runs are held against."),
    "selfcheck": (
        "selfcheck",
        "Measure on a run's own scores what its intervals cover, and how often a gate cries wolf.",
    ),
    "agreement": ("agreement", "Compare verdicts with people's labels, or two runs with each other."),
    "rescore": ("rescore", "Judge a run's stored responses again with another judge."),
    "report": ("report", "Make a run's reports again from its record."),
    "validate": ("validate", "Check a config without running it."),
    "schema": ("schema", "Print the JSON Schema of the config."),
    "list": ("listing", "List runs, backends, metrics, prompts and what else there is."),
    "plugins": ("plugins", "List the installed plugins and what each offers; write one, or try one."),
    "doctor": ("doctor", "Check the installation, or whether one backend answers."),
    "ledger": ("ledger", "Look at, or prune, the store of every reply."),
}


class App(click.Group):
    """The core's commands, and those that plugins add by the hook judgekit_commands."""

    _plugins_added = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._add_plugins()
        return [*COMMANDS, *(name for name in super().list_commands(ctx) if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command: click.Command = importlib.import_module(f"judgekit.cli.{COMMANDS[cmd_name][0]}").command
            return command
        self._add_plugins()
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from judgekit.text import did_you_mean

            hint = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"no command is named {args[0]!r}{hint}; see judgekit --help", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from the table above: no command's module is imported for it."""
        self._add_plugins()
        rows = [(name, text) for name, (_, text) in COMMANDS.items()]
        added = [(name, command) for name, command in sorted(self.commands.items()) if name not in COMMANDS]
        rows += [(name, command.get_short_help_str(limit=100)) for name, command in added]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def added_to(self, name: str) -> dict[str, click.Command]:
        """The commands that plugins add to a group of the core's."""
        self._add_plugins()
        group = self.commands.get(name)
        return dict(group.commands) if isinstance(group, click.Group) else {}

    def _add_plugins(self) -> None:
        if self._plugins_added:
            return
        self._plugins_added = True
        from judgekit.plugins import add_commands, blocked_by_environment, build_manager

        add_commands(build_manager(block=blocked_by_environment()), self)


@click.command(cls=App, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="judgekit")
def app() -> None:
    """Evaluate language models with judges whose errors are counted, and whose numbers carry honest intervals."""


def main(args: Sequence[str] | None = None) -> None:
    """The console script. Exit codes: errors.py, and 0 / 1 for gates."""
    from judgekit.cli.interrupts import for_one_time, leave
    from judgekit.cli.streams import open_streams

    open_streams()
    for_one_time(signal.SIGINT)
    code = execute(args)
    if code == Interrupted.exit_code:
        leave()
    sys.exit(code)


def execute(args: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: where its output could not be written, that error's."""
    from judgekit.cli.streams import Unread, unwritten

    code = _executed(args)
    if (lost := unwritten()) is None:
        return code
    if not isinstance(lost, Unread):  # whose reader has gone wants to hear no more
        complain(str(lost))
    return lost.exit_code


def _executed(args: Sequence[str] | None) -> int:
    """Our own errors and those of plugins are one line, others show their traceback."""
    from judgekit.cli.streams import unwritten

    try:
        outcome: Any = app.main(
            args=list(args) if args is not None else None, prog_name="judgekit", standalone_mode=False
        )
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt, Interrupted) as error:
        complain(str(error) if isinstance(error, Interrupted) and str(error) else "interrupted")
        return 130
    except JudgekitError as error:
        if error is not unwritten():  # else it is said at the end
            complain(str(error))
        return error.exit_code
    except Exception as error:
        import traceback

        from judgekit.plugins import fault_of
        from judgekit.secrets import scrub

        if (fault := fault_of(error)) is not None:
            complain(str(fault))
            return fault.exit_code
        sys.stderr.write(scrub(traceback.format_exc()))
        complain("internal error: please report the lines above; nothing that was committed is lost")
        return 70
    except BaseException as error:  # SystemExit and its like: no command raises them, so a plugin did
        from judgekit.plugins import exit_of

        exited = exit_of(error)
        complain(str(exited))
        return exited.exit_code
    return outcome if isinstance(outcome, int) else 0


def complain(message: str) -> None:
    """Errors on stderr, each line marked, keys and terminal controls taken out."""
    from judgekit.cli.console import printable
    from judgekit.secrets import scrub

    for line in scrub(message).splitlines() or [""]:
        click.echo(click.style("error: ", fg="red", bold=True) + printable(line), err=True)
