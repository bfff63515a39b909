"""The built-in readings: what a judge writes, the probabilities of its answers, the likelihood of the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import judgekit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from judgekit.judging import Reading


@judgekit.hookimpl
def judgekit_readings() -> Mapping[str, type[Reading]]:
    from judgekit_readings.likelihood import LikelihoodRatio, PairwiseLikelihood
    from judgekit_readings.probabilities import ExpectedScore, Preference, YesNo
    from judgekit_readings.written import Criteria, Integer, Letter, PairwiseJson, ReasonJson

    return {
        "integer": Integer,
        "reason_json": ReasonJson,
        "criteria": Criteria,
        "expected_score": ExpectedScore,
        "yes_no": YesNo,
        "likelihood_ratio": LikelihoodRatio,
        "letter": Letter,
        "pairwise_json": PairwiseJson,
        "preference": Preference,
        "pairwise_likelihood": PairwiseLikelihood,
    }
