"""The built-in metrics: judged score and pairwise win rate, multiple choice, exact match and ROUGE-L."""

from __future__ import annotations

from typing import TYPE_CHECKING

import judgekit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@judgekit.hookimpl
def judgekit_metrics() -> Mapping[str, type[judgekit.Metric]]:
    from judgekit_metrics.multiple_choice import MultipleChoice
    from judgekit_metrics.pairwise import Pairwise
    from judgekit_metrics.reference import ExactMatch, ReferenceLikelihood, RougeL
    from judgekit_metrics.score import Score

    return {
        "score": Score,
        "pairwise": Pairwise,
        "multiple_choice": MultipleChoice,
        "exact_match": ExactMatch,
        "rouge_l": RougeL,
        "reference_likelihood": ReferenceLikelihood,
    }


@judgekit.hookimpl
def judgekit_report_sections(run: judgekit.RunView) -> Sequence[judgekit.Section]:
    from judgekit_metrics.sections import sections

    return sections(run)
