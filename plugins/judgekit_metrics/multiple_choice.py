"""`type: multiple_choice`: the option whose letter is likeliest after the question, in MMLU's published format.

Letters are scored as continuations " A", " B", …: for a vocabulary in which they are single tokens that is the
published argmax over letter log-probabilities; otherwise the sum over the letter's tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import ClassVar

import judgekit

LETTERS = "ABCDEFGHIJ"
CHUNK = 256


class MultipleChoiceOptions(judgekit.Options):
    prompt: str = "multiple_choice/mmlu.j2"


class MultipleChoice(judgekit.Metric):
    """The option whose letter is likeliest after the question, in MMLU's format."""

    Options: ClassVar[type[judgekit.Options]] = MultipleChoiceOptions
    options: MultipleChoiceOptions
    needs = frozenset({"loglikelihood", "choices"})
    series: ClassVar[dict[str, judgekit.Series]] = {
        "value": judgekit.Series(label="accuracy", low=0, high=1, unit="%"),
        "always_a": judgekit.Series(label="accuracy of always answering A", low=0, high=1, unit="%"),
    }

    def prompts(self) -> Sequence[str]:
        return [self.options.prompt]

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        for system in study.systems:
            samples = iter(study.samples)
            while chunk := list(islice(samples, CHUNK)):
                yield from self._chunk(study, system, chunk)

    def _chunk(self, study: judgekit.Study, system: str, chunk: Sequence[judgekit.Sample]) -> Iterator[judgekit.Row]:
        """Ask with all shots; a prompt too long for the model loses its last shot and is asked again."""
        shots = {sample.id: list(study.shots(sample)) for sample in chunk}
        replies: dict[str, judgekit.Reply] = {}
        waiting = list(chunk)
        while waiting:
            requests = [self._request(study, sample, shots[sample.id]) for sample in waiting]
            again = []
            for sample, reply in zip(waiting, study.loglikelihood(system, requests), strict=True):
                replies[sample.id] = reply
                if reply.status == "truncated" and shots[sample.id]:
                    shots[sample.id].pop()
                    again.append(sample)
            waiting = again
        for sample in chunk:
            yield _row(system, sample, replies[sample.id], len(shots[sample.id]))

    def _request(
        self, study: judgekit.Study, sample: judgekit.Sample, shots: Sequence[judgekit.Sample]
    ) -> judgekit.Request:
        prompt = study.render(
            self.options.prompt,
            subject=(sample.category or "general knowledge").replace("_", " "),
            question=sample.instruction,
            choices=list(sample.choices),
            letters=list(LETTERS[: len(sample.choices)]),
            shots=[
                {"question": shot.instruction, "choices": list(shot.choices), "answer": LETTERS[shot.answer or 0]}
                for shot in shots
            ],
        )
        return judgekit.Request(
            messages=(judgekit.Message(role="user", content=prompt),),
            continuations=tuple(f" {letter}" for letter in LETTERS[: len(sample.choices)]),
        )


def _row(system: str, sample: judgekit.Sample, reply: judgekit.Reply, shots: int) -> judgekit.Row:
    verdict = _verdict(sample, reply, shots)
    return judgekit.Row(
        metric="",
        system=system,
        sample_id=sample.id,
        status=verdict.status,
        value=verdict.value,
        series={"always_a": float(sample.answer == 0)} if verdict.status == "scored" else {},
        verdicts=(verdict,),
    )


def _verdict(sample: judgekit.Sample, reply: judgekit.Reply, shots: int) -> judgekit.Verdict:
    if reply.status != "complete":
        return judgekit.Verdict(status=reply.status, detail=reply.detail)
    sums = [continuation.loglikelihood for continuation in reply.continuations]
    chosen = sums.index(max(sums))
    letters = {LETTERS[index]: round(value, 4) for index, value in enumerate(sums)}
    return judgekit.Verdict(
        status="scored",
        value=float(chosen == sample.answer),
        raw=json.dumps({"chosen": LETTERS[chosen], "loglikelihood": letters, "shots": shots}),
    )
