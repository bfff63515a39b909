"""A panel of judges: one verdict of many, its members' agreement, and what no panel can be."""

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgekit.judging.panel import combined
from judgekit.pipeline.prepare import prepare
from judgekit.records import Verdict
from mode_runs import config, estimates, manager, refused, run
from probing import Prober


def scored(value, **more):
    return Verdict(status="scored", value=value, raw=f"I say {value}", **more)


def values(*numbers):
    return {f"j{place}": scored(number) for place, number in enumerate(numbers)}


@pytest.mark.parametrize(
    ("numbers", "mean", "vote"),
    [((1, 1, 4), 2, 1), ((1, 2, 3), 2, 2), ((1, 5), 3, 3), ((5, 5), 5, 5), ((1, 1, 4, 4, 5), 3, 2.5)],
)
def test_values_are_combined_by_their_mean_or_by_vote(numbers, mean, vote):
    assert combined(values(*numbers), "mean").value == pytest.approx(mean)
    assert combined(values(*numbers), "vote").value == pytest.approx(vote)


def test_preferences_vote_by_their_side():
    for numbers, vote in ((0.9, 0.6, 0.1), 1), ((0.9, 0.1), 0.5), ((0.5, 0.5, 1.0), 0.5), ((0.2, 0.4, 1.0), 0):
        assert combined(values(*numbers), "vote", preference=True).value == vote


def test_a_panel_keeps_what_each_member_said():
    verdict = combined({"a": scored(2, rationale="Fair."), "b": scored(4)}, "mean")
    assert (verdict.value, verdict.series) == (3, {"a": 2, "b": 4})
    assert verdict.raw == "[a: 2]\nI say 2\n\n[b: 4]\nI say 4"
    assert verdict.rationale == "a: Fair."


@pytest.mark.parametrize("status", ["unparsed", "refused", "truncated", "error", "skipped"])
def test_without_one_members_verdict_there_is_none_and_the_others_are_kept(status):
    failed = Verdict(status=status, raw="hm", detail="why")
    verdict = combined({"a": scored(2), "b": failed, "c": scored(4)}, "mean")
    assert (verdict.status, verdict.value, verdict.detail) == (status, None, "b: why")
    assert verdict.series == {"a": 2, "c": 4}
    assert f"[b: {status}]\nhm" in verdict.raw


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=9), st.sampled_from(["mean", "vote"]))
def test_a_panel_never_leaves_the_range_of_its_members(numbers, combine):
    value = combined(values(*numbers), combine).value
    assert min(numbers) <= value <= max(numbers)


JUDGES = {
    "kind": {"mode": "grade", "scale": [1, 5]},
    "strict": {"mode": "grade", "scale": [1, 5], "bias": 1},
    "third": {"mode": "rubric", "bias": 3},
    "jury": {"panel": ["kind", "strict", "third"]},
}


def test_a_panel_judges_by_its_members_and_prints_their_agreement(here):
    record, rows = run(config(JUDGES, judge="jury"), here)
    assert record.status == "complete"
    for row in rows:
        assert row.value == pytest.approx(sum(row.series.values()) / 3)
        assert row.series.keys() == {"kind", "strict", "third"}
    found = estimates(record)
    assert [found[name].scale.label for name in ("kind", "strict", "third")] == ["by kind", "by strict", "by third"]
    assert (found["value"].scale.low, found["value"].scale.high) == (1, 5)
    assert found["value"].repeats == 1, "members are not repeats"
    (card,) = [card for card in record.cards if card.judge == "jury"]
    (check,) = card.checks
    ratings = np.array([[row.series[name] for row in rows] for name in ("kind", "strict", "third")])
    assert check.value == pytest.approx(krippendorff.alpha(ratings, level_of_measurement="interval"))
    assert check.low <= check.value <= check.high
    assert (card.backend, card.prompt, card.reading) == ("panel", "kind, strict, third", "mean")
    assert not any("no metric asks" in warning for warning in record.warnings), "the panel asks them"


