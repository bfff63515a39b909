"""Reference metrics: what a sample's reference says, without a judge: `exact_match`, `f1`, `rouge_l`, `perplexity`.

Of a conversation, every answer is compared with the reference of its turn; the value is the mean over the turns that
have one.
"""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import judgekit
import judgekit.data
import judgekit.statistics
from judgekit_metrics.by_turn import MEAN, mean, spread, turn_series
from judgekit_metrics.score import unanswered

_NO_REFERENCE = judgekit.Verdict(status="skipped", detail="the sample has no reference")


class _ReferenceMetric(judgekit.Metric):
    needs = frozenset({"responses", "reference"})
    conversations = True

    def value(self, response: str, reference: str) -> float:
        raise NotImplementedError

    def series_on(
        self, judged: Mapping[str, judgekit.Scale], samples: Sequence[judgekit.Sample]
    ) -> Mapping[str, judgekit.Scale]:
        by_turn = turn_series(samples, self.series["value"])
        by_turn.pop(MEAN, None)  # that is the value itself
        return {**self.series, **by_turn}

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
                    series=verdict.series,
                    verdicts=(verdict,) if verdict.detail else (),
                )

    def _verdict(self, sample: judgekit.Sample, response: judgekit.Response) -> judgekit.Verdict:
        if response.status != "complete":
            return unanswered(response)
        values = [
            None if reference is None else self.value(answer, reference)
            for answer, reference in zip(response.answers, sample.references, strict=True)
        ]
        known = [value for value in values if value is not None]
        if not known:
            return _NO_REFERENCE
        series = {name: value for name, value in spread(values).items() if name != MEAN} if sample.turns else {}
        return judgekit.Verdict(status="scored", value=mean(known), series=series)


class ExactMatch(_ReferenceMetric):
    """1 where the response equals the reference, Unicode-normalised (NFKC), white space folded, case kept."""

    series: ClassVar[dict[str, judgekit.Scale]] = {
        "value": judgekit.Scale(label="exact match", low=0, high=1, unit="%")
    }

    def value(self, response: str, reference: str) -> float:
        return float(_folded(response) == _folded(reference))


class F1(_ReferenceMetric):
    """F1 of the tokens that response and reference share (SQuAD, Rajpurkar et al. 2016): lower-cased, without
    punctuation and the articles a, an, the; Hangul, Han, kana, Thai and the like count by the character."""

    series: ClassVar[dict[str, judgekit.Scale]] = {"value": judgekit.Scale(label="token F1", low=0, high=1)}

    def value(self, response: str, reference: str) -> float:
        return token_f1(response, reference)


class RougeL(_ReferenceMetric):
    """ROUGE-L F1 of lower-cased words (Lin 2004): 2·LCS / (words of the response + words of the reference)."""

    series: ClassVar[dict[str, judgekit.Scale]] = {"value": judgekit.Scale(label="ROUGE-L", low=0, high=1)}

    def value(self, response: str, reference: str) -> float:
        ours, theirs = judgekit.data.rouge_words(response), judgekit.data.rouge_words(reference)
        if not ours and not theirs:  # symbols alone, such as "+": nothing to align
            return float(_folded(response) == _folded(reference))
        return judgekit.data.rouge_l(ours, theirs)


