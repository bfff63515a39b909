"""`judgekit agreement` as it is typed: what is printed, and what is refused before anything is computed."""

import json

import pytest

from judged_runs import SHARE, row, scores
from judgekit.cli import execute
from tables import each

JUDGE = [90, 80, 20, 60, 100, 0, 40, 75, 30, 55]
HUMAN = [85, 80, 30, 50, 95, 10, 45, 60, 20, 55]


@pytest.fixture
def run(stored):
    return stored(scores(JUDGE))


@pytest.fixture
def csv(labels):
    return labels("id,label\n" + "".join(f"s{number},{label}\n" for number, label in enumerate(HUMAN)))


def said(capsys, *words):
    code = execute(["agreement", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_table_has_every_figure_with_its_interval(run, csv, capsys):
    code, out, err = said(capsys, run, "--labels", csv)
    assert (code, err) == (0, "")
    assert "quality: judge main and labels.csv, 10 responses" in out
    for figure in (
        "exactly the same score", "Cohen's kappa", "quadratic weights", "alpha, ordinal", "alpha, interval", "Pearson",
        "Spearman", "Kendall", "mean signed error (judge − label)", "mean absolute error", "majority-class rate",
    ):  # fmt: skip
        assert figure in out
    assert "[5.7 %, 51.0 %]" in out
    assert "95 % interval" in out


def test_json_has_the_same_and_no_nan(run, csv, capsys):
    code, out, _ = said(capsys, run, "--labels", csv, "--json", "--correct", "--confidence", "0.9")
    tree = json.loads(out, parse_constant=pytest.fail)
    assert code == 0
    assert (tree["metric"], tree["kind"], tree["confidence"], tree["n_items"]) == ("quality", "score", 0.9, 10)
    assert {figure["name"] for figure in tree["figures"]} >= {"kappa", "pearson", "bias", "mae", "majority"}
    assert tree["corrected"][0]["interval"]["note"].startswith("every item has a label")


@each(("s0,90", "one item says nothing"), ("s0,90\ns1,20", "two items say nothing"))
def test_one_item_or_two_give_no_coefficient_and_no_traceback(rows, why, run, labels, capsys):
    code, out, _ = said(capsys, run, "--labels", labels(f"id,label\n{rows}\n"))
    assert code == 0
    assert why in out
    assert "nan" not in out.lower()


def test_the_correction_is_printed_with_what_it_needs(stored, labels, capsys):
    run = stored(scores([50 + (7 * number) % 40 for number in range(60)]))
    path = labels("id,label\n" + "".join(f"s{n},{40 + (7 * n) % 40 + n % 3}\n" for n in range(0, 60, 3)))
    code, out, _ = said(capsys, run, "--labels", path, "--correct")
    assert code == 0
    assert "PPI++" in out
    assert "the judge alone" in out
    assert "random sample of all items" in out


def test_two_runs_and_two_metrics_of_one_run(run, stored, capsys):
    other = stored(scores(HUMAN), "run-b")
    code, out, _ = said(capsys, run, other)
    assert code == 0
    assert "A: judge main of run-a and B: judge main of run-b" in out
    assert "mean signed error (A − B)" in out
    both = stored([*scores(JUDGE), *scores(HUMAN, metric="strict")], "run-c")
    assert said(capsys, both, both, "--metric", "quality", "--metric", "strict")[0] == 0
    code, _, err = said(capsys, both, both, "--metric", "quality")
    assert (code, "it agrees with itself" in err) == (2, True)


def test_responses_that_differ_between_runs_are_said(run, stored, capsys):
    other = stored(scores(HUMAN), "run-b", texts={"s1": "another answer", "s2": "another"})
    assert "2 of 10 responses differ between the runs" in said(capsys, run, other)[1]


def test_the_labellers_stand_beside_the_judge(run, labels, capsys):
    rows = "".join(
        f"s{n},{label + shift},{who}\n" for n, label in enumerate(HUMAN) for who, shift in (("x", 0), ("y", 5))
    )
    code, out, _ = said(capsys, run, "--labels", labels(f"id,label,labeller\n{rows}"))
    assert code == 0
    assert "between labellers" in out
    assert "20 labels by 2 labellers on 10 items" in out


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("id,lable\ns0,1\n", (), "labels.csv:1: unknown column 'lable'; did you mean 'label'?"),
        ("id,label\ns0,10\nnope,10\n", (), "labels.csv:3: run-a has no sample 'nope'"),
        ("id,label\ns0,10\n", ("--metric", "qualty"), "no metric 'qualty'; did you mean 'quality'?"),
        ("id,label\ns0,10\n", ("--label-scale", "5..1"), "'5..1' is no scale"),
        ("id,label\ns0,10\n", ("--label-scale", "1..nan"), "is no scale"),
        ("id,label\ns0,10\n", ("--threshold", "nan"), "off the scale"),
        ("id,label\ns0,10\n", ("--system", "stf"), "did you mean 'sft'?"),
    ],
)
def test_bad_input_is_one_clear_error(run, labels, capsys, content, words, message):
    code, out, err = said(capsys, run, "--labels", labels(content), *words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_usage_is_explained(run, csv, tmp_path, capsys):
    assert "compare one run with labels (--labels FILE), or two runs" in said(capsys, run)[2]
    assert "labels are for one run" in said(capsys, run, run, "--labels", csv)[2]
    assert "are about labels: add --labels FILE" in said(capsys, run, run, "--correct")[2]
    code, _, err = said(capsys, tmp_path / "gone", "--labels", csv)
    assert (code, "name the folder of a finished run" in err) == (2, True)


def test_several_metrics_must_be_named(stored, labels, capsys):
    run = stored([*scores(JUDGE), *scores(HUMAN, metric="strict")])
    path = labels("id,label\ns0,10\ns1,20\n")
    assert "several metrics (quality, strict): name one with --metric" in said(capsys, run, "--labels", path)[2]
    assert said(capsys, run, "--labels", path, "--metric", "strict")[0] == 0


def test_hostile_names_do_not_reach_the_terminal(stored, labels, capsys):
    run = stored([row("\x1b[31ma", 5), row("b", 7)])
    path = labels('[{"id": "zzz\x9b", "label": 5}, {"id": "b", "label": 5}]', "labels.json")
    code, out, err = said(capsys, run, "--labels", path)
    assert code == 2
    assert "\x1b" not in out + err


def test_winners(stored, labels, capsys):
    run = stored(scores([1, 0, 0.5, 1], metric="wins", opponent="base"), scale=SHARE)
    code, out, _ = said(capsys, run, "--labels", labels("id,winner\ns0,sft\ns1,base\ns2,tie\ns3,base\n"))
    assert code == 0
    assert "same winner, ties left out" in out
    assert "75.0 %" in out
    assert "66.7 %" in out
