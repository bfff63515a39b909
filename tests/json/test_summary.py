"""The reporter `json`: every number of the record, flat, stable, and nothing that JSON does not have."""

import json

import pytest

from judgekit.records import VERDICT_STATUSES
from judgekit_json import summary as module
from judgekit_json.summary import summary
from sample_run import HOSTILE, hostile_run, sample_run
from sinks import each_of


def read(view):
    files = summary(view, [])
    assert list(files) == ["summary.json"]
    tree = json.loads(files["summary.json"], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert isinstance(tree, dict)
    return tree


def test_every_number_is_there():
    record = sample_run().record
    found = read(sample_run())["estimates"]
    assert len(found) == len(record.estimates)
    for estimate, entry in zip(record.estimates, found, strict=True):
        for key in ("metric", "system", "estimand", "value"):
            assert entry[key] == getattr(estimate, key)
        for key in ("low", "high", "method"):
            assert entry[key] == getattr(estimate.interval, key)
        assert [entry[status] for status in VERDICT_STATUSES] == [estimate.counts.get(s, 0) for s in VERDICT_STATUSES]
    entry = next(e for e in read(sample_run())["estimates"] if e["metric"] == "rouge")
    assert (entry["value"], entry["low"], entry["high"], entry["bound_low"]) == (None, None, None, None)
    assert entry["note"] == entry["bootstrap_note"] == "no scored item"
    tree = read(sample_run())
    assert tree["judges"][0]["judge"] == "main"
    assert tree["judges"][0]["passed"] is True
    assert [check["name"] for check in tree["checks"]] == ["gold", "empty", "shuffled", "flips"]
    assert {check["judge"] for check in tree["checks"]} == {"main"}
    assert tree["checks"][3]["passed"] is None
    tree = read(sample_run(status="incomplete", errors={"timeout after 60 s": 3}, warnings=("few items",)))
    assert (tree["status"], tree["errors"]) == ("incomplete", {"timeout after 60 s": 3})
    assert tree["warnings"] == ["few items"]


def test_keys_are_flat_documented_and_sorted():
    tree = read(sample_run())
    for kind in ("estimates", "differences", "judges", "checks"):
        assert len({tuple(entry) for entry in tree[kind]}) == 1, kind
        for entry in tree[kind]:
            assert not any(isinstance(value, dict | list) for value in entry.values())
    assert {tuple(entry) for entry in tree["estimates"]} == {tuple(entry) for entry in tree["differences"]}
    documented = (module.__doc__ or "").replace(",", " ").replace("[{", " ").replace("}]", " ").split()
    for key in (*tree, *tree["estimates"][0], *tree["judges"][0], *tree["checks"][0]):
        assert key in documented or f"`{key}`" in documented, key
    once, again = summary(sample_run(), []), summary(sample_run(), [])
    assert once == again
    tree = json.loads(once["summary.json"])
    assert json.dumps(tree, indent=2, sort_keys=True) + "\n" == once["summary.json"].decode("ascii")


def test_any_string_survives():
    def survives(text):
        tree = read(hostile_run(text))
        assert (tree["name"], tree["errors"], tree["estimates"][0]["metric"]) == (text, {text: 2}, text)

    each_of(HOSTILE, survives)
