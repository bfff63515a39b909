"""`type: score`: the judge scores each response, 0 to 100."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import tee
from typing import ClassVar

import judgekit


class Score(judgekit.Metric):
    """The judge scores each response, 0 to 100."""

    needs = frozenset({"responses", "score"})
    series: ClassVar[dict[str, judgekit.Series]] = {"value": judgekit.Series(label="judge score", low=0, high=100)}

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        assert study.judge is not None
        for system in study.systems:
            asked, kept = tee(
                (sample, response, judge_repeat)
                for sample, response in study.responses(system)
                for judge_repeat in range(study.judge_repeats)
            )
            # A response that never came is not judged: its row says so and counts as missing.
            verdicts = study.judge.score(
                (sample, response.text, judge_repeat)
                for sample, response, judge_repeat in asked
                if response.status == "complete"
            )
            for sample, response, judge_repeat in kept:
                verdict = next(verdicts) if response.status == "complete" else unanswered(response)
                yield judgekit.Row(
                    metric="",
                    system=system,
                    sample_id=sample.id,
                    repeat=response.repeat,
                    judge_repeat=judge_repeat,
                    status=verdict.status,
                    value=verdict.value,
                    verdicts=(verdict,),
                )


def unanswered(response: judgekit.Response) -> judgekit.Verdict:
    """The verdict on a response that is not there or not whole."""
    if response.status == "complete":
        raise ValueError("a complete response is for the judge")
    return judgekit.Verdict(
        status=response.status, detail=f"{judgekit.NO_RESPONSE}: {response.detail or response.status}"
    )
