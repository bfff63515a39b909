"""A dry run counts what a run asks at most: it is the run itself, with nobody called."""

import json

import pytest

from judgekit.config.blocks import RunConfig
from judgekit.pipeline.run import Run, Settings, run_id
from judgekit.plugins import build_manager
from judgekit.testing import Parrot, ParrotPlugin

PLUGINS = ("datasets", "json", "metrics", "readings", "responses")
ITEMS = [{"instruction": f"Say the word number {number}.", "output": f"word {number}"} for number in range(6)]
JUDGE = {"backend": "parrot", "prompt": "score/integer", "temperature": 1.0, "control_items": 2}
PRICE = {"input": 3.0, "output": 9.0}


@pytest.fixture
def here(tmp_path):
    (tmp_path / "items.json").write_text(json.dumps(ITEMS))
    (tmp_path / "questions.json").write_text(json.dumps(QUESTIONS))
    Parrot.reset()
    return tmp_path


def config(judges, metrics, **changes):
    tree = {
        "name": "parrots",
        "data": {"path": "items.json"},
        "models": {"one": {"backend": "parrot"}, "two": {"backend": "parrot", "answers": {"number": "nothing"}}},
        "judges": judges,
        "metrics": metrics,
        "reports": ["json"],
        "statistics": {"resamples": 99},
    }
    return RunConfig.model_validate(tree | changes)


def run_of(spec, here, **settings):
    manager = build_manager(only=PLUGINS, extra=[ParrotPlugin()])
    return Run(spec, here, manager, Settings(output=here / "runs", home=here / "home", **settings))


def planned(spec, here, **settings):
    return run_of(spec, here, **settings).plan()


def executed(spec, here, **settings):
    return run_of(spec, here, **settings).execute()


EXAM = {"loader": "choices", "path": "questions.json"}
QUESTIONS = [
    {"question": f"Question {number}?", "choices": ["one", "two", "three"], "answer": number % 3} for number in range(5)
]
BABBLER = JUDGE | {"answers": {"": "I would rather not say"}}
CASES = {
    "score": ({"main": BABBLER}, {"quality": {"type": "score", "judge": "main"}}),
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
    "likelihood ratio": (
        {"main": BABBLER | {"prompt": "score/likelihood_ratio"}},
        {"quality": {"type": "score", "judge": "main"}},
    ),
    "several criteria": (
        {"main": BABBLER | {"prompt": "score/criteria", "criteria": {"helpful": "It helps.", "true": "It is true."}}},
        {"quality": {"type": "score", "judge": "main"}},
    ),
    "steps, then a score": (
        {
            "main": JUDGE
            | {"prompt": "score/geval", "criterion": "Coherence.", "answers": {"": "- Read it.\n- Rate it."}}
        },
        {"quality": {"type": "score", "judge": "main"}},
    ),
    "yes or no": (
        {"main": JUDGE | {"prompt": "score/yes_no", "criterion": "Is it polite?"}},
        {"quality": {"type": "score", "judge": "main"}},
    ),
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
    outcome = executed(spec, here)
    # Two systems may say the same, which is asked once; before they have spoken nobody knows.
    assert outcome.asked <= plan.total.left <= outcome.asked + outcome.from_ledger
    assert len(Parrot.history) == outcome.asked
    assert planned(spec, here).total.left == 0, "all of it is in the ledger now"


def test_what_the_ledger_has_is_found_for_judges_too(here):
    spec = config({"main": JUDGE}, {"quality": {"type": "score", "judge": "main"}})
    before = {line.stage: line for line in planned(spec, here).lines}
    executed(spec, here)
    after = {line.stage: line for line in planned(spec, here).lines}
    assert before["measuring quality"].in_ledger == 0
    assert before["measuring quality"].asked.again == 12
    for stage in before:
        asked = after[stage].asked
        assert asked.left == 0, stage
    assert planned(spec, here, fresh=True).total.left == sum(line.asked.left for line in before.values() if line.asked)


def test_the_cost_is_bounded_by_every_byte_that_is_sent(here):
    judge = JUDGE | {"price": PRICE, "max_new_tokens": 5}
    models = {"one": {"backend": "parrot", "price": {"input": 0, "output": 1.0}, "max_new_tokens": 10}}
    spec = config({"main": judge}, {"quality": {"type": "score", "judge": "main"}}, models=models)
    plan = planned(spec, here)
    outcome = executed(spec, here)
    sent = sum(len(request.prompt) for request in Parrot.history)
    assert sent < plan.total.prompt_tokens
    lines = {line.stage: line.asked for line in plan.lines}
    generated = lines["generating one"]
    assert generated.cost.usd == pytest.approx(6 * 10 * 1e-6)
    judged = lines["measuring quality"]
    assert judged.completion_tokens == 5 * judged.left
    assert judged.cost.usd == pytest.approx((3 * judged.prompt_tokens + 9 * judged.completion_tokens) / 1e6)
    assert not plan.total.unpriced
    assert list(outcome.use.parts) == ["models.one", "judges.main"]


def test_parts_without_a_price_are_named(here):
    plan = planned(config({"main": JUDGE}, {"quality": {"type": "score", "judge": "main"}}), here)
    assert plan.total.unpriced == {"models.one", "models.two", "judges.main"}


def test_budget_limits_and_price_are_no_part_of_the_work(here):
    plain = config({"main": JUDGE}, {"quality": {"type": "score", "judge": "main"}})
    extra = {"price": PRICE, "limits": {"requests_per_minute": 100_000, "concurrency": 2}}
    priced = config(
        {"main": JUDGE | extra},
        {"quality": {"type": "score", "judge": "main"}},
        budget={"calls": 1000, "usd": 5},
        models={name: model.model_dump(mode="json") | extra for name, model in plain.models.items()},
    )
    assert plain != priced
    assert plain.work() == priced.work()
    assert run_id(plain, {}, {}, {}) == run_id(priced, {}, {}, {})
    assert RunConfig.model_validate(plain.work()) == plain
    assert RunConfig.model_validate(priced.model_dump(mode="json")) == priced
    first = executed(plain, here)
    again = executed(priced, here)
    assert again.asked == 0
    assert again.record == first.record


def test_a_metric_that_the_stand_ins_throw_is_counted_by_its_own_word(here, monkeypatch):
    from judgekit_metrics.score import Score

    def broken(self, study):
        raise KeyError("no such answer")

    monkeypatch.setattr(Score, "rows", broken)
    plan = planned(config({"main": JUDGE}, {"quality": {"type": "score", "judge": "main"}}), here)
    (line,) = [line for line in plan.lines if line.stage == "measuring quality"]
    assert (line.calls, line.in_ledger, line.asked) == (12, None, None)
    assert "KeyError: 'no such answer'" in line.note
