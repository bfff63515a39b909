"""`type: score`: the judge scores each response, on the scale of its prompt.

A conversation is judged turn by turn, each answer in the light of what came before it, and as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, tee
from typing import ClassVar, Literal

import judgekit
import judgekit.statistics
from judgekit_metrics.by_turn import MEAN, mean, position, spread, turn_series

Turns = Literal["each", "whole", "both"]


class ScoreOptions(judgekit.Options):
    """`turns`: what is judged of a conversation: each answer, the conversation as a whole, or both.

    The value is the score of the whole; with `each` it is the mean over the turns.
    """

    turns: Turns = "both"


class Score(judgekit.Metric):
    """The judge scores each response, on the scale of its prompt."""

    Options: ClassVar[type[judgekit.Options]] = ScoreOptions
    options: ScoreOptions
    needs = frozenset({"responses", "score"})
    series: ClassVar[Mapping[str, judgekit.Scale]] = {"value": judgekit.Scale(label="judge score", low=0, high=100)}
    conversations = True

    def series_of(self, judged: Mapping[str, judgekit.Scale]) -> Mapping[str, judgekit.Scale]:
        """The judge's own: its scale, each of its criteria, the probability it captured, the members of a panel."""
        return judged or self.series

    def series_on(
        self, judged: Mapping[str, judgekit.Scale], samples: Sequence[judgekit.Sample]
    ) -> Mapping[str, judgekit.Scale]:
        """With conversations, those of the turns too; what the judge says besides is of what the value is of."""
        own = self.series_of(judged)
        by_turn = turn_series(samples, own["value"]) if self.options.turns != "whole" else {}
        if not any(sample.turns for sample in samples):
            return own
        what = ", mean over turns" if self.options.turns == "each" else ", whole conversation"
        head = own["value"].model_copy(update={"label": own["value"].label + what})
        if self.options.turns == "each":
            by_turn.pop(MEAN)
        return {**own, "value": head, **by_turn}

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        assert study.judge is not None
        talks = self.options.turns != "whole" and any(sample.turns for sample in study.samples)
        for system in study.systems:
            asked, kept = tee(
                (sample, response, judge_repeat)
                for sample, response in study.responses(system)
                for judge_repeat in range(study.judge_repeats)
            )
            # A response that never came is not judged: its row says so and counts as missing.
            verdicts = study.judge.score(
                (sample, judged, judge_repeat)
                for sample, response, judge_repeat in asked
                for judged in self._judged(sample, response)
            )
            for sample, response, judge_repeat in kept:
                wanted = len(self._judged(sample, response))
                judgements = tuple(islice(verdicts, wanted)) or (unanswered(response),)
                verdict = self._headline(sample, judgements)
                series, missing = self._of_turns(sample, judgements, verdict) if talks and wanted else ({}, {})
                yield judgekit.Row(
                    metric="",
                    system=system,
                    sample_id=sample.id,
                    repeat=response.repeat,
                    judge_repeat=judge_repeat,
                    status=verdict.status,
                    value=verdict.value,
                    series={**verdict.series, **series},
                    missing=missing,
                    verdicts=judgements,
                )

    def _judged(self, sample: judgekit.Sample, response: judgekit.Response) -> Sequence[str | judgekit.Conversation]:
        """What is put before the judge, in the order of the row's verdicts: the turns, then the whole."""
        if response.status != "complete":
            return ()
        if not sample.turns:
            return (response.text,)
        answers = response.answers
        turns = [judgekit.Conversation(answers[: place + 1]) for place in range(len(answers))]
        whole = [judgekit.Conversation(answers, whole=True)]
        return {"each": turns, "whole": whole, "both": [*turns, *whole]}[self.options.turns]

    def _headline(self, sample: judgekit.Sample, judgements: Sequence[judgekit.Verdict]) -> judgekit.Verdict:
        """The verdict on the whole, or the mean of those on the turns: there is none where one of them is missing."""
        if not sample.turns or self.options.turns != "each":
            return judgements[-1]
        failed = next((verdict for verdict in judgements if verdict.status != "scored"), None)
        if failed is not None:
            return failed
        names = [name for name in judgements[0].series if all(name in verdict.series for verdict in judgements)]
        return judgekit.Verdict(
            status="scored",
            value=mean([verdict.value for verdict in judgements if verdict.value is not None]),
            series={name: mean([verdict.series[name] for verdict in judgements]) for name in names},
        )

    def _of_turns(
        self, sample: judgekit.Sample, judgements: Sequence[judgekit.Verdict], headline: judgekit.Verdict
    ) -> tuple[dict[str, float], dict[str, judgekit.statistics.VerdictStatus]]:
        """(the series of the turns, why some have no value). With `each` the mean over them is the value itself."""
        turns = judgements[: len(sample.turns) + 1]
        series = spread([verdict.value for verdict in turns])
        missing: dict[str, judgekit.statistics.VerdictStatus] = {}
        if headline.status != "scored":
            missing["value"] = headline.status
        for place, verdict in enumerate(turns):
            if verdict.status != "scored":
                missing |= {name: missing.get(name, verdict.status) for name in (position(place), MEAN)}
        if self.options.turns == "each":
            series.pop(MEAN, None)
            missing.pop(MEAN, None)
        return series, missing


def unanswered(response: judgekit.Response) -> judgekit.Verdict:
    """The verdict on a response that is not there or not whole."""
    if response.status == "complete":
        raise ValueError("a complete response is for the judge")
    return judgekit.Verdict(
        status=response.status, detail=f"{judgekit.NO_RESPONSE}: {response.detail or response.status}"
    )
