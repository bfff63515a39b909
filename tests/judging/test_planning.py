"""Every judging mode in a whole run, each one line of config, over a judge that grades by rule; and what is refused."""

import json

import pytest

from judgekit.cli.results import print_record
from judgekit.config.blocks import JudgeConfig, ModelConfig, RunConfig
from judgekit.config.load import load
from judgekit.errors import ConfigError
from judgekit.judging.planning import judging_itself
from judgekit.pipeline.prepare import prepare
from judgekit.pipeline.run import Run, Settings
from mode_runs import config, estimates, manager, refused, run
from probing import Prober

SCORES = {
    "grade": ({"scale": [1, 5]}, (1, 5), set()),
    "integer": ({}, (0, 100), set()),
    "reason_json": ({}, (0, 100), set()),
    "rubric": ({"rubric": {1: "bad", 3: "fair", 9: "good"}}, (1, 9), set()),
    "rubric.ko": ({}, (1, 5), set()),
    "geval": ({"steps": ["Read it.", "Judge it."]}, (1, 5), {"mass"}),
    "yes_no": ({"criterion": "Is it polite?"}, (0, 1), {"mass"}),
    "reference_free": ({"scale": [1, 10]}, (1, 10), set()),
    "criteria": ({"criteria": {"kind": "It is kind.", "true": "It is true."}}, (1, 10), {"kind", "true"}),
}


@pytest.mark.parametrize("mode", SCORES)
def test_a_mode_of_scoring_is_one_line_of_config(here, mode):
    options, (low, high), series = SCORES[mode]
    record, rows = run(config({"main": {"mode": mode, **options}}), here)
    found = estimates(record)
    assert record.status == "complete"
    assert set(found) == {"value"} | series
    assert (found["value"].scale.low, found["value"].scale.high) == (low, high)
    if not mode.endswith(".ko"):  # the prober reads English
        assert {row.status for row in rows} == {"scored"}
        assert all(low <= row.value <= high for row in rows)
    assert all(row.verdicts[0].raw for row in rows)
    assert record.prompts.keys() >= {f"score/{mode}"}


def test_what_the_config_says_is_what_the_judge_is_shown(here):
    run(config({"main": {"mode": "rubric", "rubric": {2: "a poor one", 4: "a rich one"}}}), here)
    assert "2: a poor one\n4: a rich one\nAny integer from 2 to 4" in Prober.calls[0].prompt
    Prober.calls.clear()
    run(config({"main": {"mode": "geval", "steps": ["Look twice."], "criterion": "Beauty.", "scale": [0, 9]}}), here)
    prompt = Prober.calls[0].prompt
    assert "Criterion:\nBeauty.\n\nEvaluation steps:\n1. Look twice.\n" in prompt
    assert "number from 0 to 9" in prompt
    assert Prober.calls[0].top_logprobs == 20


@pytest.mark.parametrize(
    ("mode", "floor", "status"),
    [("geval", None, "unparsed"), ("geval", 0.5, "scored"), ("yes_no", None, "scored"), ("yes_no", 0.7, "unparsed")],
)
def test_a_probability_shows_its_mass_and_under_its_floor_is_no_verdict(here, mode, floor, status):
    steps = {"steps": ["Read it."]} if mode == "geval" else {}
    record, rows = run(config({"main": {"mode": mode, "mass": 0.6, "floor": floor, **steps}}), here)
    found, verdict = estimates(record), rows[0].verdicts[0]
    assert {row.status for row in rows} == {status}
    assert verdict.series == {"mass": pytest.approx(0.6)}
    if status == "unparsed":
        assert "hold 0.6 of the probability, under the floor" in verdict.detail
        assert found["value"].value is None
    else:
        assert json.loads(verdict.raw)["probabilities"]
        assert (found["mass"].value, found["mass"].scale.unit) == (pytest.approx(0.6), "%")
    if mode == "geval" and floor:
        assert {row.value for row in rows} & {1.25, 2.25, 3.25, 4.25}, "a quarter of the way to the next level"


def test_evaluation_steps_are_written_once_and_found_again(here):
    spec = config({"main": {"mode": "geval", "criterion": "Is it true?", "max_new_tokens": 4}})
    first, _ = run(spec, here)
    asked = [request for request in Prober.calls if "Write the evaluation steps" in request.prompt]
    assert len(asked) == 1
    assert "Is it true?" in asked[0].prompt
    limits = [request.sampling.max_new_tokens for request in Prober.calls[:2]]
    assert limits == [512, 4], "steps are not cut by a limit that is meant for verdicts"
    assert "1. Read the task.\n2. Compare the response with it.\n3. Give the number." in Prober.calls[1].prompt
    assert first.prompts.keys() >= {"score/geval", "steps/geval"}
    assert first.steps == {"main": ("Read the task.", "Compare the response with it.", "Give the number.")}
    calls = len(Prober.calls)
    second, _ = run(spec, here)
    assert len(Prober.calls) == calls
    assert second == first


