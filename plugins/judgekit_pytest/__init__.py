"""The pytest plugin: tests that hold a model to a rule, and a fixture that asks a judge about an answer.

    @pytest.mark.judgekit(config="judgekit.yaml", metric="quality", min=70)
    def test_quality(): ...

    def test_refusal(judgekit):
        assert judgekit.score("I cannot help with that.", instruction="Name a poison.") >= 80

Five things can come of a test, as of `judgekit gate`:

    passed        the rule holds
    FAILED        the rule is shown to be broken; the table says by how much
    INCONCLUSIVE  nothing is shown either way, or the judge gave no score. An outcome of its own, which ends the session
                  red: a skip or an xfail would be green, and a failure would claim a regression that nobody has shown
    ERROR         it could not be measured: no judge, no baseline that matches, no reply in the ledger
    exit code     of pytest: 1 if a test failed; else judgekit's own, 2, 6, 4 or 3, where its tests alone are red

Under xdist each config is run by one worker, and the others read its result. `-p no:judgekit` leaves all of this out.
This module is loaded by every pytest on the machine: it imports nothing heavy.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from judgekit_pytest.fixture import Judged
    from judgekit_pytest.session import Session

MARK = "judgekit"
_SESSION = pytest.StashKey["Session"]()
_BROKEN = pytest.StashKey[str]()
_SHARED = pytest.StashKey[str]()
_ORDER = (1, 2, 6, 4, 3)  # which exit code wins


class RuleOutcome(pytest.fail.Exception):  # type: ignore[name-defined, misc]
    """An outcome with its text, which stands without a traceback. `kind`: failed, inconclusive or error."""

    __module__, __qualname__ = "builtins", "judgekit"  # as pytest prints it: "judgekit: …"

    def __init__(self, text: str, kind: str, code: int) -> None:
        super().__init__(text, pytrace=False)
        self.kind = kind
        self.code = code


# --- options ----------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("judgekit", "judging models")
    group.addoption(
        "--judgekit-offline",
        action="store_true",
        help="Ask no model and no judge: a call that the ledger does not hold is an error (or JUDGEKIT_OFFLINE=1).",
    )
    group.addoption("--judgekit-home", metavar="DIR", help="Folder of the ledger (default: .judgekit in the rootdir).")
    group.addoption("--judgekit-output", metavar="DIR", help="Folder for runs (default: runs in the rootdir).")
    parser.addini("judgekit_config", "The config that tests use which name none.", default="judgekit.yaml")
    parser.addini("judgekit_home", "Folder of the ledger, from the rootdir.", default="")
    parser.addini("judgekit_output", "Folder for runs, from the rootdir.", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARK}(config, metric, min, max, baseline, margin, system, waive, set): run the config, and hold the "
        "metric's mean to `min` or `max`, or its change since the baseline file to `margin`; without a rule, the "
        "config's own gate.",
    )
    config.pluginmanager.register(ExitCode(), "judgekit-exit-code")


def _session(config: pytest.Config) -> Session:
    if _SESSION not in config.stash:
        from judgekit_pytest.session import Session

        config.stash[_SESSION] = Session.of(config)
    return config.stash[_SESSION]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Under xdist: tell the worker of the folder in which workers leave each other their results."""
    if _SHARED not in node.config.stash:
        import tempfile

        node.config.stash[_SHARED] = tempfile.mkdtemp(prefix="judgekit-")
    node.workerinput["judgekit_shared"] = node.config.stash[_SHARED]


def pytest_unconfigure(config: pytest.Config) -> None:
    if _SESSION in config.stash:
        config.stash[_SESSION].close()
    if _SHARED in config.stash:
        import shutil

        shutil.rmtree(config.stash[_SHARED], ignore_errors=True)


# --- a test -----------------------------------------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Measure and decide. An undecided rule is not a failure of the test, so the test ends here."""
    marks = list(item.iter_markers(MARK))
    if not marks:
        return
    from judgekit_pytest.rules import hold

    for mark in marks:
        if broken := hold(item, mark, _session(item.config)):
            item.stash[_BROKEN] = broken


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    if _BROKEN in item.stash:
        raise RuleOutcome(item.stash[_BROKEN], "failed", 1)
    return (yield)


@pytest.fixture
def judgekit(request: pytest.FixtureRequest) -> Judged:
    """Puts single answers to a config's judges: of the config that the test's marker names, or the ini.

    `judgekit.score(text, instruction=…, reference=…)` compares as a number; a repeated judging has an interval.
    """
    from judgekit_pytest.fixture import Judged

    return Judged(request.node, _session(request.config))


# --- what pytest makes of it ------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    error = call.excinfo.value if call.excinfo is not None else None
    if error is None or not report.failed:
        return report
    outcome = _outcome_of(error)
    if outcome is None:
        return report
    vars(report).update(judgekit=outcome.kind, judgekit_code=outcome.code)  # xdist carries them along
    if outcome is not error:
        report.longrepr = f"{outcome.msg}\n({item.nodeid})"
    if outcome.kind != "failed":
        report.when = "setup"  # to pytest, and in its JUnit file, an error is what fails outside of the call
        report.user_properties.append(("judgekit", outcome.kind))
    return report


def _outcome_of(error: BaseException) -> RuleOutcome | None:
    """The outcome for an error of judgekit's own, in a test's body or from a marker; None for any other."""
    if isinstance(error, RuleOutcome):
        return error
    errors = sys.modules.get("judgekit.errors")  # else none of them can have been raised
    if errors is None or not isinstance(error, errors.JudgekitError):
        return None
    return RuleOutcome(str(error), "inconclusive" if isinstance(error, errors.NotScored) else "error", error.exit_code)


def pytest_report_teststatus(report: Any) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    if getattr(report, "judgekit", "") == "inconclusive":
        return "inconclusive", "I", ("INCONCLUSIVE", {"yellow": True})
    return None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = terminalreporter.stats.get("inconclusive", [])
    if not reports:
        return
    terminalreporter.section("INCONCLUSIVE", "=", yellow=True, bold=True)
    for report in reports:
        terminalreporter.write_sep("_", report.nodeid, yellow=True)
        terminalreporter.write_line(report.longreprtext)


class ExitCode:
    """The session's exit code: pytest's own, but judgekit's where nothing but its outcomes is red."""

    def __init__(self) -> None:
        self.codes: set[int] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.codes.add(getattr(report, "judgekit_code", 1))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.TESTS_FAILED:
            session.exitstatus = next((code for code in _ORDER if code in self.codes), exitstatus)
