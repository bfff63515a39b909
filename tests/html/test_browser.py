"""The report in headless Chromium: quiet, complete without JavaScript, safe to open, and for everyone."""

from dataclasses import replace
from typing import Any

import pytest

from hostile import EVERY, all_at_once
from judgekit_html import report
from judgekit_html.page import ReportPages
from report_pages import UNFOLD, foreign, opened, until
from rich_run import rich_run
from sample_run import HOSTILE
from tables import each

pytestmark = pytest.mark.browser
MAIN = "Array.from(document.querySelectorAll('main > section')).map((s) => s.id + ': ' + s.textContent)"


@pytest.fixture(scope="module")
def file(sample_report, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(sample_report)
    return path


@each("light", "dark")
def test_quiet_and_self_contained(scheme, browser, file):
    with opened(browser, file, color_scheme=scheme) as found:
        found.page.evaluate(UNFOLD)
        found.page.wait_for_timeout(50)
        broken = found.page.evaluate("Array.from(document.images).filter((i) => !i.naturalWidth).length")
        assert (found.noise, foreign(found.requests, file), found.violations, broken) == ([], [], [], 0)


def test_the_policy_holds(browser, file):
    """The checks above can fail: what the policy forbids is seen by them."""
    with opened(browser, file) as found:
        found.page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\" onclick=\"x()\">x</p>')"
        )
        found.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
        until(found.page, "window.violations.length >= 2")  # newer browsers tell of an event handler when it is called
        assert {violation.split()[0] for violation in found.violations} >= {"style-src-attr", "img-src"}


def test_complete_without_javascript(browser, file):
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


@each(390, 768, 1280)
def test_no_sideways_scrolling(width, browser, file, tmp_path, hostile_report):
    hostile = tmp_path / "hostile.html"
    hostile.write_bytes(hostile_report("".join(HOSTILE) + "x" * 300))
    for path in (file, hostile):
        with opened(browser, path, viewport={"width": width, "height": 800}) as found:
            found.page.evaluate(UNFOLD)
            assert found.page.evaluate("document.documentElement.scrollWidth") <= width, path.name


STRINGS = [pytest.param(text, marks=pytest.mark.slow) for text in EVERY]  # all of them at once are tried always


def test_there_are_a_hundred_and_fifty_hostile_strings():
    assert len(set(EVERY)) == 150


@each("plain", "interactive", "paged")
def test_all_of_them_at_once_do_nothing(wish, browser, tmp_path):
    view = replace(all_at_once(), interactive=wish == "interactive")
    for name, content in ReportPages(view, [], 100 if wish == "paged" else 5000).files():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for path in sorted(tmp_path.rglob("*.html")):
        with opened(browser, path) as found:
            found.page.evaluate(UNFOLD)
            found.page.fill("#search", "script")
            until(found.page, "!document.getElementById('shown').textContent.startsWith('150')")
            for select in ("#flag", "#category", "#sort"):
                found.page.select_option(select, index=1)
            found.page.wait_for_timeout(200)
            assert (found.noise, foreign(found.requests, path), found.violations) == ([], [], []), path.name


@pytest.mark.parametrize("text", STRINGS)
def test_no_string_does_anything(text, browser, tmp_path, hostile_report):
    path = tmp_path / "report.html"
    path.write_bytes(hostile_report(text))
    with opened(browser, path) as found:
        found.page.evaluate(UNFOLD)
        found.page.locator("body").hover()
        found.page.keyboard.press("Tab")
        found.page.wait_for_timeout(50)
        assert (found.noise, foreign(found.requests, path), found.violations) == ([], [], [])


def test_search_filters_and_permalinks_find_samples(browser, file):
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
    with opened(browser, file) as found:
        found.page.goto(f"{file.as_uri()}#item-9")
        until(found.page, "document.getElementById('item-9').open")
        assert found.page.locator("#item-9 .t").first.is_visible()


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
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
def test_axe_finds_nothing(width, scheme, browser, rich, broken_rules):
    with opened(browser, rich, color_scheme=scheme, viewport={"width": width, "height": 900}) as found:
        assert broken_rules(found.page) == []
        found.page.evaluate(UNFOLD)
        assert broken_rules(found.page) == []


@pytest.mark.slow
def test_axe_would_find_something(browser, rich, broken_rules):
    with opened(browser, rich) as found:
        found.page.evaluate("document.querySelector('img').removeAttribute('alt')")
        assert any(rule.startswith("image-alt") for rule in broken_rules(found.page))


def test_the_keyboard_reaches_everything(browser, rich):
    """From the first link over the search to a sample, which opens and closes by a key."""
    with opened(browser, rich) as found:
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


def test_it_can_be_printed(browser, rich):
    with opened(browser, rich) as found:
        assert found.page.pdf().startswith(b"%PDF")
        found.page.emulate_media(media="print")
        assert not found.page.locator("nav").is_visible()
        assert found.page.locator("#results .chart").first.is_visible()