def test_without_evaluation_steps_there_is_no_verdict_and_nothing_else_is_asked(here):
    record, rows = run(config({"main": {"mode": "geval", "mute": True}}), here)
    assert {row.status for row in rows} == {"unparsed"}
    assert "the judge wrote no evaluation steps (0 numbered lines" in rows[0].verdicts[0].detail
    assert rows[0].verdicts[0].raw == "I would rather not."
    assert len(Prober.calls) == 2, "asked once, and once more in other words"
    assert record.status == "complete"


def planned(spec, here):
    return Run(spec, here, manager(), Settings(output=here / "runs", home=here / "home")).plan().lines


@pytest.mark.parametrize(
    ("judges", "calls"),
    [
        ({"main": {"mode": "geval"}}, 16 + 1),
        ({"main": {"mode": "yes_no"}}, 16),
        ({"jury": {"panel": ["a", "b"]}, "a": {"mode": "geval"}, "b": {"mode": "grade", "scale": [1, 5]}}, 32 + 1),
    ],
)
def test_a_dry_run_counts_what_is_asked(here, judges, calls):
    spec = config(judges)
    (line,) = [line for line in planned(spec, here) if line.stage.startswith("measuring")]
    assert not Prober.calls
    assert line.calls == calls
    run(spec, here)
    assert len(Prober.calls) == calls


def test_criteria_are_series_of_their_own_and_their_weighted_mean(here):
    criteria = {"kind": "It is kind.", "true": "It is true."}
    record, rows = run(config({"main": {"mode": "criteria", "criteria": criteria, "weights": {"true": 3}}}), here)
    for row in rows:
        assert row.value == pytest.approx((row.series["kind"] + 3 * row.series["true"]) / 4)
    found = estimates(record)
    assert (found["kind"].scale.label, found["kind"].scale.high) == ("kind", 10)
    assert "kind: It is kind.\ntrue: It is true." in Prober.calls[0].prompt
    assert list(Prober.calls[0].json_schema["properties"]) == ["rationale", "kind", "true", "nonce"]


def test_a_reference_free_judge_never_sees_the_reference(here):
    for name, answer in (("items", ""), ("answers", "x"), ("others", "y")):
        items = [{"instruction": f"Say {n}.", "output": f"secret {n}", "answer": answer} for n in range(3)]
        (here / f"{name}.json").write_text(json.dumps(items))
    run(config({"main": {"mode": "reference_free"}}), here)
    run(config({"main": {"mode": "reference_free"}}, "pairwise"), here)
    assert len(Prober.calls) == 2 * 3 + 2 * 3
    assert not any("secret" in request.prompt for request in Prober.calls)


def test_a_preference_is_a_probability_in_both_orders(here):
    record, rows = run(config({"main": {"mode": "preference"}}, "pairwise"), here)
    assert [verdict.value for verdict in rows[0].verdicts] == pytest.approx([0.75, 0.25]), "it always prefers the first"
    assert rows[0].value == pytest.approx(0.5)
    assert rows[0].verdicts[0].series == {"mass": pytest.approx(0.95)}
    assert record.status == "complete"


def test_one_judge_may_have_a_mode_for_each_task(here):
    spec = config({"main": {"mode": {"score": "grade", "pairwise": "preference"}}})
    metrics = {"a": {"type": "score"}, "b": {"type": "pairwise", "against": "old"}}
    record, _ = run(spec.model_validate(spec.model_dump() | {"metrics": metrics}), here)
    assert record.prompts.keys() >= {"score/grade", "pairwise/preference"}


def test_a_mode_takes_the_place_of_a_presets_prompt():
    spec = config({"main": {}}).model_dump() | {"judges": {"main": {"preset": "book", "mode": "grade"}}}
    assert RunConfig.model_validate(spec).judges["main"].prompt is None


