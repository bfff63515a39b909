"""A fresh plugin manager per run, and the catalogue of what the plugins offer. No module-level manager.

A plugin's code is called within a deadline, and with what it prints on standard error: standard output belongs to the
command, and may be JSON.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from judgekit import hookspecs
from judgekit.doors import new_name_of
from judgekit.errors import PluginError, UsageError
from judgekit.secrets import know_environment, one_line
from judgekit.text import DISTRIBUTION, did_you_mean, one_of

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    import click

    from judgekit.contracts import Executor
    from judgekit.results import PluginInfo

GROUP = "judgekit"
NEEDED = frozenset({"threads"})  # plugins without which no run goes: loaded whatever `only` names, unless blocked
SINGULAR = {
    "datasets": "loader",
    "backends": "backend",
    "readings": "reading",
    "trainers": "trainer",
    "metrics": "metric",
    "reporters": "reporter",
    "prompts": "prompt prefix",
    "executors": "executor",
}
KINDS = tuple(SINGULAR)
SECONDS = 120.0  # that one call of a hook may take; JUDGEKIT_HOOK_SECONDS sets another limit


def blocked_by_environment() -> frozenset[str]:
    """Names in JUDGEKIT_BLOCK_PLUGINS (comma-separated)."""
    return frozenset(name.strip() for name in os.environ.get("JUDGEKIT_BLOCK_PLUGINS", "").split(",") if name.strip())


def build_manager(
    *, block: Collection[str] = (), only: Collection[str] | None = None, extra: Iterable[object] = ()
) -> pluggy.PluginManager:
    """A manager with every installed plugin that is not blocked, and (if `only` is given) is named there or NEEDED.

    Raises PluginError naming the plugin that is broken, misspelt or unknown.
    """
    know_environment()  # before any plugin can say a key in an error
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    points = {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}
    for name in [*block, *(only or ())]:
        if name not in points:
            raise PluginError(f"no plugin is named {name!r}{did_you_mean(name, points)}")
    for name, point in sorted(points.items()):
        if name in block or (only is not None and name not in {*only, *NEEDED}):
            continue
        try:
            with aside(), deadline():
                manager.register(point.load(), name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit in it, too
            owner = point.dist.name if point.dist else "unknown distribution"
            why = f"is broken: {type(error).__name__}: {error}{new_name_of(error)}"
            raise PluginError(f"plugin {name!r} ({owner}) {why}. {_way_out(name)}") from error
    for plugin in extra:
        manager.register(plugin)
    _watch(manager)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        name = manager.get_name(error.plugin) or "?"
        why = f"plugin {name!r} has a function that is no hook of judgekit: {error}"
        raise PluginError(f"{why}. {_way_out(name)}") from error
    return manager


def _watch(manager: pluggy.PluginManager) -> None:
    """Have every call of a hook end in time, and print aside."""
    blocks: list[contextlib.ExitStack] = []  # of the calls under way in this thread

    def before(hook_name: str, hook_impls: Any, kwargs: Any) -> None:
        if not hook_impls or threading.current_thread() is not threading.main_thread():
            return
        blocks.append(contextlib.ExitStack())
        blocks[-1].enter_context(aside())
        blocks[-1].enter_context(deadline())

    def after(outcome: pluggy.Result[Any], hook_name: str, hook_impls: Any, kwargs: Any) -> None:
        if hook_impls and threading.current_thread() is threading.main_thread():
            blocks.pop().close()
        error = outcome.exception
        if error is not None and not isinstance(error, Exception | KeyboardInterrupt):
            outcome.force_exception(exit_of(error, hook_name))

    manager.add_hookcall_monitoring(before, after)


@dataclass(frozen=True)
class Offer:
    """One thing a plugin offers: a factory (or prompt folder), and the plugin it comes from."""

    value: Any
    owner: str


class Catalogue:
    """What the plugins offer, by kind and name. A name offered twice is an error with two known owners."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._offers: dict[str, dict[str, Offer]] = {kind: _collect(manager, kind) for kind in KINDS}

    def names(self, kind: str) -> list[str]:
        return sorted(self._offers[kind])

    def offers(self, kind: str) -> Mapping[str, Offer]:
        return self._offers[kind]

    def get(self, kind: str, name: str) -> Any:
        """The factory of that name. Raises PluginError with a "did you mean"."""
        offer = self._offers[kind].get(name)
        if offer is None:
            raise PluginError(f"no {SINGULAR[kind]} is named {name!r}{one_of(name, self.names(kind))}")
        return offer.value

    def executor(self, name: str, jobs: int) -> Executor:
        """The executor of that name. Raises PluginError where there is none, or it cannot be made."""
        from judgekit.contracts import Executor

        factory = self.get("executors", name)
        with _blaming(self._offers["executors"][name].owner, f"the executor {name!r}"):
            executor = factory(jobs)
            if not isinstance(executor, Executor):
                raise TypeError(f"it is {type(executor).__name__}, where a judgekit.Executor was due")
        return executor

    def prompt_folders(self) -> dict[str, Traversable]:
        return {name: offer.value for name, offer in self._offers["prompts"].items()}