def test_a_member_that_is_asked_for_itself_too_is_asked_once(here):
    metrics = {"jury": {"type": "score", "judge": "jury"}, "alone": {"type": "score", "judge": "strict"}}
    run(config(JUDGES, metrics=metrics), here)
    assert len(Prober.calls) == len({request.model_dump_json() for request in Prober.calls})


def test_a_panel_compares(here):
    judges = {"a": {"mode": "preference"}, "b": {"mode": "preference", "mass": 0.9}, "c": {"mode": "reason_json"}}
    for combine, first in (("mean", (0.75 + 0.75 + 1) / 3), ("vote", 1)):
        jury = {"panel": ["a", "b", "c"], "combine": combine}
        _, rows = run(config({**judges, "jury": jury}, "pairwise", "jury"), here)
        assert rows[0].verdicts[0].value == pytest.approx(first)
        assert rows[0].value == pytest.approx(0.5), "who always prefers the first prefers nobody"


def test_a_panel_of_which_one_fails_is_counted_and_its_agreement_is_over_the_rest(here):
    judges = {**JUDGES, "third": {"mode": "geval", "steps": ["Read."], "mass": 0.5}}
    record, rows = run(config(judges, judge="jury"), here)
    assert {row.status for row in rows} == {"unparsed"}
    assert rows[0].verdicts[0].detail.startswith("third: asked twice; the first reply: the answers asked for hold 0.5")
    (card,) = [card for card in record.cards if card.judge == "jury"]
    assert card.checks[0].value is not None, "kind and strict are there to be compared"


WRONG = {
    "a panel cannot be a member of itself": ["kind", "jury"],
    "no judge is named 'strickt'; did you mean 'strict'?": ["kind", "strickt"],
    "a panel has two members at least": ["kind"],
    "'kind' is a member twice: one vote each": ["kind", "kind"],
    "its member 'other' is a panel too": ["kind", "other"],
    "its members score on other scales: kind 1..5, wide 0..100": ["kind", "wide"],
    "its member pair does not score: its prompt is pairwise/letter": ["kind", "pair"],
    "does not score; these do:": ["kind", "pairs"],
    "combine: vote counts equal scores, and likely is read by probabilities": ["likely", "kind"],
}


@pytest.mark.parametrize(("said", "panel"), WRONG.items(), ids=range(len(WRONG)))
def test_what_is_no_panel_is_a_clear_error_before_any_call(here, said, panel):
    judges = {
        "jury": {"panel": panel, "combine": "vote"},
        "likely": {"mode": "geval", "steps": ["Read."]},
        "kind": {"mode": "grade", "scale": [1, 5]},
        "strict": {"mode": "grade", "scale": [1, 5]},
        "wide": {"mode": "integer"},
        "pair": {"prompt": "pairwise/letter"},
        "pairs": {"mode": "letter"},
        "other": {"panel": ["kind", "strict"]},
    }
    assert said in refused(config(judges, judge="jury"), here)


@pytest.mark.parametrize("key", ["backend", "mode", "model", "temperature", "rubric"])
def test_a_panel_has_no_keys_of_a_judge(key):
    value = {1: "a", 2: "b"} if key == "rubric" else 1.5 if key == "temperature" else "x"
    with pytest.raises(ValueError, match=f"a panel asks other judges; '{key}' belongs to one of them"):
        config({**JUDGES, "jury": {"panel": ["kind", "strict"], key: value}})


def test_a_member_that_judges_itself_is_warned_of_with_the_panel(here):
    judges = {"a": {"mode": "grade"}, "b": {"mode": "grade", "bias": 2}, "jury": {"panel": ["a", "b"]}}
    spec = config(judges, judge="jury", models={"new": {"backend": "prober", "bias": 2}})
    said = [warning for warning in prepare(spec, here, manager(), here).warnings if "judges itself" in warning]
    whose = sorted(warning.partition(" judges itself")[0] for warning in said)
    assert whose == ["judges.b:", "judges.jury: its member b"]
    assert all("judges itself: models.new is the same model" in warning for warning in said)
