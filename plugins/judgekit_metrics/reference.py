"""What the sample's reference says of a system, without a judge: `exact_match`, `rouge_l`, `reference_likelihood`."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import ClassVar

import judgekit
from judgekit_metrics.score import unanswered

_NO_REFERENCE = judgekit.Verdict(status="skipped", detail="the sample has no reference")


class _ReferenceMetric(judgekit.Metric):
    needs = frozenset({"responses", "reference"})

    def value(self, response: str, reference: str) -> float:
        raise NotImplementedError

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        for system in study.systems:
            for sample, response in study.responses(system):
                verdict = self._verdict(sample, response)
                yield judgekit.Row(
                    metric="",
                    system=system,
                    sample_id=sample.id,
                    repeat=response.repeat,
                    status=verdict.status,
                    value=verdict.value,
                    verdicts=(verdict,) if verdict.detail else (),
                )

    def _verdict(self, sample: judgekit.Sample, response: judgekit.Response) -> judgekit.Verdict:
        if response.status != "complete":
            return unanswered(response)
        if sample.reference is None:
            return _NO_REFERENCE
        return judgekit.Verdict(status="scored", value=self.value(response.text, sample.reference))


class ExactMatch(_ReferenceMetric):
    """1 where the response equals the reference, Unicode-normalised (NFKC), white space folded, case kept."""

    series: ClassVar[dict[str, judgekit.Series]] = {
        "value": judgekit.Series(label="exact match", low=0, high=1, unit="%")
    }

    def value(self, response: str, reference: str) -> float:
        return float(_folded(response) == _folded(reference))


class RougeL(_ReferenceMetric):
    """ROUGE-L F1 of lower-cased words (Lin 2004): 2·LCS / (words of the response + words of the reference)."""

    series: ClassVar[dict[str, judgekit.Series]] = {"value": judgekit.Series(label="ROUGE-L", low=0, high=1)}

    def value(self, response: str, reference: str) -> float:
        ours, theirs = _words(response), _words(reference)
        if not ours and not theirs:  # symbols alone, such as "+": nothing to align
            return float(_folded(response) == _folded(reference))
        return 2 * longest_common_subsequence(ours, theirs) / (len(ours) + len(theirs))


class ReferenceLikelihood(judgekit.Metric):
    """How likely the reference is after the instruction: the geometric mean of its tokens' probabilities, which is 1
    over the item's perplexity. Comparable between systems of one vocabulary only."""

    needs = frozenset({"loglikelihood", "prompt", "reference"})
    series: ClassVar[dict[str, judgekit.Series]] = {
        "value": judgekit.Series(label="reference likelihood (1 / perplexity)", low=0, high=1)
    }

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        for system in study.systems:
            asked = [sample for sample in study.samples if sample.reference]
            replies = study.loglikelihood(system, (_continued(study, system, sample) for sample in asked))
            found = {sample.id: _likelihood(reply) for sample, reply in zip(asked, replies, strict=True)}
            for sample in study.samples:
                verdict = found.get(sample.id, _NO_REFERENCE)
                yield judgekit.Row(
                    metric="",
                    system=system,
                    sample_id=sample.id,
                    status=verdict.status,
                    value=verdict.value,
                    verdicts=(verdict,),
                )


def _continued(study: judgekit.Study, system: str, sample: judgekit.Sample) -> judgekit.Request:
    message = judgekit.Message(role="user", content=study.prompt(system, sample))
    return judgekit.Request(messages=(message,), continuations=(sample.reference or "",))


def _likelihood(reply: judgekit.Reply) -> judgekit.Verdict:
    if reply.status != "complete":
        return judgekit.Verdict(status=reply.status, detail=reply.detail)
    (reference,) = reply.continuations
    mean = reference.loglikelihood / reference.tokens
    detail = f"{reference.loglikelihood:.4f} nats for {reference.tokens} tokens; perplexity {_exp(-mean):.4g}"
    return judgekit.Verdict(status="scored", value=math.exp(mean), raw=detail)


def _exp(value: float) -> float:
    """e to the value, or infinity where that is too large for a float."""
    return math.exp(value) if value < 709 else math.inf


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, by rows; time len(a)·len(b), memory len(b)."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for column, y in enumerate(b, start=1):
            above = row[column]
            row[column] = diagonal + 1 if x == y else max(above, row[column - 1])
            diagonal = above
    return row[-1]
