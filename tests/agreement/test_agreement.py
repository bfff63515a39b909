"""A judge beside labels and beside another judge: matched by id, refused with the line, and the figures right."""

import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from judged_runs import SCORE, SHARE, by_name, compared, record_of, row, scores
from judgekit.agreement.agreement import Terms, of_two
from judgekit.agreement.matching import Thing, measured
from judgekit.errors import DataError, PreflightError, UsageError
from judgekit.records import Reply
from judgekit.statistics.agreement import Ratings
from judgekit.statistics.agreement_measures import agreement_measures
from judgekit.statistics.intervals import Range
from judgekit_readings.parsing import Asked, read

JUDGE = [90, 80, 20, 60, 100, 0, 40, 75]
HUMAN = [85, 80, 30, 50, 95, 10, 45, 60]


def said(agreement):
    """The notes, but for the one that all of these few labels bring."""
    return tuple(note for note in agreement.notes if "under 50, an interval" not in note)


def test_scores_are_matched_by_id_whatever_their_order(found, labels):
    content = [{"id": f"s{number}", "label": label} for number, label in enumerate(HUMAN)]
    agreement = compared(found(JUDGE), labels, content[::-1])
    agreement_measures = by_name(agreement)
    difference = np.subtract(JUDGE, HUMAN)
    assert (agreement.kind, agreement.n_items, agreement.first, agreement.second) == (
        "score",
        8,
        "judge main",
        "labels.csv",
    )
    assert agreement_measures["pearson"].value == pytest.approx(np.corrcoef(JUDGE, HUMAN)[0, 1])
    assert agreement_measures["bias"].value == pytest.approx(difference.mean())
    assert agreement_measures["bias"].label == "mean signed error (judge − label)"
    assert agreement_measures["mae"].value == pytest.approx(np.abs(difference).mean())
    assert (
        agreement_measures["mae"].interval.low
        < agreement_measures["mae"].value
        < agreement_measures["mae"].interval.high
    )
    assert said(agreement) == ()


def test_judge_repeats_are_averaged_and_generation_repeats_told_apart(labels):
    rows = [
        row("a", 10, judge_repeat=0), row("a", 30, judge_repeat=1), row("a", 80, repeat=1),
        row("b", 50), row("b", 60, repeat=1),
    ]  # fmt: skip
    run = measured(record_of(rows), rows, "quality")
    assert run.values[Thing("a", "sft", "", 0)] == 20
    told = compared(run, labels, "id,label,repeat\na,20,0\na,80,1\nb,50,0\n")
    assert (told.n_pairs, told.n_items, by_name(told)["mae"].value) == (3, 2, 0)
    pooled = compared(run, labels, "id,label\na,50\nb,55\n")
    assert by_name(pooled)["mae"].value == 0
    assert said(pooled) == ("the labels name no repeat: the judge's mean over the repeats is compared",)


def test_verdicts_that_are_missing_are_counted_and_never_a_score(found, labels):
    agreement = compared(found([90, None, 50]), labels, "id,label\ns0,90\ns1,0\ns2,50\n")
    assert agreement.n_items == 2
    assert by_name(agreement)["mae"].value == 0
    assert said(agreement) == ("left out: 1 label of responses that the judge did not score (1 unparsed)",)
    with pytest.raises(DataError, match="no labelled response was scored"):
        compared(found([None, 3]), labels, "id,label\ns0,9\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,label\ns0,50\ns9,50\n", "labels.csv:3: run-a has no sample 's9'"),
        ("id,label\ns0,50\ns1,101\n", "labels.csv:3: the label 101 is off the scale, 0 … 100"),
        ("id,label\ns0,50\ns1,-1\n", "labels.csv:3: the label -1 is off the scale, 0 … 100"),
        ("id,label\ns0,50\ns1,very good\n", "labels.csv:3: the label 'very good' is no number"),
        ("id,label,system\ns0,50,stf\n", "labels.csv:2: no system 'stf'; did you mean 'sft'? (there are: sft)"),
        ("id,label,repeat\ns0,50,7\n", "labels.csv:2: run-a has no repeat 7 to 's0'"),
        ("id,label,system\ns0,50,sft\ns0,50,\n", "labels.csv:3: 's0' is labelled twice"),
    ],
)
def test_labels_that_fit_nothing_are_refused_with_their_line(found, labels, content, said):
    with pytest.raises(PreflightError) as raised:
        compared(found(JUDGE), labels, content)
    assert said in str(raised.value)
    assert raised.value.exit_code == 2


