"""A whole run through the core, with parrots for models."""

import json
import threading

import pytest

import judgekit
import judgekit.data
from judgekit.errors import Interrupted, PreflightError, Unreachable
from judgekit.run_folder import RunFolder
from judgekit.testing import CopyTrainer, Parrot
from parrot_runs import ITEMS, JUDGE, config, execute, nest, run_of

EXACT = {"metrics": {"exact": {"type": "exact_match"}}, "judges": {}}
COPY = {"trainer": "copy", "data": "items.json"}


@pytest.fixture
def here(tmp_path):
    return nest(tmp_path)


def test_a_run_has_every_row_and_number(here):
    outcome = execute(config(against="bad"), here)
    record = outcome.record
    assert record.status == "complete"
    assert record.n_samples == 12
    exact = {row.system: row for row in record.estimates if row.metric == "exact"}
    assert exact["good"].value == pytest.approx(2 / 12)
    assert exact["bad"].value == 0
    quality = [row for row in record.estimates if row.metric == "quality"]
    assert [row.system for row in quality] == ["good", "bad"]
    assert all(row.n_items == 12 and row.bootstrap is not None for row in quality)
    assert {(row.metric, row.system, row.against) for row in record.differences} == {
        ("exact", "good", "bad"),
        ("quality", "good", "bad"),
    }
    view = outcome.folder.view()
    assert view.record == record
    assert len(list(view.rows)) == 2 * 2 * 12
    assert len(list(view.responses)) == 2 * 12
    assert [card.judge for card in record.cards] == ["main"]
    assert (outcome.folder.path / "summary.json") in outcome.reports


def test_a_second_run_calls_nothing_and_changes_no_byte(here):
    def files():
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in here.glob("runs/**/*.*")}

    execute(config(), here)
    before, asked = files(), len(Parrot.history)
    second = execute(config(), here)
    assert len(Parrot.history) == asked
    assert second.asked == 0
    assert second.from_ledger > 0
    assert files() == before


def test_threads_do_not_change_the_record(here):
    one = execute(config(), here, jobs=1)
    record = (one.folder.path / "record.json").read_bytes()
    (here / "elsewhere").mkdir()
    many = execute(config(), nest(here / "elsewhere"), jobs=16)
    assert (many.folder.path / "record.json").read_bytes() == record


def test_fresh_asks_again_under_the_same_id(here):
    first = execute(config(), here)
    asked = len(Parrot.history)
    fresh = execute(config(), here, fresh=True)
    assert len(Parrot.history) == 2 * asked
    assert fresh.folder.path == first.folder.path
    assert not (fresh.folder.path / "fresh").exists()


def test_a_killed_fresh_run_goes_on_in_its_namespace(here):
    run, rows = run_of(config(), here, fresh=True, jobs=1), []

    class StopSoon:
        @judgekit.hookimpl
        def judgekit_row_done(self, row):
            rows.append(row)
            if len(rows) == 30:
                run.stop.set()

    run.manager.register(StopSoon())
    with pytest.raises(Interrupted):
        run.execute()
    half = len(Parrot.history)
    outcome = execute(config(), here, fresh=True, jobs=1)
    whole = len(Parrot.history)
    assert 0 < half < whole
    assert outcome.from_ledger >= half - 1
    assert whole - half == outcome.asked


def test_failed_calls_make_the_run_incomplete_and_are_asked_again(here):
    spec = config(models={"good": {"backend": "parrot", "fail_on": "number 3."}}, **EXACT)
    outcome = execute(spec, here)
    assert outcome.record.status == "incomplete"
    assert outcome.record.errors == {"generating good: the parrot choked": 1}
    (estimate,) = outcome.record.estimates
    assert estimate.counts == {"scored": 11, "error": 1}
    assert estimate.bounds[1] > estimate.bounds[0]
    before = len(Parrot.history)
    execute(spec, here)
    assert len(Parrot.history) == before + 1


def test_a_dead_backend_stops_the_run_and_keeps_what_was_answered(here):
    models = {"good": {"backend": "parrot"}, "bad": {"backend": "parrot", "dead": True}}
    with pytest.raises(Unreachable, match="dead"):
        execute(config(models=models), here, jobs=1)
    Parrot.reset()
    with pytest.raises(Unreachable):
        execute(config(models=models), here, jobs=1)
    assert len(Parrot.history) == 1