def add_commands(manager: pluggy.PluginManager, app: click.Group) -> None:
    """Let every plugin add its commands. Raises PluginError naming the one that fails."""
    for implementation in manager.hook.judgekit_commands.get_hookimpls():
        with _blaming(implementation.plugin_name, "judgekit_commands"):
            implementation.function(app=app)


def command_group(app: click.Group, name: str, text: str) -> click.Group:
    """The group of commands of that name, made by whichever plugin asks first: several may add to one."""
    import click

    group = app.commands.get(name)
    if group is None:
        group = click.Group(name, help=text)
        app.add_command(group)
    if not isinstance(group, click.Group):
        raise PluginError(f"{name!r} is a command already, and no group of commands")
    return group


def broken(owner: str, what: str, error: BaseException) -> PluginError:
    """The error of a plugin that failed in a hook, or in a thing that it offers."""
    return PluginError(f"plugin {owner!r} failed in {what}: {type(error).__name__}: {error}. {_way_out(owner)}")


@contextlib.contextmanager
def _blaming(owner: str, what: str) -> Iterator[None]:
    """Whatever the block raises but Ctrl-C, sys.exit too, as the PluginError of its owner."""
    try:
        with aside(), deadline():
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise broken(owner, what, error) from error


@contextlib.contextmanager
def without_exits() -> Iterator[None]:
    """In the block, sys.exit in a plugin is a PluginError that names it, and ends no process. Ctrl-C stays Ctrl-C."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise exit_of(error) from error


def exit_of(error: BaseException, hook: str = "") -> PluginError:
    """What is to be said of an exception that is no Exception, such as SystemExit: whose it is, by its traceback."""
    within = f" in {hook}" if hook else ""
    what = one_line(f"raised {type(error).__name__}: {error}{within}")
    if isinstance(error, NoEnd):
        what = one_line(f"hangs{within}: {error}")
    found = plugin_of(error)
    if found is None:
        return PluginError(f"code that judgekit was given {what}, which would end the process")
    name, place = found
    return PluginError(f"plugin {name!r} {what} ({place}). {_way_out(name)}")


def fault_of(error: BaseException) -> PluginError | None:
    """The error as that of the plugin whose code raised it; None where that is ours."""
    found = plugin_of(error)
    return None if found is None or _is_built_in(found[0]) else exit_of(error)


def _is_built_in(name: str) -> bool:
    points = importlib.metadata.entry_points(group=GROUP, name=name)
    return any(point.dist is not None and point.dist.name == DISTRIBUTION for point in points)


def plugin_of(error: BaseException) -> tuple[str, str] | None:
    """The installed plugin whose code the error passed last, and where that is (file:line)."""
    names: dict[str, str] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        names[point.module] = point.name
        names.setdefault(point.module.partition(".")[0], point.name)
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__"))
        while module and module not in names:
            module = module.rpartition(".")[0]
        if module:
            return names[module], f"{Path(frame.f_code.co_filename).name}:{line}"
    return None


def _way_out(name: str) -> str:
    return f"Mend it, or leave it out with JUDGEKIT_BLOCK_PLUGINS={name}"


def _collect(manager: pluggy.PluginManager, kind: str) -> dict[str, Offer]:
    offers: dict[str, Offer] = {}
    caller = getattr(manager.hook, f"judgekit_{kind}")
    for implementation in caller.get_hookimpls():
        owner = implementation.plugin_name
        with _blaming(owner, f"judgekit_{kind}"):
            offered = implementation.function()
            if not isinstance(offered, Mapping):
                raise TypeError(f"it returned {type(offered).__name__}, where a mapping of names was due")
            for name, value in offered.items():
                if not (isinstance(name, str) and name.strip()):
                    raise TypeError(f"it offers {name!r}, and a name is a text")
                if check := getattr(value, "check_offer", None):
                    check(name)
        for name, value in offered.items():
            if kind == "metrics" and hasattr(value, "derived"):
                raise PluginError(
                    f"plugin {owner!r}: the metric {name!r} has `derived`, which is gone: write `aggregate(self, "
                    f"tables, terms)`, and `unscaled` for series of its rows without a scale. {_way_out(owner)}"
                )
            if name in offers:
                raise PluginError(
                    f"plugins {offers[name].owner!r} and {owner!r} both offer the {SINGULAR[kind]} {name!r}; "
                    f"leave one out with JUDGEKIT_BLOCK_PLUGINS={offers[name].owner if _is_built_in(owner) else owner}"
                )
            offers[name] = Offer(value, owner)
    return offers


def describe(manager: pluggy.PluginManager) -> tuple[PluginInfo, ...]:
    """Every registered plugin with its distribution, version and what it offers, sorted by name."""
    from judgekit.results import PluginInfo

    dists = {point.name: point.dist for point in importlib.metadata.entry_points(group=GROUP)}
    catalogue = Catalogue(manager)
    described = []
    for name, plugin in sorted(manager.list_name_plugin()):
        dist = dists.get(name)
        if plugin is None or dist is None:
            continue
        offers = [
            f"{SINGULAR[kind]} {offered}"
            for kind in KINDS
            for offered, offer in sorted(catalogue.offers(kind).items())
            if offer.owner == name
        ]
        described.append(PluginInfo(name=name, distribution=dist.name, version=dist.version, offers=tuple(offers)))
    return tuple(described)


def survey(block: Collection[str]) -> tuple[tuple[PluginInfo, ...], dict[str, str]]:
    """The plugins that are not blocked: what `describe` tells of those that work, and what is wrong with the others, by
    name. Each is tried alone, so that one that is broken hides no other; of two that clash, both are told."""
    import click

    wrong: dict[str, str] = {}
    owners: dict[tuple[str, str], str] = {}
    for name in sorted({point.name for point in importlib.metadata.entry_points(group=GROUP)} - set(block)):
        try:
            manager = build_manager(only=[name], block=NEEDED - {name})
            catalogue = Catalogue(manager)
            add_commands(manager, click.Group())
        except PluginError as error:
            wrong[name] = error.message
            continue
        for kind in KINDS:
            for offered in catalogue.names(kind):
                other = owners.setdefault((kind, offered), name)
                if other != name:
                    for one, two in ((name, other), (other, name)):
                        wrong[one] = f"plugin {two!r} offers the {SINGULAR[kind]} {offered!r} too. {_way_out(one)}"
    return describe(build_manager(block={*block, *wrong})), wrong


class NoEnd(BaseException):
    """A hook that did not come back. No Exception, so that the hook itself does not take it for one of its own."""


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """In the block, `print` writes on standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def deadline() -> Iterator[None]:
    """The block ends in time, or raises NoEnd in the midst of what it does; in the main thread, where there are timers.

    Another's timer (pytest-timeout's, for one) is set again at the end.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    seconds = _seconds()

    def late(number: int, frame: object) -> None:
        raise NoEnd(f"no end after {seconds:g} s (JUDGEKIT_HOOK_SECONDS sets the limit)")

    before, began = signal.signal(signal.SIGALRM, late), time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again each second, if it is caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 1e-3), interval)


def _seconds() -> float:
    given = os.environ.get("JUDGEKIT_HOOK_SECONDS", "")
    try:
        seconds = float(given or SECONDS)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise UsageError(f"JUDGEKIT_HOOK_SECONDS is a number of seconds, not {given!r}")
    return seconds
