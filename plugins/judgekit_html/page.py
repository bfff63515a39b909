"""RunView → one HTML file. Everything is escaped by the template engine; only our own style and script are not."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

import judgekit
from judgekit_html import drawing, figures, findings, method, numbers, tables
from judgekit_html.items import items
from judgekit_html.visible import visible


@dataclass(frozen=True)
class Figure:
    """A Section, drawn: `source` is the chart's data URI, None where the section has no chart."""

    section: judgekit.Section
    source: str | None


def render(run: judgekit.RunView, sections: Sequence[judgekit.Section]) -> bytes:
    """The report as UTF-8 HTML; equal runs give equal bytes. PluginError where a chart cannot be drawn."""
    style, script = _asset("report.css"), _asset("report.js")
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            policy=_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            **_context(run, sections),
        )
    )
    return page.encode("utf-8")


def _context(run: judgekit.RunView, sections: Sequence[judgekit.Section]) -> dict[str, Any]:
    record = run.record
    everything = list(items(run))
    return {
        "record": record,
        "alerts": findings.alerts(record),
        "findings": findings.findings(record),
        "results": [
            _group(record.estimates, metric, figures.results(record, metric)) for metric in findings.metrics(record)
        ],
        "differences": [
            _group(record.differences, metric, figures.differences(record, metric))
            for metric in dict.fromkeys(difference.metric for difference in record.differences)
        ],
        **{place: [_figure(section) for section in found] for place, found in figures.own(run).items()},
        "cards": [(card, tables.checks(card)) for card in record.cards],
        "more": [_figure(section) for section in sections],
        "items": everything,
        "flags": sorted({flag for item in everything for flag in item.flags}),
        "categories": sorted({item.sample.category for item in everything if item.sample and item.sample.category}),
        "explanation": method.explanation(record),
        "methods": method.methods(record),
        "yaml": method.yaml,
        "cell": numbers.cell,
        "counted": numbers.counted,
    }


def _group(estimates: Sequence[judgekit.Estimate], metric: str, section: judgekit.Section | None) -> dict[str, Any]:
    """One metric's table and, where it has headline numbers, its chart."""
    mine = [estimate for estimate in estimates if estimate.metric == metric]
    return {
        "metric": metric,
        "label": mine[0].scale.label if mine else "",
        "figure": _figure(section) if section else None,
        "lines": tables.lines(mine),
        "reruns": any(estimate.estimand != findings.NEW for estimate in mine),
        "several": len({estimate.series for estimate in mine}) > 1,
        "confidence": " / ".join(dict.fromkeys(numbers.percent(estimate.confidence) for estimate in mine)),
    }


def _figure(section: judgekit.Section) -> Figure:
    return Figure(section, None if section.chart is None else drawing.data_uri(section.chart, section.name))


def _environment() -> jinja2.Environment:
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


def _asset(name: str) -> str:
    """Our own style sheet or script, as it stands in the package."""
    return files("judgekit.reports").joinpath(name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """The content security policy: nothing is loaded, and only the style and script with these hashes count."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
