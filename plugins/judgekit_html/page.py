"""HTML files of a RunView: one page, or a page and a folder of pages with the items where these are many.

Everything is escaped by the template engine; only our own style and scripts are not.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

import judgekit
import judgekit.statistics
from judgekit_html import agreements, breakdowns, changes, drawing, figures, findings, method, numbers, tables, tuned
from judgekit_html.board import MARKS, Board
from judgekit_html.items import Items, ReportItem, titles
from judgekit_html.visible import visible

MANY = 5000  # items on one page; of more, each page has PER_PAGE
PER_PAGE = 250
FOLDER = "report"
LONG = 80  # characters of an item's title in the index of the pages
MAIN = "report.html"
PLACES = ("baseline", "differences", "groups", "distributions", "pairwise", "judges", "choices", "training", "more")


@dataclass(frozen=True)
class Figure:
    """A Section, drawn: `source` is the chart's data URI, None where the section has no chart. `explored`: the chart
    for the reader's browser to draw, where that is wanted."""

    section: judgekit.Section
    source: str | None
    explored: Markup | None


@dataclass
class Overview:
    """The items as the main page shows them: all of them, or a summary of each page."""

    items: list[ReportItem] = field(default_factory=list)
    pages: list[dict[str, Any]] = field(default_factory=list)
    index: list[list[Any]] = field(default_factory=list)
    flags: dict[str, None] = field(default_factory=dict)
    categories: dict[str, None] = field(default_factory=dict)

    def note(self, page: Sequence[ReportItem]) -> None:
        for item in page:
            self.flags.update(dict.fromkeys((*item.flags, *item.marks)))
            if item.sample and item.sample.category:
                self.categories[item.sample.category] = None