def test_every_wrong_label_is_named_up_to_twenty(found, labels):
    content = "id,label\n" + "s0,50\n" + "".join(f"x{number},200\n" for number in range(30))
    with pytest.raises(PreflightError) as raised:
        compared(found(JUDGE), labels, content)
    with pytest.raises(DataError, match=r"none of its ids is in run-a \(labels: x, y; run: s0, s1, s2, …\)"):
        compared(found(JUDGE), labels, "id,label\nx,5\ny,6\n")
    lines = str(raised.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 10 more"


def test_yes_and_no_need_a_threshold_on_a_scale_of_scores(found, labels):
    for words in ("s0,yes\ns1,no\n", "s0,1\ns1,0\n", "s0,pass\ns1,FAIL\n"):
        with pytest.raises(DataError, match=r"labels are yes or no, and quality is scored from 0 … 100: .*--threshold"):
            compared(found(JUDGE), labels, f"id,label\n{words}")
    judged = [value >= 60 for value in JUDGE]
    human = [True, True, False, True, True, False, True, False]
    for said in (human, [int(value) for value in human], ["pass" if value else "fail" for value in human]):
        content = [{"id": f"s{number}", "label": label} for number, label in enumerate(said)]
        agreement = compared(found(JUDGE), labels, content, "labels.json", threshold=60.0)
        agreement_measures = by_name(agreement)
        assert (agreement.kind, agreement.scale.unit) == ("binary", "%")
        assert agreement_measures["agreement"].value == np.mean(np.equal(judged, human))
        assert agreement_measures["kappa"].value == pytest.approx(cohen_kappa_score(judged, human))
        assert agreement_measures["majority"].value == 5 / 8
        assert "yes means a score of 60 or more" in agreement.notes
    scored = compared(found(JUDGE), labels, [{"id": f"s{n}", "label": h} for n, h in enumerate(HUMAN)], threshold=60.0)
    assert by_name(scored)["agreement"].value == np.mean(
        [(a >= 60) == (b >= 60) for a, b in zip(JUDGE, HUMAN, strict=True)]
    )
    corrected = compared(found(JUDGE), labels, "id,label\ns0,1\ns1,1\ns2,0\ns3,0\n", threshold=50.0, correct=True)
    assert any("4 labels: under 50" in note for note in corrected.notes)
    with pytest.raises(UsageError, match="threshold 600 is off the scale"):
        compared(found(JUDGE), labels, "id,label\ns0,1\n", threshold=600.0)


def test_labels_on_another_scale_are_mapped_only_when_told(found, labels):
    content = "id,label\ns0,5\ns1,4\ns2,2\n"
    told = compared(found(JUDGE), labels, content, label_scale=(1.0, 5.0))
    assert by_name(told)["bias"].value == pytest.approx(np.mean([90 - 100, 80 - 75, 20 - 25]))
    assert said(told) == ("labels from 1 … 5 are mapped onto 0 … 100",)
    asked = compared(found(JUDGE), labels, content)
    assert "all labels lie between 2 and 5 on a scale of 0 … 100" in asked.notes[0]
    with pytest.raises(PreflightError, match="the label 5 is off the scale, 1 … 4"):
        compared(found(JUDGE), labels, content, label_scale=(1.0, 4.0))


def test_labels_given_in_zeros_and_ones_on_a_scale_of_shares(labels):
    rows = scores([1, 0, 1, 1], metric="exact")
    agreement = compared(
        measured(record_of(rows, scale=SHARE), rows, "exact"), labels, "id,label\ns0,1\ns1,0\ns2,0\ns3,1\n"
    )
    assert (agreement.kind, by_name(agreement)["agreement"].value) == ("binary", 0.75)


PAIRS = [1, 0.5, 0, 0.75, 0.25, 1]


@pytest.fixture
def duel():
    rows = scores(PAIRS, metric="wins", opponent="base")
    return measured(record_of(rows, scale=SHARE), rows, "wins")


def test_winners_are_named_by_system(duel, labels):
    agreement = compared(duel, labels, "id,winner\ns0,sft\ns1,tie\ns2,sft\ns3,sft\ns4,base\ns5,Tie\n")
    agreement_measures = by_name(agreement)
    assert agreement.kind == "preference"
    assert agreement_measures["agreement"].value == pytest.approx(4 / 6)
    assert (agreement_measures["agreement_no_ties"].value, agreement_measures["agreement_no_ties"].n_items) == (0.75, 4)
    numbers = compared(duel, labels, "id,label\ns0,1\ns1,0.5\ns2,1\ns3,1\ns4,0\ns5,0.5\n")
    assert numbers.figures == agreement.figures
    with pytest.raises(PreflightError, match="the winner is 'sft', 'base' or 'tie', not 'A'"):
        compared(duel, labels, "id,winner\ns0,A\n")
    with pytest.raises(PreflightError, match="a winner's name or a number from 0 to 1, not 2"):
        compared(duel, labels, "id,winner\ns0,2\n")
    with pytest.raises(UsageError, match="a threshold or a scale of labels says nothing"):
        compared(duel, labels, "id,winner\ns0,sft\n", threshold=0.5)


def test_several_labellers_have_a_ceiling(found, labels):
    content = "id,label,labeller\n" + "".join(
        f"s{number},{label + shift},{name}\n"
        for number, label in enumerate([85, 80, 30, 50])
        for name, shift in (("ann", 0), ("bo", 6))
    )
    agreement = compared(found(JUDGE), labels, content)
    assert (agreement.labellers, agreement.n_pairs, agreement.n_items) == (2, 8, 4)
    between = {figure.name: figure for figure in agreement.ceiling}
    assert between["mae"].value == pytest.approx(6)
    assert between["pearson"].value < 1  # pairs count both ways round
    assert by_name(agreement)["mae"].value == pytest.approx(np.mean([5, 1, 0, 6, 10, 16, 10, 4]))
    assert compared(found(JUDGE), labels, "id,label\ns0,5\ns1,6\n").ceiling == ()


def test_the_correction_is_ppi_by_system_and_says_what_it_needs(labels):
    rng = np.random.default_rng(0)
    truth = np.clip(rng.normal(60, 15, 400), 0, 85)
    judge = np.clip(truth + 8 + rng.normal(0, 5, 400), 0, 100)
    rows = scores([float(value) for value in judge])
    content = [{"id": f"s{number}", "label": truth[number]} for number in range(0, 400, 10)]
    agreement = compared(measured(record_of(rows), rows, "quality"), labels, content, correct=True)
    (found,) = agreement.corrected
    assert (found.system, found.n_labels, found.n_unlabelled) == ("sft", 40, 360)
    assert found.interval.low < truth.mean() < found.interval.high
    assert not found.judge_only.low < truth.mean() < found.judge_only.high
    assert found.interval.high - found.interval.low < found.labels_only.high - found.labels_only.low
    assert "random sample of all items" in agreement.notes[0]


def test_calibration_has_the_labels_mean_where_the_judge_gave_about_the_same(found, labels):
    judged = [float(n * 5) for n in range(21)]
    made = compared(found(judged), labels, [{"id": f"s{n}", "label": value / 2} for n, value in enumerate(judged)])
    assert [(one.low, one.high, one.n_pairs) for one in made.calibration] == [
        (0, 20, 4), (20, 40, 4), (40, 60, 4), (60, 80, 4), (80, 100, 5),
    ]  # fmt: skip
    assert [(one.judge, one.label) for one in made.calibration][::4] == [(7.5, 3.75), (90, 45)]
    assert all(0 <= one.interval.low < one.label < one.interval.high <= 100 for one in made.calibration)
    made = compared(found([0, 100] * 10), labels, [{"id": f"s{n}", "label": 40} for n in range(20)])
    assert [(one.low, one.high, one.n_items) for one in made.calibration] == [(0, 0, 10), (100, 100, 10)]


# --- two runs --------------------------------------------------------------------------------------------------------


def test_two_judges_on_the_same_responses(found):
    rows = scores(HUMAN[::-1])
    other = measured(record_of(rows, "run-b"), [*rows], "quality")
    agreement = of_two(found(JUDGE), other, Terms())
    assert by_name(agreement)["bias"].value == pytest.approx(np.mean(np.subtract(JUDGE, HUMAN[::-1])))
    assert by_name(agreement)["bias"].label == "mean signed error (A − B)"
    assert agreement.first == "A: judge main of run-a"
    assert agreement.second == "B: judge main of run-b"


def test_what_only_one_judge_scored_is_said(found):
    rows = [*scores([1, 2, None]), row("s99", 4)]
    agreement = of_two(found(JUDGE), measured(record_of(rows, "run-b"), rows, "quality"), Terms())
    assert agreement.n_items == 2
    assert said(agreement) == ("responses that only one of them scored are left out: 6 only in run-a, 1 only in run-b",)


def test_systems_of_other_names_are_matched_where_each_run_has_one(found):
    assert of_two(found(JUDGE), found(JUDGE, system="other"), Terms()).n_items == 8
    rows = [row("x", 3), row("y", 4)]
    with pytest.raises(UsageError, match=r"no response in common \(systems sft and sft; ids s0, s1, s2, … and x, y\)"):
        of_two(found(JUDGE), measured(record_of(rows, "run-b"), rows, "quality"), Terms())


def test_another_scale_is_mapped_and_said(found):
    rows = scores([5, 4, 1])
    other = measured(record_of(rows, "run-b", scale=SCORE.model_copy(update={"low": 1, "high": 5})), rows, "quality")
    agreement = of_two(found([100, 75, 0]), other, Terms())
    assert by_name(agreement)["mae"].value == 0
    assert said(agreement) == ("run-b scores from 1 … 5: mapped onto 0 … 100",)


def test_a_score_and_a_comparison_are_not_comparable(found, duel):
    with pytest.raises(UsageError, match="one scores responses, the other compares two systems"):
        of_two(found(JUDGE), duel, Terms())


# --- real labels -----------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_gpt4_on_llmbar_natural_is_as_published(shared_data):
    """Stored winners read as verdicts: 95 % and 96 % in the two orders, 95.5 % of both, 93 % both right, 95 % the
    same in both orders."""
    lines = (shared_data / "llmbar" / "natural.jsonl").read_text("utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    asked = Asked("", (0.0, 1.0), ())
    letters = {"1": "A", "2": "B"}

    def verdict(winner):
        return read("letter", Reply(text=letters[winner]), asked).value

    human = [float(item["human_label"] == 1) for item in items]
    first = [verdict(item["gpt4_winner"]) for item in items]
    second = [verdict(item["gpt4_winner_swapped"]) for item in items]
    numbers = list(range(len(items)))

    def share(a, b, item=numbers):
        found = {f.name: f for f in agreement_measures(Ratings.of(a, b, item), "preference", Range(0, 1))}
        return found["agreement"].value

    assert len(items) == 100
    assert share(first, human) == pytest.approx(0.95)
    assert share(second, human) == pytest.approx(0.96)
    assert share(first + second, human * 2, numbers * 2) == pytest.approx(0.955)
    assert np.mean([a == b == h for a, b, h in zip(first, second, human, strict=True)]) == pytest.approx(0.93)
    assert share(first, second) == pytest.approx(0.95)
