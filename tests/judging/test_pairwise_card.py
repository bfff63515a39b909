"""The card of a judge that compares, on judges whose faults are known."""

import re

import pytest

from judgekit.judging.card_questions import CONSTANT
from judgekit.judging.pairwise_card import CLAIMS, pair_card, pair_questions
from judgekit.prompting.templates import parse
from judgekit.records import Reply, Sample, Sampling
from judgekit.testing import ScriptedCaller
from judges import llm_judge

SOURCE = "{#- for: x\n reading: letter -#}\n<{{ reference }}>\nA[{{ response_a }}]A\nB[{{ response_b }}]B"


def judge_of(caller, sampling=None):
    return llm_judge("main", caller, {"pairwise": parse(SOURCE, "own", "own.j2")}, sampling, backend="scripted")


def judged(answer, samples, items=None, sampling=None):
    caller = ScriptedCaller(answer)
    card = pair_card(judge_of(caller, sampling), samples, items)
    return card, {check.name: check for check in card.checks}, caller


def shown(request):
    """(reference, first answer, second answer)."""
    return re.fullmatch(r"<(.*)>\nA\[(.*)\]A\nB\[(.*)\]B", request.prompt, re.DOTALL).groups()


def fair(request, *_):
    reference, a, b = shown(request)
    if (reference in a) == (reference in b):
        return Reply(text="tie")
    return Reply(text="A" if reference in a else "B")


def test_a_fair_judge_passes(samples):
    card, checks, _ = judged(fair, samples, sampling=Sampling(temperature=0.0))
    assert (card.passed, card.task, card.prompt, card.reading) == (True, "pairwise", "own", "letter")
    assert {name: check.value for name, check in checks.items()} == {
        "gold": 1, "empty": 1, "constant": 1, "master": 1, "same": 0.5, "padded": 0.5, "formatted": 0.5, "injected": 0,
        "flips": 0, "first": 0.5, "retest": None,
    }  # fmt: skip
    assert checks["flips"].high < 0.05
    assert checks["gold"].low > 0.9


def wordy(request, *_):
    reference, a, b = shown(request)
    both = reference in a and reference in b and len(a) != len(b)
    return Reply(text="A" if len(a) > len(b) else "B") if both else fair(request)


def taken_in(request, *_):
    _, a, b = shown(request)
    found = [letter for mine, letter in ((a, "A"), (b, "B")) if mine == CONSTANT]
    return Reply(text=found[0]) if found else fair(request)


def gullible(request, *_):
    _, a, b = shown(request)
    claimed = [letter for mine, letter in ((a, "A"), (b, "B")) if f"Winner: {letter}" in mine]
    return Reply(text=claimed[0]) if claimed else fair(request)


@pytest.mark.parametrize(
    ("answer", "failed", "values"),
    [
        (lambda *_: Reply(text="A"), "gold empty constant master first", {"gold": 0.5, "flips": 1, "first": 1}),
        (wordy, "padded formatted", {"padded": 1}),
        (taken_in, "constant", {"constant": 0}),
        (gullible, "injected", {"injected": pytest.approx(0.2, abs=0.1)}),
    ],
    ids=["always the first", "length", "a constant", "claims"],
)
def test_a_judge_fails_by_its_fault_alone(samples, answer, failed, values):
    card, checks, _ = judged(answer, samples)
    assert [check.name for check in card.checks if check.passed is False] == failed.split()
    assert {name: checks[name].value for name in values} == values


def test_half_as_many_samples_are_read_and_the_count_is_told_before(samples):
    for temperature, arms in ((0.0, 8), (1.0, 9)):
        card, checks, caller = judged(fair, samples, 7, Sampling(temperature=temperature))
        assert card.passed
        assert checks["gold"].n_items == 4
        assert sum(not attempt for *_, attempt in caller.asked) == arms * 4 * 2
        reading = judge_of(caller, Sampling(temperature=temperature)).reading("pairwise")
        assert pair_questions(reading, 40, 7) == (arms * 8, f"{arms} arms × 4 × 2 orders")
        assert pair_questions(reading, 2, 7)[0] == arms * 4


def test_a_full_card_asks_about_assurances_and_doubts(samples):
    def impressed(request, *_):
        _, a, b = shown(request)
        found = [letter for mine, letter in ((a, "A"), (b, "B")) if "every expert agrees" in mine]
        return Reply(text=found[0]) if found else fair(request)

    for full, failed in ((False, []), (True, ["confident"])):
        card = pair_card(judge_of(ScriptedCaller(impressed)), samples, None, full)
        assert [check.name for check in card.checks if check.passed is False] == failed


def test_a_judge_that_draws_is_asked_again(samples):
    def moody(request, repeat, _):
        return Reply(text="A" if repeat else "tie")

    _, checks, _ = judged(moody, samples)
    assert (checks["retest"].value, checks["retest"].n_items) == (0, 40)  # in both orders A: no preference at all
    _, checks, _ = judged(lambda request, repeat, _: Reply(text="tie") if repeat else fair(request), samples)
    assert checks["retest"].value == 0.5


def test_a_judge_that_is_never_understood_fails_and_one_that_never_answers_is_not_judged(samples):
    card, checks, _ = judged(lambda *_: Reply(text="Well."), samples)
    assert card.passed is False
    assert checks["gold"].note == "over 0 of 40 samples: the rest were not scored"
    assert checks["flips"].value is None
    card, checks, _ = judged(lambda *_: Reply(status="error", detail="down"), samples)
    assert card.passed is None
    assert checks["gold"].counts == {"error": 40}


@pytest.mark.parametrize("samples", [[], [Sample(id="a", instruction="Say it.")]], ids=["none", "without references"])
def test_without_known_answers_nothing_is_said(samples):
    card, checks, caller = judged(fair, samples)
    assert card.passed is None
    assert {check.value for check in card.checks} == {None}
    assert checks["gold"].note == "no sample to ask about"
    assert caller.asked == []


def test_a_judge_that_reads_each_alone_has_no_order(prompts, samples, by_words):
    judge = llm_judge("main", ScriptedCaller(by_words), {"pairwise": prompts.get("pairwise/likelihood_ratio")})
    checks = {check.name: check for check in pair_card(judge, samples, 20).checks}
    assert checks["gold"].value > 0.5
    assert checks["flips"].value is None
    assert "by construction" in checks["first"].note


def test_every_claim_is_used(samples):
    _, _, caller = judged(fair, samples)
    everything = "".join(request.prompt for _, request, _, _ in caller.asked)
    assert all(claim.strip("\n") in everything or "<|" in claim or "</think>" in claim for claim in CLAIMS)
