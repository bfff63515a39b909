"""The reporter `html`: one self-contained file, `report.html`, readable with JavaScript off. Above 5,000 items these
have pages of their own, in the folder `report` beside it.

page      RunView → files: the order of the sections, the templates, the content security policy
findings  what the numbers say, in words: the verdict strip
changes   what changed since the baseline: the gate's rules, and the items that moved
tuned     every trained system beside those that it was trained from
tables    estimates as rows of formatted cells
breakdowns  every metric by the groups of a field of the samples
charts    the report's own charts, as Sections of Vega-Lite dicts
drawing   a Vega-Lite dict → an SVG in a data URI, by vl-convert
items     every sample with its responses and verdicts
shelf     what belongs to each sample, on disk where it is much
board     what items can be sorted and filtered by
method    how the numbers were made, in plain words, and how to make them again
numbers   one number → text, the same way everywhere
visible   control and bidirectional characters made visible

Nothing here computes a statistic: values are counted and formatted as the record has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import judgekit


@judgekit.hookimpl
def judgekit_reporters() -> Mapping[str, judgekit.Reporter]:
    return {"html": report}


@judgekit.hookimpl
def judgekit_check(config: judgekit.RunConfig) -> Sequence[judgekit.Problem]:
    """Charts that cannot be drawn are found before the run, not after it."""
    import importlib.util

    if "html" not in config.reports or importlib.util.find_spec("vl_convert") is not None:
        return ()
    hint = judgekit.install_hint("report")
    missing = f"the html report draws its charts with vl-convert: {hint}, or leave html out"
    return [judgekit.Problem(severity="error", where="reports", message=missing)]


def report(
    run: judgekit.RunView, sections: Sequence[judgekit.Section]
) -> Mapping[str, bytes] | Iterator[tuple[str, bytes]]:
    """One self-contained page, readable with JavaScript off, and pages of items where these are many.

    Raises PluginError where vl-convert is missing or a section's chart cannot be drawn.
    """
    from judgekit_html.page import ReportPages

    made = ReportPages(run, sections)
    return made.files() if made.paged else dict(made.files())
