"""The built-in metrics over hand-made studies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

import judgekit
from judgekit import Response, Sample, Verdict
from judgekit_metrics.reference import ExactMatch, ReferenceLikelihood, RougeL
from judgekit_metrics.score import Score


@dataclass
class FakeJudge:
    """Scores by the table; compares by length, with a weakness for the first when `biased`."""

    scores: dict[str, float] = field(default_factory=dict)
    biased: bool = False
    name: str = "fake"
    order_free: bool = False

    def score(self, items):
        for _, text, _ in items:
            if text in self.scores:
                yield Verdict(status="scored", value=self.scores[text])
            else:
                yield Verdict(status="unparsed", raw="hm")

    def compare(self, items):
        for _, a, b, _ in items:
            better = 0.5 if len(a) == len(b) else float(len(a) > len(b))
            values = (1.0, 0.0) if self.biased else (better, better)
            yield Verdict(status="scored", value=values[0]), Verdict(status="scored", value=values[1])


@dataclass
class FakeStudy:
    samples: Sequence[Sample]
    answers: dict[str, list[list[str | None]]]
    judge: FakeJudge | None = None
    judge_repeats: int = 1
    prompts: list[str] = field(default_factory=list)
    longest: int = 10_000

    @property
    def systems(self):
        return tuple(self.answers)

    @property
    def anchor(self):
        return self.systems[0]

    def responses(self, system):
        for sample, texts in zip(self.samples, self.answers[system], strict=True):
            for repeat, text in enumerate(texts):
                status = "complete" if text is not None else "error"
                yield (
                    sample,
                    Response(system=system, sample_id=sample.id, repeat=repeat, text=text or "", status=status),
                )

    def loglikelihood(self, system, requests):
        for request in requests:
            self.prompts.append(request.prompt)
            if len(request.prompt) > self.longest:
                yield judgekit.Reply(status="truncated", detail="too long")
            else:
                scores = [
                    judgekit.Continuation(token_logprobs=(-1.0 if text == " B" else -2.0,) * len(text.split()))
                    for text in request.continuations
                ]
                yield judgekit.Reply(continuations=tuple(scores))

    def prompt(self, system, sample):
        return f"{system}: {sample.instruction}"

    def messages(self, system, sample, answers=()):
        said = [self.prompt(system, sample), *sample.turns]
        text = "".join(f"{turn} {answer} " for turn, answer in zip(said, answers, strict=False)) + said[len(answers)]
        return (judgekit.Message(role="user", content=text),)

    def shots(self, sample):
        return [
            Sample(id=f"shot{n}", instruction=f"shot {n}", choices=("w", "x", "y", "z"), answer=n) for n in range(4)
        ]

    def render(self, template, **context):
        assert template == "multiple_choice/mmlu.j2"
        return repr(context)


SAMPLES = [Sample(id=str(n), instruction=f"Do {n}.", reference=f"done {n}") for n in range(3)]


def test_exact_match_folds_space_and_width_but_not_case():
    study = FakeStudy(SAMPLES, {"a": [["done 0"], [" done\n１ "], ["Done 2"]]})
    assert [row.value for row in ExactMatch().rows(study)] == [1, 1, 0]


def test_rows_without_response_or_reference_have_no_value():
    samples = [Sample(id="a", instruction="x"), Sample(id="b", instruction="x", reference="y")]
    rows = list(ExactMatch().rows(FakeStudy(samples, {"s": [["y"], [None]]})))
    assert [row.status for row in rows] == ["skipped", "error"]
    assert [row.value for row in rows] == [None, None]


def test_rouge_l_by_hand():
    metric = RougeL()
    assert metric.value("the cat sat", "the cat sat") == 1
    assert metric.value("the cat", "the dog sat") == pytest.approx(2 * 1 / 5)
    assert metric.value("", "a") == 0
    assert metric.value("", "") == 1


def test_scores_keep_their_order_and_statuses():
    judge = FakeJudge({"x": 10.0, "y": 90.0})
    study = FakeStudy(SAMPLES, {"s": [["x", "y"], [None, "?"], ["y", "x"]]}, judge, judge_repeats=2)
    rows = list(Score().rows(study))
    assert [(row.sample_id, row.repeat, row.judge_repeat, row.status, row.value) for row in rows[:4]] == [
        ("0", 0, 0, "scored", 10), ("0", 0, 1, "scored", 10), ("0", 1, 0, "scored", 90), ("0", 1, 1, "scored", 90),
    ]  # fmt: skip
    assert [row.status for row in rows[4:8]] == ["error", "error", "unparsed", "unparsed"]
    assert len(rows) == 12


def test_rouge_l_of_symbols_compares_them_as_they_are():
    assert RougeL().value("+", "+") == 1
    assert RougeL().value("", "!!!") == 0
    assert RougeL().value("-", "+") == 0


def test_the_likelihood_of_a_reference_is_one_over_its_perplexity():
    samples = [*SAMPLES[:2], Sample(id="none", instruction="Do it.")]
    study = FakeStudy(samples, {"a": [["x"]] * 3, "b": [["x"]] * 3})
    rows = list(ReferenceLikelihood().rows(study))
    assert [(row.system, row.sample_id, row.status) for row in rows[:3]] == [
        ("a", "0", "scored"),
        ("a", "1", "scored"),
        ("a", "none", "skipped"),
    ]
    assert rows[0].value == pytest.approx(math.exp(-2.0)), "two tokens of -2 nats each"
    assert "-4.0000 nats for 2 tokens; perplexity 7.389" in rows[0].verdicts[0].raw
    assert rows[2].value is None
    assert study.prompts == ["a: Do 0.", "a: Do 1.", "b: Do 0.", "b: Do 1."]
    study = FakeStudy(samples[:1], {"a": [["x"]]}, longest=3)
    assert [row.status for row in ReferenceLikelihood().rows(study)] == ["truncated"]
