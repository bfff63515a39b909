"""Labels matched with what a judge scored: by item, system and opponent."""

import numpy as np
import pytest

from judged_runs import SHARE, by_name, compared, record_of, row, scores
from judgekit.agreement.matching import choose_metric, measured
from judgekit.errors import PreflightError, UsageError

JUDGE = [90, 80, 20, 60, 100, 0, 40, 75]


HUMAN = [85, 80, 30, 50, 95, 10, 45, 60]


def test_responses_of_several_systems_share_their_item(labels):
    rows = scores(JUDGE) + scores(HUMAN, system="base")
    run = measured(record_of(rows), rows, "quality")
    content = [{"id": f"s{n}", "system": system, "label": 50} for n in range(8) for system in ("sft", "base")]
    agreement = compared(run, labels, content)
    assert (agreement.n_pairs, agreement.n_items) == (16, 8)
    with pytest.raises(PreflightError, match=r"csv:2: whose response\? The run has base, sft: add a column 'system'"):
        compared(run, labels, "id,label\ns0,5\n")
    alone = compared(run, labels, "id,label\ns0,5\ns1,6\n", system="base")
    assert by_name(alone)["bias"].value == pytest.approx(np.mean([85 - 5, 80 - 6]))
    with pytest.raises(UsageError, match="measured no system 'bas'; did you mean 'base'"):
        compared(run, labels, "id,label\ns0,5\n", system="bas")


def test_an_old_record_names_the_opponent_in_its_spec(labels):
    rows = scores([1, 0, 1], metric="wins")
    metrics = {"wins": {"type": "pairwise", "judge": "main", "against": "base"}}
    run = measured(record_of(rows, scale=SHARE, metrics=metrics), rows, "wins")
    assert by_name(compared(run, labels, "id,winner\ns0,sft\ns1,base\ns2,base\n"))["agreement"].value == pytest.approx(
        2 / 3
    )


def test_the_winner_tells_which_of_three_systems_were_compared(labels):
    rows = [row("a", 1, metric="wins", system="x", opponent="y"), row("a", 0, metric="wins", system="x", opponent="z"),
            row("a", 1, metric="wins", system="y", opponent="z")]  # fmt: skip
    run = measured(record_of(rows, scale=SHARE), rows, "wins")
    with pytest.raises(PreflightError, match="whose response"):
        compared(run, labels, "id,winner\na,x\n")
    agreement = compared(run, labels, "id,winner,system\na,y,y\n")
    assert by_name(agreement)["agreement"].value == 1


def test_metrics_are_chosen_by_name_or_when_there_is_one():
    rows = scores([1, 2]) + scores([1, 0], metric="exact")
    metrics = {"quality": {"type": "score", "judge": "main"}, "exact": {"type": "exact_match"}}
    assert choose_metric(record_of(rows, metrics=metrics), None) == "quality"
    assert choose_metric(record_of(rows, metrics=metrics), "exact") == "exact"
    with pytest.raises(UsageError, match=r"no metric 'qualty'; did you mean 'quality'"):
        choose_metric(record_of(rows, metrics=metrics), "qualty")
    with pytest.raises(UsageError, match=r"several metrics \(quality, exact\): name one with --metric"):
        choose_metric(record_of(rows), None)
