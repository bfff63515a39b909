"""Reading a report as text, and opening it in headless Chromium with a watch on all that should not happen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judgekit_html.page import MANY, ReportPages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from judgekit import RunView

# Reports violations of the policy to the console's own list, before anything on the page can run.
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) => {
  window.violations.push(event.violatedDirective + ' ' + event.blockedURI);
});
"""
UNFOLD = "document.querySelectorAll('details').forEach((d) => { d.open = true; })"


class Reader(HTMLParser):
    """The structure (tags with their attribute names) and the text of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, ...]] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self._raw = False
        self.feed(page.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._raw = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"[ \n\t]+", " ", " ".join(self.words))


def report_of(view: RunView) -> Reader:
    """The report of a run, as its first page."""
    return Reader(dict(ReportPages(view, [], MANY).files())["report.html"])


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
