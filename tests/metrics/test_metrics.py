"""The built-in metrics over hand-made studies; F1 as SQuAD's evaluation has it, and with other scripts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

import judgekit
from judgekit import Response, Sample, Verdict
from judgekit_metrics.reference import ExactMatch, ReferenceLikelihood, RougeL, squad_tokens, token_f1
from judgekit_metrics.score import Score
from tables import each


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


def test_metrics_by_hand():
    study = FakeStudy(SAMPLES, {"a": [["done 0"], [" done\n１ "], ["Done 2"]]})
    assert [row.value for row in ExactMatch().rows(study)] == [1, 1, 0]
    metric = RougeL()
    assert metric.value("the cat sat", "the cat sat") == 1
    assert metric.value("the cat", "the dog sat") == pytest.approx(2 * 1 / 5)
    assert metric.value("", "a") == 0
    assert metric.value("", "") == 1
    assert RougeL().value("+", "+") == 1
    assert RougeL().value("", "!!!") == 0
    assert RougeL().value("-", "+") == 0
    samples = [Sample(id="a", instruction="x"), Sample(id="b", instruction="x", reference="y")]
    rows = list(ExactMatch().rows(FakeStudy(samples, {"s": [["y"], [None]]})))
    assert [row.status for row in rows] == ["skipped", "error"]
    assert [row.value for row in rows] == [None, None]
    judge = FakeJudge({"x": 10.0, "y": 90.0})
    study = FakeStudy(SAMPLES, {"s": [["x", "y"], [None, "?"], ["y", "x"]]}, judge, judge_repeats=2)
    rows = list(Score().rows(study))
    assert [(row.sample_id, row.repeat, row.judge_repeat, row.status, row.value) for row in rows[:4]] == [
        ("0", 0, 0, "scored", 10), ("0", 0, 1, "scored", 10), ("0", 1, 0, "scored", 90), ("0", 1, 1, "scored", 90),
    ]  # fmt: skip
    assert [row.status for row in rows[4:8]] == ["error", "error", "unparsed", "unparsed"]
    assert len(rows) == 12


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


@each(
    ("The Denver Broncos!", "denver broncos", 1.0),  # case, articles and punctuation count for nothing
    ("Denver", "Denver Broncos", 2 / 3),  # precision 1, recall 1/2
    ("the team Denver Broncos won it", "Denver Broncos", 2 * 2 / (5 + 2)),
    ("a a b", "b b", 2 * 1 / (1 + 2)),  # "a" is an article; a token counts as often as both have it
    ("x x y", "x y y", 2 * 2 / (3 + 3)),
    ("New York", "Boston", 0.0),
    ("1,000", "1000", 1.0),
    ("don't", "dont", 1.0),
    ("well-known", "well known", 0.0),  # a hyphen goes, and no space takes its place
    ("", "", 1.0),
    ("the", "An", 1.0),  # nothing is left of either
    ("", "yes", 0.0),
    ("an answer", "", 0.0),
)
def test_f1_is_that_of_squad(response, reference, f1):
    assert token_f1(response, reference) == pytest.approx(f1)


@each(
    ("서울은 수도다.", ["서", "울", "은", "수", "도", "다"]),
    ("\u1109\u1165\u110b\u116e\u11af", ["서", "울"]),  # decomposed, as some systems write it
    ("東京は「首都」です。", ["東", "京", "は", "首", "都", "で", "す"]),
    ("中文 GPT-2模型", ["中", "文", "gpt2", "模", "型"]),
    ("ＡＢＣ", ["abc"]),
    ("“curly” … quotes", ["curly", "quotes"]),
    ("Ça va?", ["ça", "va"]),
)
def test_scripts_without_spaces_and_hangul_count_by_the_character(text, tokens):
    assert squad_tokens(text) == tokens


def test_a_particle_costs_a_korean_answer_little():
    assert token_f1("서울은", "서울") == pytest.approx(4 / 5)


@given(st.text(), st.text())
def test_f1_is_symmetric_and_in_range(first, second):
    value = token_f1(first, second)
    assert 0 <= value <= 1
    assert value == token_f1(second, first)
    assert token_f1(first, first) == 1
