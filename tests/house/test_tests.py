"""Tests lie where one looks for them: a folder for every room and plugin, a file for every module of the core."""

from __future__ import annotations

from pathlib import Path

import judgekit

TESTS = Path(__file__).parents[1]
ELSEWHERE = {"house", "end_to_end", "support"}  # folders that are of no room and of no plugin
KERNEL = "kernel"  # the modules directly in judgekit/

# Commands are thin: each is tested by what it starts. Further modules whose tests are those of another one:
TESTED_IN = {
    "calls/pacing": "calls/test_rate_limits",
    "calls/policies": "calls/test_offline",
    "calls/retries": "calls/test_http",
    "calls/session": "calls/test_executors",
    "calls/work": "calls/test_executors",
    "cli/backend_command": "synthesis/test_self_instruct",
    "cli/baseline": "regression/test_baseline",
    "cli/compare": "regression/test_compare",
    "cli/costs": "pipeline/test_plan",
    "cli/options": "cli/test_run",
    "cli/progress": "kernel/test_hookspecs",
    "cli/results": "cli/test_repeats",
    "cli/selfcheck": "regression/test_selfcheck",
    "data/devices": "gpt2/test_backend",
    "data/downloads": "instructions/test_fetch",
    "judging/card_checks": "judging/test_score_card",
    "judging/card_questions": "judging/test_score_card",
    "judging/controls": "judging/test_own_reading",
    "kernel/api": "pytest/test_plugin",
    "pipeline/identities": "openai/test_served",
    "pipeline/judges": "judging/test_planning",
    "pipeline/prepare": "pipeline/test_run",
    "prompting/requests": "pipeline/test_generate",
    "statistics/aggregate": "metrics/test_aggregate",
    "testing/backend_contract": "testing/test_contract",
    "testing/file_contracts": "testing/test_contract",
    "testing/judging_contracts": "testing/test_contract",
    "testing/plugin_check": "authoring/test_scaffold",
    "testing/report_contracts": "testing/test_contract",
    "testing/stored_runs": "testing/test_contract",
    "regression/paired_scores": "regression/test_compare",
    "statistics/methods": "statistics/test_estimates",
    "statistics/refit": "metrics/test_bradley_terry",
}


def modules() -> set[str]:
    """Every module of the core, as room/module."""
    core = Path(judgekit.__file__).parent
    paths = [path.relative_to(core) for path in core.rglob("*.py") if not path.stem.startswith("__")]
    rooms = {path: path.parent.as_posix() if path.parent.name else KERNEL for path in paths}
    return {f"{room}/{path.stem}" for path, room in rooms.items() if room not in ("prompts", "reports")}


def test_every_module_of_the_core_has_its_file_of_tests() -> None:
    missing = {name for name in modules() if not (TESTS / f"{name.replace('/', '/test_')}.py").is_file()}
    assert missing == set(TESTED_IN), "a new module has a file of tests, and one that has got its own leaves the list"
    for name, file in TESTED_IN.items():
        assert (TESTS / f"{file}.py").is_file(), f"{name} is said to be tested in {file}"


def test_every_folder_of_tests_is_that_of_a_room_or_a_plugin(checkout: Path) -> None:
    rooms = {name.split("/")[0] for name in modules()}
    folders = {path.name for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= folders
    if (checkout / "plugins").is_dir():  # away from the checkout, the installed wheel is what is tested
        plugins = {path.name.removeprefix("judgekit_") for path in (checkout / "plugins").glob("judgekit_*")}
        assert folders <= rooms | plugins | ELSEWHERE
