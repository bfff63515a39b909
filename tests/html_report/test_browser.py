"""The report in headless Chromium: quiet, self-contained, complete without JavaScript, and safe to open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sample_run import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
# Reports violations of the policy to the console's own list, before anything on the page can run.
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) => {
  window.violations.push(event.violatedDirective + ' ' + event.blockedURI);
});
"""
UNFOLD = "document.querySelectorAll('details').forEach((d) => { d.open = true; })"
MAIN = "Array.from(document.querySelectorAll('main > section')).map((s) => s.id + ': ' + s.textContent)"


@dataclass
class Opened:
    """A page and everything suspicious that happened on it."""

    page: Page
    noise: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        found = self.page.evaluate("window.violations")
        assert isinstance(found, list)
        return found


@contextmanager
def opened(browser: Browser, file: Path, *, watch: bool = True, **options: Any) -> Iterator[Opened]:
    context = browser.new_context(**options)
    page = context.new_page()
    found = Opened(page)
    page.on("console", lambda message: found.noise.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.noise.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (found.noise.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: found.requests.append(request.url))
    if watch:
        page.add_init_script(WATCH)
    page.goto(file.as_uri())
    yield found
    context.close()


def until(page: Page, expression: str) -> None:
    """Wait until the expression is true; the page's policy forbids playwright's own way of polling."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never came true: {expression}")


def foreign(requests: list[str], file: Path) -> list[str]:
    """Requests besides the file itself and the pictures inside it."""
    return [url for url in requests if url.partition("#")[0] != file.as_uri() and not url.startswith("data:")]


@pytest.fixture(scope="module")
def file(sample_report: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(sample_report)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_quiet_and_self_contained(browser: Browser, file: Path, scheme: str) -> None:
    with opened(browser, file, color_scheme=scheme) as found:
        found.page.evaluate(UNFOLD)
        found.page.wait_for_timeout(50)
        broken = found.page.evaluate("Array.from(document.images).filter((i) => !i.naturalWidth).length")
        assert (found.noise, foreign(found.requests, file), found.violations, broken) == ([], [], [], 0)


def test_the_policy_holds(browser: Browser, file: Path) -> None:
    """The checks above can fail: what the policy forbids is seen by them."""
    with opened(browser, file) as found:
        found.page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\" onclick=\"x()\">x</p>')"
        )
        found.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
        until(found.page, "window.violations.length >= 3")
        assert {violation.split()[0] for violation in found.violations} >= {"style-src-attr", "img-src"}


def test_complete_without_javascript(browser: Browser, file: Path) -> None:
    with opened(browser, file) as scripted:
        texts = scripted.page.evaluate(MAIN)
        count = scripted.page.locator("#shown").text_content() or ""
        assert count == "50 of 50 samples"
    with opened(browser, file, watch=False, java_script_enabled=False) as plain:
        sections = plain.page.locator("main > section")
        without = [
            f"{section.get_attribute('id')}: {section.text_content()}"
            for section in (sections.nth(i) for i in range(len(texts)))
        ]
        assert not plain.page.locator("#filter").is_visible()
        plain.page.locator("#item-6 > summary").click()
        assert plain.page.locator("#item-6 .t").first.is_visible()
    assert [text.replace(count, "") for text in texts] == without


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_no_sideways_scrolling(
    browser: Browser, file: Path, tmp_path: Path, hostile_report: Callable[[str], bytes], width: int
) -> None:
    hostile = tmp_path / "hostile.html"
    hostile.write_bytes(hostile_report("".join(HOSTILE) + "x" * 300))
    for path in (file, hostile):
        with opened(browser, path, viewport={"width": width, "height": 800}) as found:
            found.page.evaluate(UNFOLD)
            assert found.page.evaluate("document.documentElement.scrollWidth") <= width, path.name


@pytest.mark.parametrize("text", HOSTILE)
def test_no_string_does_anything(
    browser: Browser, tmp_path: Path, hostile_report: Callable[[str], bytes], text: str
) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(hostile_report(text))
    with opened(browser, path) as found:
        found.page.evaluate(UNFOLD)
        found.page.locator("body").hover()
        found.page.keyboard.press("Tab")
        found.page.wait_for_timeout(50)
        assert (found.noise, foreign(found.requests, path), found.violations) == ([], [], [])


def test_search_and_filters(browser: Browser, file: Path) -> None:
    with opened(browser, file) as found:
        page = found.page
        page.fill("#search", "portugal")
        until(page, "document.getElementById('shown').textContent.startsWith('6 of')")
        assert page.locator("details.item:visible").count() == 6
        page.fill("#search", "")
        page.select_option("#flag", "refused")
        until(page, "document.getElementById('shown').textContent.startsWith('1 of')")
        page.select_option("#flag", "")
        page.select_option("#category", "units")
        until(page, "!document.getElementById('shown').textContent.startsWith('1 of')")
        assert page.locator("details.item:visible").count() == 7


def test_a_permalink_opens_its_sample(browser: Browser, file: Path) -> None:
    with opened(browser, file) as found:
        found.page.goto(f"{file.as_uri()}#item-9")
        until(found.page, "document.getElementById('item-9').open")
        assert found.page.locator("#item-9 .t").first.is_visible()
