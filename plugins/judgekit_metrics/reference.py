"""`type: exact_match` and `type: rouge_l`: the response against the sample's reference, without a judge."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import ClassVar

import judgekit
from judgekit_metrics.score import unanswered


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
            return judgekit.Verdict(status="skipped", detail="the sample has no reference")
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
