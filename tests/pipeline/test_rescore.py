"""Labels in a config, and stored responses judged again: whole runs with parrots for judges."""

import json
import shutil

import pytest

from judgekit.config.load import load_judges
from judgekit.errors import ConfigError, DataError, PreflightError, StorageError, UsageError
from judgekit.pipeline.rescore import rescored
from judgekit.plugins import Catalogue
from judgekit.run_folder import RunFolder
from judgekit.testing import Parrot
from parrot_runs import ITEMS, execute, manager, nest, run_of
from parrot_runs import config as parrots

JUDGE = {"backend": "parrot", "prompt": "score/integer", "temperature": 1.0, "control_items": 2}


@pytest.fixture
def here(tmp_path):
    return nest(tmp_path)


def config(**changes):
    models = {"good": {"backend": "parrot", "answers": {"number": "a word"}, "temperature": 1.0, "repeats": 2}}
    judges = {"main": JUDGE, "other": {**JUDGE, "answers": {"word": "50"}}}
    return parrots(**{"models": models, "judges": judges, **changes})


def again(run, judge, here, judges=None):
    spec, stored = rescored(RunFolder(run), judge, judges, Catalogue(manager()))
    return execute(spec, here, stored)


def test_a_config_names_its_labels_and_the_record_has_the_agreement(here):
    (here / "labels.csv").write_text("id,label\n" + "".join(f"i{n},{7 * n}\n" for n in range(12)))
    plain = execute(config(), here).record
    outcome = execute(config(labels="labels.csv", reports=["json", "html"]), here)
    record = outcome.record
    (found,) = record.agreements
    assert (found.metric, found.first, found.second, found.n_items) == ("quality", "judge main", "labels.csv", 12)
    assert "labels.csv" in record.inputs
    assert record.run_id != plain.run_id
    assert plain.agreements == ()
    page = (outcome.folder.path / "report.html").read_text()
    assert "Krippendorff" in page
    assert "labels.csv" in page
    summary = json.loads((outcome.folder.path / "summary.json").read_text())
    assert summary["agreements"][0]["figures"][0]["name"] == "agreement"


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("labels.csv", "labels.csv: no such file"),
        ("id,label\ni0,5\nx,5\n", r"labels.csv:3: the run has no sample 'x'"),
        ("id,label\ni0,500\n", "labels.csv:2: the label 500 is off the scale"),
        ("id,lable\ni0,5\n", "did you mean 'label'"),
        ("id,label\ni0,yes\n", "labels are yes or no"),
    ],
)
def test_labels_that_do_not_fit_are_found_before_any_call(here, labels, said):
    if "\n" in labels:
        (here / "labels.csv").write_text(labels)
    with pytest.raises(PreflightError, match=said):
        execute(config(labels="labels.csv"), here)
    assert Parrot.history == []


def test_labels_need_a_metric_with_a_judge(here):
    (here / "labels.csv").write_text("id,label\ni0,50\ni1,60\n")
    with pytest.raises(PreflightError, match=r"labels.metric: no metric named 'exact' asks a judge"):
        execute(config(labels={"path": "labels.csv", "metric": "exact"}), here)
    with pytest.raises(ValueError, match="from its low end to its high end"):
        config(labels={"path": "labels.csv", "scale": [5, 1]})


def test_stored_responses_are_judged_again_when_the_models_and_the_data_are_gone(here):
    first = execute(config(), here)
    (here / "items.json").unlink()
    before = len(Parrot.history)
    judges = {"strict": config().judges["other"]}
    outcome = again(first.folder.path, "strict", here, judges)
    record = outcome.record
    asked = Parrot.history[before:]
    assert all("grade answers" in request.prompt for request in asked)  # the judge alone, no model
    assert outcome.folder.path != first.folder.path
    assert record.status == "complete"
    assert record.rescored == first.record.run_id
    assert (record.systems, record.n_samples) == (("good",), 12)
    assert record.identities["models.good"] == first.record.identities["models.good"]
    assert {estimate.metric for estimate in record.estimates} == {"quality"}
    rows = list(outcome.folder.rows)
    assert len(rows) == 24  # two responses an item, as they were
    assert {row.value for row in rows} == {50.0}
    assert list(outcome.folder.responses("good")) == list(first.folder.responses("good"))
    (found,) = record.agreements
    assert found.first == f"A: judge main of {first.record.run_id}"
    assert found.second == f"B: judge strict of {record.run_id}"
    assert (found.n_pairs, found.n_items) == (24, 12)
    assert {card.judge for card in record.cards} == {"strict"}