class ReferenceLikelihood(judgekit.Metric):
    """Perplexity of the reference after the instruction: e to the mean nats a token, over all tokens. The value is its
    inverse by item, the geometric mean of the tokens' probabilities. Comparable between systems of one vocabulary only.

    A conversation's turn follows the earlier turns with their references as answers; all of them must have one.
    """

    needs = frozenset({"loglikelihood", "prompt", "reference"})
    series: ClassVar[dict[str, judgekit.Scale]] = {
        "value": judgekit.Scale(label="reference likelihood (1 / perplexity)", low=0, high=1)
    }
    unscaled = ("nats", "tokens")  # sums over the item: its negative log-likelihood, and its length
    conversations = True

    def questions(self, sample: judgekit.Sample) -> int:
        return len(_references(sample))

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        for system in study.systems:
            asked = (request for sample in study.samples for request in _continued(study, system, sample))
            replies = study.loglikelihood(system, asked)
            for sample in study.samples:
                said = [next(replies) for _ in _references(sample)]
                verdict, sums = _likelihood(said) if said else (_NO_REFERENCE, {})
                yield judgekit.Row(
                    metric="",
                    system=system,
                    sample_id=sample.id,
                    status=verdict.status,
                    value=verdict.value,
                    series=sums,
                    verdicts=(verdict,),
                )

    def aggregate(self, tables: judgekit.statistics.Tables, terms: judgekit.AggregateTerms) -> judgekit.Aggregate:
        """The likelihoods, and beside each system's its perplexity over all items."""
        from judgekit_metrics.by_pair import by_pair
        from judgekit_metrics.perplexity import NAME, PERPLEXITY, perplexity_estimate

        means = terms.means(tables).estimates
        if terms.group is not None:
            return judgekit.Aggregate(means)
        wholes = []
        for pair, nats in tables.get("nats", {}).items():
            of = judgekit.statistics.Subject(terms.metric, pair[0], PERPLEXITY, NAME)
            wholes.append(perplexity_estimate(nats, tables["tokens"][pair], of, terms))
        return judgekit.Aggregate(by_pair([*means, *wholes]))


def _references(sample: judgekit.Sample) -> tuple[str, ...]:
    """The reference of every turn; none, where one is missing."""
    references = tuple(reference for reference in sample.references if reference)
    return references if len(references) == len(sample.references) else ()


def _continued(study: judgekit.Study, system: str, sample: judgekit.Sample) -> Iterator[judgekit.Request]:
    references = _references(sample)
    for place, reference in enumerate(references):
        messages = study.messages(system, sample, references[:place])
        yield judgekit.Request(messages=messages, continuations=(reference,))


def _likelihood(replies: Sequence[judgekit.Reply]) -> tuple[judgekit.Verdict, dict[str, float]]:
    """The verdict, and what the system's perplexity is made of: `nats` and `tokens`, over all turns."""
    for reply in replies:
        if reply.status != "complete":
            return judgekit.Verdict(status=reply.status, detail=reply.detail), {}
    read = [reply.continuations[0] for reply in replies]
    tokens, total = sum(one.tokens for one in read), math.fsum(one.loglikelihood for one in read)
    detail = f"{total:.4f} nats for {judgekit.counted(tokens, 'token')}; perplexity {_exp(-total / tokens):.4g}"
    verdict = judgekit.Verdict(status="scored", value=math.exp(total / tokens), raw=detail)
    return verdict, {"nats": -total, "tokens": float(tokens)}


def _exp(value: float) -> float:
    """e to the value, or infinity where that is too large for a float."""
    return math.exp(value) if value < 709 else math.inf


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


# Scripts that are written without spaces, and Hangul, whose words carry their particles: only as syllables do 서울 and
# 서울은 share tokens.
_BY_CHARACTER = (
    "\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
_PIECES = re.compile(f"[{_BY_CHARACTER}]|[^{_BY_CHARACTER}]+")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def squad_tokens(text: str) -> list[str]:
    """The tokens of SQuAD's evaluation: lower case, punctuation left out, then English articles, then split at white
    space. Two things are added that leave plain English as it was: Unicode (NFKC, and all of its punctuation, as in
    MLQA, Lewis et al. 2020), and scripts without spaces and Hangul character by character (as MLQA does for Chinese,
    and KorQuAD for Korean, Lim et al. 2019)."""
    folded = unicodedata.normalize("NFKC", text).lower()
    bare = "".join(c for c in folded if c not in string.punctuation and not unicodedata.category(c).startswith("P"))
    return [piece for word in _ARTICLES.sub(" ", bare).split() for piece in _PIECES.findall(word)]


def token_f1(response: str, reference: str) -> float:
    """Harmonic mean of precision and recall of the tokens, each counted as often as both have it; where either has no
    token, 1 if neither has (SQuAD 2.0, Rajpurkar et al. 2018)."""
    ours, theirs = squad_tokens(response), squad_tokens(reference)
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))