def test_training_is_done_once_and_found_again(here):
    train = {"first": COPY, "second": COPY | {"start": "train:first"}}
    outcome = execute(config(train=train), here)
    assert CopyTrainer.runs == 2
    assert [training.name for training in outcome.record.trainings] == ["first", "second"]
    assert [point.loss for point in outcome.record.trainings[0].curve] == [1, 0.5, 1 / 3]
    again = execute(config(train=train), here)
    assert CopyTrainer.runs == 2
    assert again.record == outcome.record
    (here / "items.json").write_text(json.dumps(ITEMS[:-1]))
    execute(config(train=train), here)
    assert CopyTrainer.runs == 4


def test_every_problem_is_found_at_once(here):
    spec = config(
        models={"good": {"backend": "parot", "style": "alpca"}, "bad": {"backend": "parrot", "answer": {}}},
        metrics={
            "quality": {"type": "score", "judge": "mian"},
            "duel": {"type": "pairwise", "against": "nobody", "judge": "main"},
        },
        against="nobody",
        reports=["pdf"],
    )
    with pytest.raises(PreflightError) as caught:
        execute(spec, here)
    text = str(caught.value)
    for expected in (
        "'parot'; did you mean 'parrot'",
        "models.good.style: unknown instruction style 'alpca'; did you mean 'alpaca'?",
        "'models.bad.answer'; did you mean 'answers'",
        "'mian'; did you mean 'main'",
        "no model is named 'nobody'",
        "'pdf'",
    ):
        assert expected in text, text
    assert caught.value.exit_code == 2
    assert not Parrot.history


def test_repeats_that_cannot_differ_are_refused(here):
    with pytest.raises(PreflightError, match="3 generation repeats cannot differ"):
        execute(config(repeats={"generation": 3}), here)
    judged = config(judges={"main": JUDGE | {"temperature": 0}}, repeats={"judge": 2})
    with pytest.raises(PreflightError, match="2 judge repeats cannot differ"):
        execute(judged, here)
    old = {"backend": "responses", "path": "items.json", "field": "output", "temperature": 1, "repeats": 3}
    with pytest.raises(PreflightError, match="cannot differ"):
        execute(config(models={"old": old}, **EXACT), here)


def test_repeats_draw_with_seed_plus_repeat(here):
    models = {"good": {"backend": "parrot", "temperature": 1, "seed": 7}}
    outcome = execute(config(models=models, repeats={"generation": 3}, **EXACT), here)
    assert {call.sampling.seed for call in Parrot.history} == {7, 8, 9}
    estimands = [row.estimand for row in outcome.record.estimates]
    assert estimands == ["new items", "rerun on these items"]
    assert len(list(RunFolder(outcome.folder.path).responses("good"))) == 36


def test_a_metric_may_have_any_name_and_data_of_its_own(here):
    others = [item | {"id": f"other {number}"} for number, item in enumerate(ITEMS[:3])]
    (here / "other.json").write_text(json.dumps(others))
    metrics = {"exact": {"type": "exact_match"}, "data": {"type": "exact_match", "data": {"path": "other.json"}}}
    record = execute(config(metrics=metrics, judges={}), here).record
    sizes = {(row.metric, row.system): row.n_items for row in record.estimates}
    assert sizes == {("exact", "good"): 12, ("exact", "bad"): 12, ("data", "good"): 3, ("data", "bad"): 3}


def test_a_metrics_own_prompt_is_part_of_the_run(here):
    rows = "".join(f"question {n},a,b,c,d,A\n" for n in range(3))
    (here / "test").mkdir()
    (here / "test" / "logic_test.csv").write_text(rows)
    prompt = here / "mine.j2"
    prompt.write_text("{{ question }}")
    metrics = {"choice": {"type": "multiple_choice", "prompt": "mine.j2"}}
    spec = config(data={"loader": "mmlu", "path": ".", "shots": 0}, metrics=metrics, judges={})
    first = execute(spec, here)
    assert set(first.record.prompts) == {"mine.j2"}, "no response is owed, so no instruction style is used"
    prompt.write_text("Now: {{ question }}")
    assert execute(spec, here).folder.path != first.folder.path
    missing = config(data=spec.data.model_dump(), metrics={"choice": {"type": "multiple_choice", "prompt": "gone.j2"}})
    with pytest.raises(PreflightError, match=r"unknown prompt 'gone\.j2'"):
        execute(missing, here)


