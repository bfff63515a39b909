"""The built-in metrics: judged score, pairwise win rate (judged here or elsewhere), multiple choice, reference metrics.

Verdicts given elsewhere also need samples of which only the id is known, and systems whose answers nobody has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import judgekit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@judgekit.hookimpl
def judgekit_metrics() -> Mapping[str, type[judgekit.Metric]]:
    from judgekit_metrics.multiple_choice import MultipleChoice
    from judgekit_metrics.pairwise import Pairwise
    from judgekit_metrics.reference import F1, ExactMatch, ReferenceLikelihood, RougeL
    from judgekit_metrics.score import Score
    from judgekit_metrics.stored_pairwise import StoredPairwise
    from judgekit_metrics.stored_score import StoredScore

    return {
        "score": Score,
        "pairwise": Pairwise,
        "stored_pairwise": StoredPairwise,
        "stored_score": StoredScore,
        "multiple_choice": MultipleChoice,
        "exact_match": ExactMatch,
        "f1": F1,
        "rouge_l": RougeL,
        "perplexity": ReferenceLikelihood,
        "reference_likelihood": ReferenceLikelihood,
    }


@judgekit.hookimpl
def judgekit_datasets() -> Mapping[str, type[judgekit.DataLoader]]:
    from judgekit_metrics.stored_pairwise import Ids

    return {"ids": Ids}


@judgekit.hookimpl
def judgekit_backends() -> Mapping[str, type[judgekit.Backend]]:
    from judgekit_metrics.stored_pairwise import Unseen

    return {"unseen": Unseen}


@judgekit.hookimpl
def judgekit_report_sections(run: judgekit.RunView) -> Sequence[judgekit.Section]:
    from judgekit_metrics import budgets, letters, pairwise_sections

    return [*budgets.sections(run), *pairwise_sections.sections(run), *letters.sections(run)]
