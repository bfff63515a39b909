"""Multiple choice through a whole run: what is refused before any call, what the record holds, what the report says."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

import judgekit
from judgekit.config.blocks import RunConfig
from judgekit.errors import PreflightError
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import build_manager
from tables import each

PLUGINS = ("datasets", "json", "metrics", "readings", "responses")


class Talker(judgekit.Backend):
    """A chat model: says its answer, or the letter of the option that it likes wherever it stands."""

    class Options(judgekit.Options):
        says: str = "B"
        offers: tuple[str, ...] = ()

    options: Options
    asked: ClassVar[list[judgekit.Request]] = []

    def __init__(self, options=None, where=Path()):
        super().__init__(options, where)
        self.capabilities = frozenset({"generate", *self.options.offers})  # type: ignore[misc]

    def generate(self, requests):
        Talker.asked += requests
        letter = self.options.says
        if self.options.says == "knows":
            lines = [line for line in requests[0].prompt.splitlines() if line[1:3] == ". "]
            letter = next(line[0] for line in lines if line.endswith("right"))
        if requests[0].json_schema is not None:
            return [judgekit.Reply(text=json.dumps({"answer": letter}))]
        return [judgekit.Reply(text=letter)]

    def loglikelihood(self, requests):
        Talker.asked += requests
        values = [-1.0 if text.strip() == self.options.says else -2.0 for text in requests[0].continuations]
        return [judgekit.Reply(continuations=tuple(judgekit.Continuation(token_logprobs=(v,)) for v in values))]


class TalkerPlugin:
    @judgekit.hookimpl
    def judgekit_backends(self):
        return {"talker": Talker}


@pytest.fixture
def here(tmp_path):
    Talker.asked.clear()
    questions = [
        {
            "question": f"Question {number}?",
            "choices": ["right" if place == number % 4 else f"wrong {place}" for place in range(4)],
            "answer": number % 4,
            "category": f"subject_{number % 12}",
        }
        for number in range(120)
    ]
    (tmp_path / "questions.json").write_text(json.dumps(questions))
    return tmp_path


def config(metrics=None, **changes):
    tree: dict[str, Any] = {
        "name": "exam",
        "data": {"loader": "choices", "path": "questions.json"},
        "models": {
            "knowing": {"backend": "talker", "says": "knows", "offers": ["schema"]},
            "biased": {"backend": "talker", "says": "B", "offers": ["loglikelihood"]},
            "silent": {"backend": "talker", "says": "A cat"},
        },
        "metrics": metrics or {"exam": {"type": "multiple_choice"}},
        "reports": ["json"],
        "statistics": {"resamples": 199},
    }
    return RunConfig.model_validate(tree | changes)


def run_of(spec, here):
    manager = build_manager(only=PLUGINS, extra=[TalkerPlugin()])
    return Run(spec, here, manager, Settings(output=here / "runs", home=here / "home"))


def execute(spec, here):
    return run_of(spec, here).execute()


def test_the_record_has_accuracies_baselines_and_what_cannot_be_told_from_them(here):
    record = execute(config(), here).record
    found = {(each.system, each.series): each for each in record.estimates}
    assert found["knowing", "value"].value == 1
    assert found["biased", "value"].value == 0.25
    assert found["silent", "value"].value is None
    assert found["silent", "value"].counts == {"unparsed": 120}
    assert found["knowing", "macro"].n_clusters == 12
    assert found["biased", "clustered"].interval.method == "cluster_t"
    habits = {system: each.value for (system, series), each in found.items() if series == "baseline"}
    assert habits["always A"] == habits["always D"] == 0.25
    assert list(habits) == ["always A", "always B", "always C", "always D", "longest option"]
    series = {each.series for each in record.estimates}
    assert series == {"value", "macro", "clustered", "baseline"}, "series of other modes are left out"
    notes = {each.system: each.note for each in record.statistics if each.name == "letter_bias"}
    assert notes["knowing"].startswith("above every degenerate baseline")
    assert notes["biased"].startswith("cannot be told from letter bias")
    assert notes["silent"].startswith("not known to be above letter bias")
    assert [each.value for each in record.statistics if each.name == "chance"] == [0.25]


def test_the_report_says_so_and_shows_letters_and_readings(here):
    from judgekit_metrics.letters import sections

    outcome = execute(config(), here)
    baselines, letters = sections(outcome.folder.view())
    assert "biased: cannot be told from letter bias" in baselines.sentence
    assert baselines.table is not None
    assert [row[0] for row in baselines.table.rows][-2:] == ["longest option", "chance"]
    assert list(baselines.table.rows[1][:2]) == ["biased", "25.00 %"]
    assert "biased answers B to 120 of 120 (read by loglikelihood)" in letters.sentence
    assert "(read by schema)" in letters.sentence
    assert letters.table is not None
    assert list(letters.table.rows[0]) == ["right answers", 30, 30, 30, 30]
    assert ["biased", 0, 120, 0, 0] in [list(row) for row in letters.table.rows]


def test_two_metrics_may_ask_the_same_questions_and_the_ledger_serves_them(here):
    data = {"loader": "choices", "path": "questions.json"}
    metrics = {
        "plain": {"type": "multiple_choice", "data": data, "models": ["knowing"]},
        "probed": {"type": "multiple_choice", "data": data, "models": ["knowing"], "order_probe": True},
    }
    outcome = execute(config(metrics), here)
    found = {(each.metric, each.series): each.value for each in outcome.record.estimates}
    assert found["plain", "value"] == found["probed", "value"] == 1
    assert found["probed", "orders_all"] == found["probed", "orders_consistent"] == 1
    assert (outcome.asked, outcome.from_ledger) == (480, 120)
    lines = (outcome.folder.path / "samples.jsonl").read_text().splitlines()
    assert len(lines) == 120


def test_the_dry_run_counts_every_order(here):
    metrics = {"exam": {"type": "multiple_choice", "order_probe": True, "models": ["knowing", "biased"]}}
    lines = {line.stage: line.calls for line in run_of(config(metrics), here).plan().lines}
    assert lines["measuring exam"] == 120 * 4 * 2
    assert Talker.asked == []


@each(
    ({"mode": "acc"}, "mode acc compares log-likelihoods, which models.knowing has not"),
    ({"reading": "logprobs"}, "reading logprobs needs log-probabilities of generated tokens, which models.biased"),
    ({"prompt": "mine.j2"}, "unknown variable 'subjekt'; did you mean 'subject'?"),
    ({"mode": "acc_norm"}, "mode"),
    ({"data": {"loader": "choices", "path": "bad.jsonl"}}, r"bad\.jsonl:2: the answer is index 9"),
)
def test_what_cannot_work_is_refused_before_any_call(metric, expected, here):
    (here / "mine.j2").write_text("{{ subjekt }} {{ question }}")
    good = {"question": "?", "choices": ["a", "b"], "answer": 0}
    (here / "bad.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(good | {'answer': 9})}\n")
    with pytest.raises(PreflightError, match=expected):
        execute(config({"exam": {"type": "multiple_choice", **metric}}), here)
    assert Talker.asked == []


def test_a_sample_id_that_stands_for_two_questions_is_still_refused(here):
    one, other = ({"id": "q", "question": text, "choices": ["a", "b"], "answer": 0} for text in ("?", "!"))
    (here / "one.json").write_text(json.dumps([one]))
    (here / "other.json").write_text(json.dumps([other]))
    metrics = {
        name: {"type": "multiple_choice", "data": {"loader": "choices", "path": f"{name}.json"}}
        for name in ("one", "other")
    }
    with pytest.raises(PreflightError, match=r"the sample id 'q' is already in metrics\.one\.data"):
        execute(config(metrics), here)