def test_inputs_of_one_name_in_two_folders_both_count(here):
    for folder in ("a", "b", "config"):
        (here / folder).mkdir()
        (here / folder / "i.json").write_text(json.dumps([item | {"id": folder + item["id"]} for item in ITEMS]))
    metrics = {"one": {"type": "exact_match"}, "two": {"type": "exact_match", "data": {"path": str(here / "b/i.json")}}}
    spec = config(data={"path": str(here / "a" / "i.json")}, metrics=metrics, judges={})
    before = execute(spec, here / "config")
    assert len(before.record.inputs) == 2
    (here / "a" / "i.json").write_text(json.dumps([ITEMS[0] | {"id": "a0"}]))
    assert execute(spec, here / "config").folder.path != before.folder.path


def test_failed_control_calls_make_the_run_incomplete(here):
    judge = JUDGE | {"fail_on": "I am not sure about this"}
    record = execute(config(judges={"main": judge}), here).record
    assert record.status == "incomplete"
    assert any(reason.startswith("controlling main") for reason in record.errors)
    (card,) = record.cards
    assert {check.name: check.passed for check in card.checks}["constant"] is None


def test_two_processes_that_want_one_checkpoint_train_it_once(here):
    threads = [threading.Thread(target=execute, args=(config(train={"first": COPY}), here)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert CopyTrainer.runs == 1


@pytest.mark.parametrize("resumes", [True, False])
def test_what_a_failed_training_left_is_for_trainers_that_resume(here, monkeypatch, resumes):
    found = []
    train = CopyTrainer.train

    def failing(self, into, progress):
        found.append(sorted(path.name for path in into.iterdir()))
        (into / "half").write_text("half of it")
        if len(found) == 1:
            raise judgekit.UsageError("the loss became nan")
        train(self, into, progress)

    monkeypatch.setattr(CopyTrainer, "train", failing)
    monkeypatch.setattr(CopyTrainer, "resumes", resumes)
    spec = config(train={"first": COPY})
    with pytest.raises(judgekit.UsageError, match="became nan"):
        execute(spec, here)
    execute(spec, here)
    assert found == [[], ["half"] if resumes else []]
    assert not list(here.rglob("*.unfinished"))


def test_what_a_model_wrote_in_training_is_in_the_record(here, monkeypatch):
    train = CopyTrainer.train
    sample = judgekit.data.TrainingSample(step=3, prompt="Say it.", text="a\u2028b\x85c\rd", reference="It.")

    def writing(self, into, progress):
        train(self, into, progress)
        (into / "samples.jsonl").write_text(sample.model_dump_json() + "\n", "utf-8")
        (into / "epoch-1").mkdir()

    monkeypatch.setattr(CopyTrainer, "train", writing)
    outcome = execute(config(train={"first": COPY}), here)
    assert outcome.record.trainings[0].samples == (sample,)


def test_a_folder_within_a_checkpoint_is_a_checkpoint_too(here):
    train = {"first": COPY, "second": COPY | {"start": "train:first/best"}}
    outcome = execute(config(train=train), here)
    first, second = outcome.record.trainings
    (folder,) = here.rglob(second.checkpoint)
    start = json.loads((folder / "model.json").read_text())["start"]
    assert start.endswith(f"{first.checkpoint}/best")
    other = execute(config(train=train | {"second": COPY | {"start": "train:first/epoch-1"}}), here)
    assert other.record.trainings[1].identity != second.identity


def test_a_mistake_in_a_training_is_said_once(here):
    """Not again by what starts from it."""
    train = {"first": {"trainer": "copy", "dat": "items.json"}, "second": COPY | {"start": "train:first"}}
    with pytest.raises(PreflightError) as caught:
        execute(config(train=train), here)
    assert "trains nothing named" not in str(caught.value)
    assert "did you mean 'data'" in str(caught.value)
