"""A dry run counts what a run asks at most: it is the run itself, with nobody called."""

import json

import pytest

from judgekit.config.blocks import RunConfig
from judgekit.pipeline.run import run_id
from judgekit.testing import Parrot
from parrot_runs import config as parrots
from parrot_runs import execute, nest, run_of

JUDGE = {"backend": "parrot", "prompt": "score/integer", "temperature": 1.0, "control_items": 2}
QUALITY = {"quality": {"type": "score", "judge": "main"}}
PRICE = {"input": 3.0, "output": 9.0}


@pytest.fixture
def here(tmp_path):
    (tmp_path / "questions.json").write_text(json.dumps(QUESTIONS))
    return nest(tmp_path)


def config(judges, metrics=QUALITY, **changes):
    models = {"one": {"backend": "parrot"}, "two": {"backend": "parrot", "answers": {"number": "nothing"}}}
    return parrots(**{"judges": judges, "metrics": metrics, "models": models, **changes})


def planned(spec, here, **settings):
    return run_of(spec, here, **settings).plan()


EXAM = {"loader": "choices", "path": "questions.json"}
QUESTIONS = [
    {"question": f"Question {number}?", "choices": ["one", "two", "three"], "answer": number % 3} for number in range(5)
]
BABBLER = JUDGE | {"answers": {"": "I would rather not say"}}
STEPS = JUDGE | {"prompt": "score/geval", "criterion": "Coherence.", "answers": {"": "- Read it.\n- Rate it."}}
CASES = {
    "score": ({"main": BABBLER}, QUALITY),
    "pairwise": (
        {"main": BABBLER | {"prompt": "pairwise/letter"}},
        {"duel": {"type": "pairwise", "judge": "main", "against": "one"}},
    ),
    "panel": (
        {"a": BABBLER, "b": BABBLER | {"seed": 7}, "both": {"panel": ["a", "b"]}},
        {"quality": {"type": "score", "judge": "both"}},
    ),
    "no judge": ({}, {"exact": {"type": "exact_match"}, "f1": {"type": "f1"}, "rouge": {"type": "rouge_l"}}),
    "weighed references": ({}, {"ppl": {"type": "perplexity"}, "likely": {"type": "reference_likelihood"}}),
    "likelihood ratio": ({"main": BABBLER | {"prompt": "score/likelihood_ratio"}}, QUALITY),
    "several criteria": (
        {"main": BABBLER | {"prompt": "score/criteria", "criteria": {"helpful": "It helps.", "true": "It is true."}}},
        QUALITY,
    ),
    "steps, then a score": ({"main": STEPS}, QUALITY),
    "yes or no": ({"main": JUDGE | {"prompt": "score/yes_no", "criterion": "Is it polite?"}}, QUALITY),
    "preference": (
        {"main": JUDGE | {"prompt": "pairwise/preference"}},
        {"duel": {"type": "pairwise", "judge": "main"}},
    ),
    "letters that are weighed": ({}, {"exam": {"type": "multiple_choice", "data": EXAM}}),
    "whole answers that are weighed": ({}, {"exam": {"type": "multiple_choice", "data": EXAM, "mode": "acc_byte"}}),
    "letters that are written, in every order": (
        {},
        {"exam": {"type": "multiple_choice", "data": EXAM, "reading": "text", "order_probe": True}},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_with_a_judge_that_nobody_understands_the_most_is_what_is_asked(here, case):
    spec = config(*CASES[case])
    plan = planned(spec, here)
    assert Parrot.history == []
    assert sorted(path.name for path in here.iterdir()) == ["items.json", "questions.json"]
    outcome = execute(spec, here)
    # Two systems may say the same, which is asked once; before they have spoken nobody knows.
    assert outcome.asked <= plan.total.left <= outcome.asked + outcome.from_ledger
    assert len(Parrot.history) == outcome.asked
    assert planned(spec, here).total.left == 0, "all of it is in the ledger now"


def test_what_the_ledger_has_is_found_for_judges_too(here):
    spec = config({"main": JUDGE})
    before = {line.stage: line for line in planned(spec, here).lines}
    execute(spec, here)
    after = {line.stage: line for line in planned(spec, here).lines}
    assert before["measuring quality"].in_ledger == 0
    assert before["measuring quality"].asked.again == 24
    for stage in before:
        asked = after[stage].asked
        assert asked.left == 0, stage
    assert planned(spec, here, fresh=True).total.left == sum(line.asked.left for line in before.values() if line.asked)


def test_the_cost_is_bounded_by_every_byte_that_is_sent(here):
    judge = JUDGE | {"price": PRICE, "max_new_tokens": 5}
    models = {"one": {"backend": "parrot", "price": {"input": 0, "output": 1.0}, "max_new_tokens": 10}}
    spec = config({"main": judge}, models=models)
    plan = planned(spec, here)
    outcome = execute(spec, here)
    sent = sum(len(request.prompt) for request in Parrot.history)
    assert sent < plan.total.prompt_tokens
    lines = {line.stage: line.asked for line in plan.lines}
    generated = lines["generating one"]
    assert generated.cost.usd == pytest.approx(12 * 10 * 1e-6)
    judged = lines["measuring quality"]
    assert judged.completion_tokens == 5 * judged.left
    assert judged.cost.usd == pytest.approx((3 * judged.prompt_tokens + 9 * judged.completion_tokens) / 1e6)
    assert not plan.total.unpriced
    assert list(outcome.use.parts) == ["models.one", "judges.main"]


def test_parts_without_a_price_are_named(here):
    plan = planned(config({"main": JUDGE}), here)
    assert plan.total.unpriced == {"models.one", "models.two", "judges.main"}


def test_budget_limits_and_price_are_no_part_of_the_work(here):
    plain = config({"main": JUDGE})
    extra = {"price": PRICE, "limits": {"requests_per_minute": 100_000, "concurrency": 2}}
    priced = config(
        {"main": JUDGE | extra},
        budget={"calls": 1000, "usd": 5},
        models={name: model.model_dump(mode="json") | extra for name, model in plain.models.items()},
    )
    assert plain != priced
    assert plain.work() == priced.work()
    assert run_id(plain, {}, {}, {}) == run_id(priced, {}, {}, {})
    assert RunConfig.model_validate(plain.work()) == plain
    assert RunConfig.model_validate(priced.model_dump(mode="json")) == priced
    first = execute(plain, here)
    again = execute(priced, here)
    assert again.asked == 0
    assert again.record == first.record


def test_a_metric_that_the_stand_ins_throw_is_counted_by_its_own_word(here, monkeypatch):
    from judgekit_metrics.score import Score

    def broken(self, study):
        raise KeyError("no such answer")

    monkeypatch.setattr(Score, "rows", broken)
    plan = planned(config({"main": JUDGE}), here)
    (line,) = [line for line in plan.lines if line.stage == "measuring quality"]
    assert (line.calls, line.in_ledger, line.asked) == (24, None, None)
    assert "KeyError: 'no such answer'" in line.note
