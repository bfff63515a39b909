"""Several people's votes on one pair: as repeats, with an interval over items and people, and as labels."""

import csv

import numpy as np
import pytest

from judgekit.errors import JudgekitError
from judgekit_metrics.annotators import two_way
from stored_study import record_of
from tables import each


def votes_file(folder, people=14, items=30, votes=3):
    rng = np.random.default_rng(1)
    rows = [
        {"id": f"s{i}", "who": f"p{p:02}", "winner": str(rng.choice(["one", "two", "tie"]))}
        for i in range(items)
        for p in rng.choice(people, votes, replace=False)
    ]
    return _written(folder, [rows[place] for place in rng.permutation(len(rows))])


def _written(folder, rows):
    with (folder / "votes.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "who", "winner"])
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_votes_of_many_people_are_repeats_of_one_item(tmp_path):
    rows = votes_file(tmp_path)
    record = record_of(tmp_path, tmp_path / "votes.csv", verdict="winner", annotator="who")
    value = next(one for one in record.estimates if one.series == "value")
    worth = {"one": 1.0, "two": 0.0, "tie": 0.5}
    by_item = [np.mean([worth[row["winner"]] for row in rows if row["id"] == f"s{i}"]) for i in range(30)]
    assert value.value == pytest.approx(np.mean(by_item))
    assert (value.n_items, value.repeats) == (30, 3)
    both = next(one for one in record.estimates if one.series == "new_annotators")
    assert both.value == pytest.approx(value.value)
    assert (both.n_items, both.n_clusters, both.interval.method) == (30, 14, "two_way_cluster_t")
    assert record.identities["metrics.duel"] == {"name": ", ".join(f"p{p:02}" for p in range(14))}


@each("empty", "twice")
def test_a_vote_of_nobody_or_one_that_is_there_twice_is_an_error_with_its_line(kind, tmp_path):
    rows = votes_file(tmp_path)
    rows[7] = {**rows[7], "who": ""} if kind == "empty" else rows[6]
    _written(tmp_path, rows)
    with pytest.raises(JudgekitError, match="line 9"):
        record_of(tmp_path, tmp_path / "votes.csv", verdict="winner", annotator="who")


def test_one_person_who_votes_on_everything_is_no_repeat(tmp_path):
    _written(tmp_path, [{"id": f"s{i}", "who": "p", "winner": "one" if i % 3 else "two"} for i in range(12)])
    record = record_of(tmp_path, tmp_path / "votes.csv", verdict="winner", annotator="who")
    assert {one.series for one in record.estimates} == {"value"}


def test_the_interval_pays_for_peoples_tastes():
    rng = np.random.default_rng(0)
    items, people = np.repeat(np.arange(100), 4), np.tile(np.arange(20), 20)
    taste = rng.permutation(np.repeat([0.1, 0.9], 10))
    votes = (rng.random(400) < taste[people]).astype(float)
    value, error, interval = two_way(votes, items, people, 0.95)
    assert value == pytest.approx(votes.mean())
    alone = float(np.std([votes[items == i].mean() for i in range(100)], ddof=1) / 10)
    assert error is not None
    assert error > 2 * alone
    assert interval.low is not None
    assert interval.low < 0.5 < (interval.high or 0)
    few = two_way(votes, items, people % 9, 0.95)
    assert (few[0], few[2].low) == (value, None)
    assert two_way(np.ones(400), items, people, 0.95)[2].low is None
    assert two_way(np.empty(0), np.empty(0, int), np.empty(0, int), 0.95)[0] is None
