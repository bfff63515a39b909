"""A plugin's contract tests as a whole: everything that its hooks offer, without pytest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from judgekit import hookspecs
from judgekit.errors import UsageError
from judgekit.plugins import SINGULAR, Catalogue, build_manager
from judgekit.testing.backend_contract import BackendContract, ExecutorContract
from judgekit.testing.contract import Contract, Rule, check
from judgekit.testing.file_contracts import DataLoaderContract, TrainerContract
from judgekit.testing.judging_contracts import MetricContract, ReadingContract
from judgekit.testing.report_contracts import CommandsContract, ReporterContract, SectionContract

CONTRACTS: Mapping[str, type[Contract]] = {
    "backends": BackendContract,
    "datasets": DataLoaderContract,
    "executors": ExecutorContract,
    "metrics": MetricContract,
    "readings": ReadingContract,
    "reporters": ReporterContract,
    "trainers": TrainerContract,
}
_HOOKS: Mapping[str, type[Contract]] = {
    "judgekit_commands": CommandsContract,
    "judgekit_report_sections": SectionContract,
}


class Checked(NamedTuple):
    """A rule of a contract, and what it was tried on, in words."""

    what: str
    rule: Rule


def check_plugin(plugin: ModuleType) -> Iterator[Checked]:
    """Every contract test of what the plugin offers. Raises UsageError for what is no plugin, PluginError for one that
    fails when it is asked what it offers."""
    known = {name for name in vars(hookspecs) if name.startswith("judgekit_")}
    marked = {name for name, value in vars(plugin).items() if hasattr(value, "judgekit_impl")}
    if not marked & known:
        hooks = ", ".join(sorted(known))
        raise UsageError(f"{plugin.__name__} is no plugin: no function of it is marked @judgekit.hookimpl ({hooks})")
    catalogue = Catalogue(build_manager(only=(), extra=[plugin]))
    for kind, contract in CONTRACTS.items():
        for name, offer in catalogue.offers(kind).items():
            if offer.owner == "threads":  # which no run goes without
                continue
            attributes: dict[str, Any] = {"make": offer.value}
            if kind == "readings":
                attributes["prompts"] = catalogue.prompt_folders()
            yield from _checked(f"{SINGULAR[kind]} {name}", contract, attributes)
    for hook in sorted(marked & _HOOKS.keys()):
        attributes = {"make": getattr(plugin, hook), "module": plugin.__name__}
        yield from _checked(hook, _HOOKS[hook], attributes)


def _checked(what: str, contract: type[Contract], attributes: Mapping[str, Any]) -> Iterator[Checked]:
    for rule in check(type(contract.__name__, (contract,), dict(attributes))):
        yield Checked(what, rule)