class ReportPages:
    """One run's report on its way to its files."""

    def __init__(self, run: judgekit.RunView, sections: Sequence[judgekit.Section], many: int = MANY) -> None:
        self.run, self.sections = run, sections
        self.board = Board(run)
        self.items = Items(run, self.board, many)
        self.paged = len(self.items) > many
        self.style = _asset("report.css") + (drawing.explored_style() if run.interactive else "")
        self.scripts = [_asset("report.js")]
        if run.interactive:
            self.scripts = [drawing.bundle(), _asset("explore.js"), *self.scripts]
        self._templates = _environment()

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of every file; the main page comes last, since it describes the others."""
        overview = Overview()
        for number, page in enumerate(self.items.pages(PER_PAGE), start=1):
            overview.note(page)
            if not self.paged:
                overview.items += page
                continue
            name = self._page_name(number)
            overview.pages.append(_summary(name, page))
            overview.index += [self._entry(item) for item in page]
            yield name, self._render("page.html.j2", [self.scripts[-1]], self._page(number, page))
        yield MAIN, self._render("report.html.j2", self.scripts, self._main(overview))

    def _render(self, template: str, scripts: Sequence[str], context: Mapping[str, Any]) -> bytes:
        page = self._templates.get_template(template).render(
            policy=_policy(self.style, scripts),
            style=Markup(self.style),
            scripts=[Markup(script) for script in scripts],
            record=self.run.record,
            redacted=self.run.redacted,
            columns=[column.label for column in self.board.columns],
            flag_names=MARKS,
            counted=judgekit.counted,
            cell=numbers.cell,
            **context,
        )
        return page.encode("utf-8")

    # --- items -------------------------------------------------------------------------------------------------------

    def _page_name(self, number: int) -> str:
        return f"{FOLDER}/items-{number:04d}.html"

    def _page(self, number: int, page: Sequence[ReportItem]) -> dict[str, Any]:
        last = -(-len(self.items) // PER_PAGE)
        seen = Overview()
        seen.note(page)
        near = {"back": number - 1, "on": number + 1 if number < last else 0}
        return {
            "items": page,
            "total": len(self.items),
            "number": number,
            "last": last,
            "main": f"../{MAIN}",
            **{side: self._page_name(at).partition("/")[2] if at else "" for side, at in near.items()},
            "flags": _flags(seen),
            "categories": sorted(seen.categories),
        }

    def _entry(self, item: ReportItem) -> list[Any]:
        """A line of the index that the main page searches: id, title, flags, category, values."""
        category = item.sample.category or "" if item.sample else ""
        title = "" if self.run.redacted else item.title[:LONG]
        flags = " ".join((*item.flags, *item.marks))
        return [visible(item.id), visible(title), flags, visible(category), "|".join(item.values)]

    def href(self, number: int) -> str:
        page = self._page_name((number - 1) // PER_PAGE + 1) if self.paged else ""
        return f"{page}#item-{number}"

    def _link(self, texts: Mapping[str, str]) -> changes.Link:
        def link(sample_id: str) -> changes.ItemLink | None:
            number = self.items.numbers.get(sample_id)
            if number is None:
                return None
            return changes.ItemLink(str(number), self.href(number), texts.get(sample_id, ""))

        return link

    # --- the main page -----------------------------------------------------------------------------------------------

    def _main(self, overview: Overview) -> dict[str, Any]:
        record, run = self.run.record, self.run
        named = {} if run.redacted else titles(run.samples, changes.wanted(self.board))
        link, draw = self._link(named), self._figure
        own = figures.own(run)
        placed = [*own["placed"], *breakdowns.sections(record), *self.sections]
        return {
            "alerts": findings.alerts(record),
            "findings": findings.summaries(record),
            "rules": changes.rules(record),
            "changes": [(draw(one.section), one) for one in changes.movements(record, self.board.changes, link)],
            "results": [
                self._group(record.estimates, metric, figures.results(record, metric))
                for metric in findings.metrics(record)
            ],
            "differences": [
                self._group(record.differences, metric, figures.differences(record, metric))
                for metric in dict.fromkeys(difference.metric for difference in record.differences)
            ],
            "waterfalls": [(draw(one.section), one) for one in changes.movements(record, self.board.differences, link)],
            "bought": tuned.gains(record, self.board),
            "bought_columns": tuned.COLUMNS,
            "training": [[draw(section) for section in sections] for sections in own["training"]],
            "placed": {place: [draw(one) for one in placed if _place(one) == place] for place in PLACES},
            "speeds": {name: f"{speed:,.0f}" for name, speed in (run.speeds or {}).items()},
            "agreements": [
                (block, draw(block.section) if block.section else None) for block in agreements.blocks(record)
            ],
            "cards": [(card, tables.checks(card)) for card in record.cards],
            "statuses": tables.statuses(record),
            "reruns": tables.reruns(record),
            "items": overview.items,
            "pages": overview.pages,
            "index": _embedded({"size": PER_PAGE, "folder": FOLDER, "items": overview.index}) if self.paged else None,
            "total": len(self.items),
            "flags": _flags(overview),
            "categories": sorted(overview.categories),
            "explanation": method.explanation(record),
            "methods": method.methods(record),
            "command": method.command(run),
            "yaml": method.yaml,
            "interactive": run.interactive,
        }

    def _group(
        self, estimates: Sequence[judgekit.statistics.Estimate], metric: str, section: judgekit.Section | None
    ) -> dict[str, Any]:
        """One metric's table and, where it has headline numbers, its chart."""
        mine = [estimate for estimate in estimates if estimate.metric == metric]
        return {
            "metric": metric,
            "label": mine[0].scale.label if mine else "",
            "figure": self._figure(section) if section else None,
            "lines": tables.lines(mine),
            "reruns": any(estimate.estimand != findings.NEW for estimate in mine),
            "several": len({estimate.series for estimate in mine}) > 1,
            "confidence": " / ".join(dict.fromkeys(numbers.percent(estimate.confidence) for estimate in mine)),
        }

    def _figure(self, section: judgekit.Section) -> Figure:
        if section.chart is None:
            return Figure(section, None, None)
        explored = _embedded(drawing.explored(section.chart)) if self.run.interactive else None
        return Figure(section, drawing.data_uri(section.chart, section.name), explored)


def _place(section: judgekit.Section) -> str:
    return section.place if section.place in PLACES else PLACES[-1]


def _summary(name: str, page: Sequence[ReportItem]) -> dict[str, Any]:
    """The contents of a page of items, for readers without JavaScript."""
    flags = Counter(flag for item in page for flag in item.flags)
    return {"href": name, "first": page[0], "last": page[-1], "flags": sorted(flags.items())}


def _flags(overview: Overview) -> list[str]:
    """Statuses by name, then the marks in their own order."""
    return [*sorted(set(overview.flags) - set(MARKS)), *(mark for mark in MARKS if mark in overview.flags)]


@cache
def _environment() -> jinja2.Environment:
    """The templates, each compiled once a process."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("judgekit.reports", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )


def _finalize(value: Any) -> Any:
    """Every string on its way into the page has its hidden characters made visible, before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _embedded(tree: Any) -> Markup:
    """Data for our own scripts, as text that cannot end its element: JSON in ASCII, without < and >."""
    text = json.dumps(tree, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _asset(name: str) -> str:
    """Our own style sheet or script, as it stands in the package."""
    return files("judgekit.reports").joinpath(name).read_text("utf-8")


def _policy(style: str, scripts: Sequence[str]) -> str:
    """The content security policy: nothing is loaded, and only the style and scripts with these hashes count."""
    hashes = " ".join(f"'{_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src {hashes}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
