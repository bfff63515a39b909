"""Fixtures for every test: the data folder beside the checkout, and a home without plugins' or users' settings."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads of theirs that spin while they wait for each other took most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]

pytest_plugins = ["judged_runs"]  # fixtures that several folders use


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not look through torch's objects again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder that holds tests/, examples/ and docs/."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The public data beside the checkout (or in JUDGEKIT_SHARED); skips, or in CI fails, where it is absent."""
    folder = Path(os.environ.get("JUDGEKIT_SHARED") or ROOT.parent / "shared") / "data"
    if not folder.is_dir():
        if os.environ.get("JUDGEKIT_REQUIRE_SHARED"):
            pytest.fail(f"the shared data is required here, and {folder} is no folder")
        pytest.skip("the shared data (../shared/data) is not here")
    return folder


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests start without the settings of whoever runs them."""
    monkeypatch.setenv("COLUMNS", "130")  # a test's worker process has no terminal of its own
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "OLLAMA_")) or (
            name.startswith("JUDGEKIT_")
            and name not in ("JUDGEKIT_SHARED", "JUDGEKIT_REQUIRE_SHARED", "JUDGEKIT_REQUIRE_BROWSER")
        ):
            monkeypatch.delenv(name)
