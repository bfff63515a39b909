"""The report for everyone: no violation of the accessibility rules, by keyboard alone, and on paper."""

from typing import Any

import pytest

from judgekit_html import report
from report_pages import UNFOLD, opened, until
from rich_run import rich_run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("rich") / "report.html"
    path.write_bytes(dict(report(rich_run(), []))["report.html"])
    return path


@pytest.fixture(scope="module")
def broken_rules():
    """What axe-core finds on a page. Its script is run by the driver, so the page's policy stays as it is."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()

    def run(page):
        violations: list[dict[str, Any]] = axe.run(page).response["violations"]
        return [f"{one['id']}: {node['html'][:120]}" for one in violations for node in one["nodes"]]

    return run


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "light"),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in ((390, "dark"), (1280, "light"), (1280, "dark"))),
    ],
)
def test_axe_finds_nothing(width, scheme, browser, file, broken_rules):
    with opened(browser, file, color_scheme=scheme, viewport={"width": width, "height": 900}) as found:
        assert broken_rules(found.page) == []
        found.page.evaluate(UNFOLD)
        assert broken_rules(found.page) == []


@pytest.mark.slow
def test_axe_would_find_something(browser, file, broken_rules):
    with opened(browser, file) as found:
        found.page.evaluate("document.querySelector('img').removeAttribute('alt')")
        assert any(rule.startswith("image-alt") for rule in broken_rules(found.page))


def test_the_keyboard_reaches_everything(browser, file):
    """From the first link over the search to a sample, which opens and closes by a key."""
    with opened(browser, file) as found:
        page = found.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.url.endswith("#results")
        page.focus("#search")
        page.keyboard.type("portugal")
        until(page, "document.getElementById('shown').textContent.startsWith('6 of')")
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.closest('details.item') !== null"):
                break
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.closest('details.item').open")
        page.keyboard.press("Enter")
        assert not page.evaluate("document.activeElement.closest('details.item').open")


def test_it_can_be_printed(browser, file):
    with opened(browser, file) as found:
        assert found.page.pdf().startswith(b"%PDF")
        found.page.emulate_media(media="print")
        assert not found.page.locator("nav").is_visible()
        assert found.page.locator("#results .chart").first.is_visible()
