"""Reporters for CI systems: pure functions of a run and, where it was gated, of its gate.

junit        junit.xml: one case a rule of the gate (or, without a gate, a result); failure = quality, error = the rest
junit-items  junit-items.xml: the same, and one case a sample, metric and system
markdown     summary.md, under 60 KB: for $GITHUB_STEP_SUMMARY, a merge request, a chat
github       annotations.txt: at most ten workflow commands (`::error …`), to be printed
gitlab       codequality.json: GitLab's code quality report
openmetrics  metrics.txt: every headline number, for GitLab's metrics report and Prometheus

cases        the cases of a run, in words, for every format
texts        numbers and foreign texts, made safe for each format

A run is never green by silence: a broken rule is a failure, an undecided or unmeasured one an error.
"""

from __future__ import annotations

import judgekit


@judgekit.hookimpl
def judgekit_reporters() -> dict[str, judgekit.Reporter]:
    from judgekit_ci.annotations import commands
    from judgekit_ci.gitlab import code_quality
    from judgekit_ci.junit import junit, junit_items
    from judgekit_ci.markdown import markdown
    from judgekit_ci.openmetrics import openmetrics

    return {
        "junit": junit,
        "junit-items": junit_items,
        "markdown": markdown,
        "github": commands,
        "gitlab": code_quality,
        "openmetrics": openmetrics,
    }