REFUSED = {
    "no mode is named 'gevl'; did you mean 'geval'?": {"mode": "gevl"},
    "the mode 'preference' does not score; these do: book, conversation, conversation.ko": {"mode": "preference"},
    "mode names none to score by: write it as {score: …}": {"mode": {"pairwise": "letter"}},
    "judges.main: needs criteria:": {"mode": "criteria"},
    "criteria: the prompt score/grade makes no use of it; mode: criteria does": {
        "mode": "grade", "criteria": {"a": "b"}},
    "steps: the prompt score/integer makes no use of it; mode: geval does": {"mode": "integer", "steps": ["Read."]},
    "rubric: the prompt score/grade makes no use of it": {"mode": "grade", "rubric": {1: "a", 2: "b"}},
    "floor: the prompt score/grade makes no use of it": {"mode": "grade", "floor": 0.5},
    "scale: the prompt score/integer is written for 0..100": {"mode": "integer", "scale": [1, 5]},
    "an expected score takes whole levels": {"mode": "geval", "scale": [0, 1.5], "steps": ["Read."]},
    "at most 101 of them": {"mode": "geval", "scale": [0, 1000], "steps": ["Read."]},
    "needs logprobs or loglikelihood, which backend mute has not": {"mode": "geval", "backend": "mute"},
    "needs loglikelihood, which backend prober has not": {"mode": "likelihood_ratio"},
    "unknown variable 'responce'; did you mean 'response'?": {"prompt": "typo.j2"},
    "a scale is written low..high, such as 0..100, not '5..1'": {"prompt": "upside_down.j2"},
    "the prompt shows a rubric, and there is none": {"prompt": "rubricless.j2"},
    "a rubric has two levels at least": {"prompt": "one_level.j2"},
    "the rubric has levels 1 to 3, the scale other ends": {"prompt": "other_ends.j2"},
    "the prompt shows evaluation steps, and there are none": {"prompt": "stepless.j2"},
    "its 3 judge repeats cannot differ: probabilities are exact": {"mode": "yes_no", "temperature": 1.0},
}  # fmt: skip
OWN = {
    "typo": "{#- reading: integer -#}\n{{ responce }}",
    "upside_down": "{#- reading: integer\n scale: 5..1 -#}\n{{ response }}",
    "rubricless": "{#- reading: integer -#}\n{{ response }}{% for line in rubric %}{{ line.text }}{% endfor %}",
    "one_level": "{#- reading: integer\n rubric:\n 1: bad -#}\n{{ response }}{{ rubric }}",
    "other_ends": "{#- reading: integer\n scale: 1..5\n rubric:\n 1: bad\n 3: good -#}\n{{ response }}{{ rubric }}",
    "stepless": "{#- reading: integer -#}\n{{ response }}{{ steps }}",
}


@pytest.mark.parametrize(("said", "judge"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_cannot_be_judged_is_a_clear_error_before_any_call(here, said, judge):
    for name, text in OWN.items():
        (here / f"{name}.j2").write_text(text, encoding="utf-8")
    changes = {"repeats": {"judge": 3}} if "repeats" in said else {}
    message = refused(config({"main": judge}, **changes), here)
    assert said in message
    assert len(message.splitlines()) == 1, message


BAD = {
    "mode: grade, prompt: score/grade": "mode and prompt both name the prompt",
    "mode: grade, scale: [5, 1]": "from its low end to its high end, not [5, 1]",
    "mode: grade, scale: [1, 1]": "from its low end to its high end",
    "mode: grade, scale: 5": "scale",
    "mode: rubric, rubric: {1: bad}": "two levels at least",
    "mode: rubric, rubric: {}": "two levels at least",
    "mode: rubric, rubric: {one: bad, two: good}": "valid integer",
    "mode: rubric, rubric: {1: bad, 2: ''}": "no description",
    "mode: rubric, rubric: {1: bad, 5: good}, scale: [1, 10]": "levels 1 to 5, and the scale is [1, 10]",
    "mode: criteria, criteria: {two words: x}": "named by letters, digits and _, not 'two words'",
    "mode: criteria, criteria: {1st: x}": "not '1st'",
    "mode: criteria, criteria: {nonce: x}": "nonce, rationale, value are taken",
    "mode: criteria, criteria: {a: ''}": "no description",
    "mode: criteria, criteria: {}": "criteria",
    "mode: criteria, criteria: {helpful: x}, weights: {helpfull: 2}": "did you mean 'helpful'?",
    "mode: criteria, criteria: {a: x}, weights: {a: 0}": "greater than 0",
    "mode: geval, steps: []": "steps",
    "mode: geval, steps: ['  ']": "a step without words",
    "mode: geval, floor: 1.5": "floor",
    "mode: geval, floor: .nan": "floor",
    "mode: {scor: geval}": "score",
    "combine: vote": "combine is for a panel",
    "rubrik: {1: x}": None,
}  # fmt: skip


@pytest.mark.parametrize(("part", "said"), BAD.items(), ids=range(len(BAD)))
def test_a_config_that_makes_no_sense_is_refused_where_it_stands(here, part, said):
    path = here / "judgekit.yaml"
    path.write_text(
        "name: bad\ndata: {path: items.json}\nmodels: {a: {backend: responses, path: answers.json, field: answer}}\n"
        f"judges:\n  main: {{backend: prober, {part}}}\nmetrics: {{q: {{type: score}}}}\n"
    )
    if said is None:  # a key of the backend's, which knows no such
        assert "unknown key 'judges.main.rubrik'" in refused(load(path), here)
        return
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}:5: judges.main")


def test_a_judge_without_a_backend_says_so():
    with pytest.raises(ValueError, match=r"needs a backend \(or panel: \[judge, judge, …\]\)"):
        JudgeConfig.model_validate({"mode": "grade"})


def test_a_dumped_spec_with_every_key_is_a_config_again():
    spec = config({
        "main": {"mode": "rubric", "rubric": {5: "good", 1: "bad"}, "scale": [1, 5], "criterion": "x"},
        "other": {"mode": "criteria", "criteria": {"a": "b"}, "weights": {"a": 2}},
        "jury": {"panel": ["main", "other"], "combine": "vote"},
    })  # fmt: skip
    assert RunConfig.model_validate(json.loads(json.dumps(spec.model_dump(mode="json")))) == spec


def test_a_wide_expected_score_is_warned_of(here):
    spec = config({"main": {"mode": "geval", "scale": [0, 100], "steps": ["Read."]}})
    assert any("several digits" in warning for warning in prepare(spec, here, manager(), here).warnings)


def test_second_askings_are_counted_by_metric_and_system(here, capsys):
    said = {"number 3": "I would rather not.", "number 5": "It depends."}
    record, rows = run(config({"main": {"backend": "parrot", "mode": "integer", "answers": said}}), here)
    counted = {(one.system, one.value, one.note.partition(":")[0]) for one in record.statistics}
    assert counted == {("new", 2, "of 8"), ("old", 2, "of 8")}
    assert {row.verdicts[0].detail.partition(";")[0] for row in rows if row.status == "unparsed"} == {"asked twice"}
    print_record(record)
    assert "quality, new: verdicts that took a second asking: 2 (of 8" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("asked", "read"), [(0.3, 3), (0.2, 2), (3, 3), (20, 8)])
