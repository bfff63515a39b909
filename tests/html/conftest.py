"""Reports of the sample runs, rendered once, and a headless Chromium."""

import os
from functools import cache
from pathlib import Path

import pytest

import judgekit
from hostile import hostile_everywhere
from judgekit_html import report
from sample_run import sample_run, section_of

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def sample_report():
    """The HTML report of the sample run."""
    return dict(report(sample_run(), []))["report.html"]


@pytest.fixture(scope="session")
def hostile_report():
    """The HTML report of a run in which every string is the given one; each is rendered once."""
    return cache(lambda text: dict(report(hostile_everywhere(text), [section_of(text)]))["report.html"])


def absent(why):
    """Skip, or fail where the browser is required."""
    if os.environ.get("JUDGEKIT_REQUIRE_BROWSER") == "1":
        pytest.fail(f"a browser is required here: {why}")
    pytest.skip(why)


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by playwright."""
    if not CHROMIUM.exists():
        absent(f"no Chromium at {CHROMIUM}: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent(f"playwright is not installed: {judgekit.install_hint('test')}")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield chromium
        chromium.close()