def test_a_second_rescoring_asks_nothing_and_changes_no_byte(here):
    first = execute(config(), here)
    one = again(first.folder.path, "other", here)
    content = (one.folder.path / "record.json").read_bytes()
    before = len(Parrot.history)
    two = again(first.folder.path, "other", here)
    assert (two.asked, len(Parrot.history)) == (0, before)
    assert (two.folder.path / "record.json").read_bytes() == content


def test_the_same_judge_finds_its_verdicts_in_the_ledger(here):
    first = execute(config(), here)
    outcome = again(first.folder.path, "main", here)
    assert outcome.asked == 0
    assert next(f for f in outcome.record.agreements[0].figures if f.name == "mae").value == 0
    with pytest.raises(UsageError, match="is these responses by this judge already"):
        again(outcome.folder.path, "main", here)


def test_comparisons_are_judged_again_too(here):
    spec = config(
        models={name: {"backend": "parrot", "answers": {"number": name}} for name in ("x", "y")},
        judges={name: {**JUDGE, "prompt": "pairwise/letter", "answers": {"Say": letter}, "control_items": 0}
                for name, letter in (("main", "A"), ("other", "B"))},
        metrics={"wins": {"type": "pairwise", "judge": "main", "against": "y"}},
    )  # fmt: skip
    first = execute(spec, here)
    outcome = again(first.folder.path, "other", here)
    (found,) = outcome.record.agreements
    assert found.kind == "preference"
    assert found.n_items == 12


def test_metrics_with_data_of_their_own_keep_it(here):
    (here / "more.json").write_text(json.dumps([{**item, "id": f"m{item['id']}"} for item in ITEMS[:5]]))
    more = {"loader": "instructions", "path": "more.json"}
    metrics = {name: {"type": "score", "judge": "main"} for name in ("quality", "extra")}
    metrics["extra"]["data"] = more
    first = execute(config(metrics=metrics), here)
    for name in ("items.json", "more.json"):
        (here / name).unlink()
    outcome = again(first.folder.path, "other", here)
    assert [(found.metric, found.n_items) for found in outcome.record.agreements] == [("quality", 12), ("extra", 5)]


def test_nothing_in_common_is_a_warning_because_the_run_is_paid_for(here):
    first = execute(config(), here)
    mute = {"mute": config().judges["main"].model_copy(update={"options": {"answers": {"word": "Well."}}})}
    record = again(first.folder.path, "mute", here, mute).record
    assert record.agreements == ()
    assert any("have scored no response in common" in warning for warning in record.warnings)


def test_what_cannot_be_rescored_is_said_before_any_call(here):
    first = execute(config(), here)
    asked = len(Parrot.history)
    with pytest.raises(UsageError, match=r"no judge is named 'othr'; did you mean 'other'"):
        again(first.folder.path, "othr", here)
    with pytest.raises(DataError, match="name the folder of a finished run"):
        again(here / "runs" / "gone", "main", here)
    bare = execute(config(metrics={"exact": {"type": "exact_match"}}, judges={}), here)
    with pytest.raises(UsageError, match="no judge is named 'main' "):
        again(bare.folder.path, "main", here)
    with pytest.raises(UsageError, match="has no metric that asks a judge"):
        again(bare.folder.path, "main", here, config().judges)
    shutil.rmtree(first.folder.path / "responses")
    with pytest.raises(StorageError, match="is missing, and belongs to the run"):
        again(first.folder.path, "other", here)
    files = {name: digest for name, digest in first.record.files.items() if not name.startswith("responses/")}
    first.folder.write_record(first.record.model_copy(update={"files": files}))
    with pytest.raises(DataError, match="has no stored responses"):
        again(first.folder.path, "other", here)
    assert len(Parrot.history) == asked


def test_judges_of_a_file_are_read_without_the_rest_of_it(tmp_path):
    path = tmp_path / "judges.yaml"
    path.write_text("judges:\n  strict: {backend: parrot, prompt: score/integer}\nmodels: nonsense\n")
    assert list(load_judges(path)) == ["strict"]
    path.write_text("judges:\n  strict: {backend: parrot, promt: score/integer, control_items: many}\n")
    with pytest.raises(ConfigError, match=r"judges.yaml:2: judges.strict.control_items"):
        load_judges(path)
    path.write_text("models: {}\n")
    with pytest.raises(ConfigError, match="has no judges: block"):
        load_judges(path)


def test_the_dry_run_counts_the_judge_alone(here):
    first = execute(config(), here)
    spec, stored = rescored(RunFolder(first.folder.path), "other", None, Catalogue(manager()))
    plan = run_of(spec, here, stored=stored).plan()
    lines = {line.stage: line for line in plan.lines}
    assert lines["generating good"].calls == 0
    assert first.record.run_id in lines["generating good"].note
    assert lines["measuring quality"].calls == 24