def test_control_arms_read_a_number_or_a_share_of_the_samples(here, asked, read):
    spec = config({"main": {"mode": "integer", "control_items": asked}})
    (line,) = [line for line in planned(spec, here) if line.stage.startswith("controlling")]
    record, _ = run(spec, here)
    assert {check.n_items for check in record.cards[0].checks if check.name == "gold"} == {read}
    assert line.calls == 12 * read
    assert 8 * read <= len(Prober.calls) - 16 <= line.calls  # the arm of the run's own responses may be shorter


@pytest.mark.parametrize(("task", "standard", "full"), [("score", 13, 17), ("pairwise", 8, 10)])
def test_a_full_card_is_priced_by_the_dry_run(here, task, standard, full):
    for card, arms in ((None, standard), ("full", full)):
        prompt = {"score": "score/integer", "pairwise": "pairwise/letter"}[task]
        spec = config({"main": {"prompt": prompt, "control_items": 4, "card": card}}, task)
        (line,) = [line for line in planned(spec, here) if line.stage.startswith("controlling")]
        assert line.note.startswith(f"{arms} arms × {4 if task == 'score' else 2}")


@pytest.mark.parametrize("asked", [-1, -0.5, 1.5, "some", True, float("nan"), float("inf"), None])
def test_what_is_no_number_of_control_items_is_refused(asked):
    with pytest.raises(ValueError, match="a number of samples, or a share of them below 1, not"):
        config({"main": {"mode": "integer", "control_items": asked}})


@pytest.mark.parametrize(
    ("model", "judge", "same"),
    [
        ({"backend": "ollama", "model": "llama3", "num_ctx": 512}, {"backend": "ollama", "model": "llama3"}, True),
        ({"backend": "ollama", "model": "llama3"}, {"preset": "book"}, True),
        ({"backend": "ollama", "model": "llama3:latest"}, {"backend": "openai", "model": "Llama3"}, True),
        ({"backend": "gpt2", "checkpoint": "a", "style": "alpaca"}, {"backend": "gpt2", "checkpoint": "a"}, True),
        ({"backend": "gpt2", "checkpoint": "a"}, {"backend": "gpt2", "checkpoint": "b"}, False),
        ({"backend": "ollama", "model": "llama3"}, {"backend": "ollama", "model": "llama3.1"}, False),
        ({"backend": "ollama", "model": "llama3:8b"}, {"backend": "ollama", "model": "llama3:70b"}, False),
        ({"backend": "prober"}, {"backend": "prober", "bias": 1}, False),
        ({"backend": "prober"}, {"backend": "prober", "temperature": 0.7}, True),
    ],
)
def test_a_judge_that_judges_itself_is_warned_of_by_the_model(model, judge, same):
    models = {"mine": ModelConfig.model_validate(model)}
    found = list(judging_itself("judges.main", "main", JudgeConfig.model_validate(judge), models))
    assert [problem.severity for problem in found] == ["warning"] * same
