"""What a gate says of a finished run, and what it refuses to say anything about."""

import json
import re

import pytest
import scipy.stats
from pydantic import ValidationError

from gate_folders import ERRORS, SCORE, a_run, drawn, moved, samples_of
from judgekit.config.blocks import GateConfig
from judgekit.data.lineage import judge_fingerprint
from judgekit.errors import ConfigError, UsageError
from judgekit.records import Scale
from judgekit.regression.baseline import write_baseline
from judgekit.regression.gate import evaluate
from judgekit.regression.rules import Reference
from judgekit.results import Gate
from judgekit.run_folder import RunFolder

BASE = drawn(120, 1)


@pytest.fixture
def baseline(tmp_path):
    """The baseline of some scores."""

    def make(scores, **changes):
        path = tmp_path / "baseline.json"
        write_baseline(RunFolder(a_run(tmp_path / "old", scores, **changes)).view(), path)
        return Reference.read(path)

    return make


@pytest.fixture
def gated(tmp_path, baseline):
    """The gate of new scores against old ones."""

    def make(new, old, rules, against=None, **changes):
        reference = baseline(old, **(against or {}))
        view = RunFolder(a_run(tmp_path / "new", new, **changes)).view()
        return evaluate(view, GateConfig.model_validate(rules), reference)

    return make


def one(gate):
    (claim,) = gate.claims
    return claim


def quality(scores, system="sft"):
    return {"quality": {system: scores}}


@pytest.mark.parametrize(
    ("change", "margin", "outcome"),
    [(0.0, 3, "PASS"), (-5.0, 3, "FAIL"), (+5.0, 3, "PASS"), (-1.9, 2, "FAIL"), (-0.9, 6, "PASS")],
)
def test_the_outcome_is_that_of_the_rule(gated, change, margin, outcome):
    gate = gated(quality(moved(BASE, change, 2)), quality(BASE), {"quality": {"margin": margin}})
    claim = one(gate)
    assert gate.outcome == claim.outcome == outcome
    low, high = claim.interval.low, claim.interval.high
    assert (outcome == "PASS") == (low > -margin)
    assert (outcome == "FAIL") == (high < 0 and low <= -margin)
    assert claim.interval.method == "paired_t+plus_two"
    assert claim.better + claim.worse + claim.equal == claim.n_items == 120
    assert 0 < claim.detectable < margin


def test_what_shows_neither_is_inconclusive(gated):
    claim = one(gated(quality(moved(BASE, -1.5, 13, sd=11)), quality(BASE), {"quality": {"margin": 2.9}}))
    assert claim.interval.low <= -2.9 < 0 <= claim.interval.high
    assert claim.outcome == "INCONCLUSIVE"
    assert claim.reasons == ("neither no change nor a loss of the margin can be ruled out",)


def test_where_less_is_better_the_rule_is_turned_round(gated):
    old = [score / 20 for score in BASE]
    scales = {"quality": ERRORS}
    more = moved(old, 0.5, 3, sd=0.5, high=10)
    claim = one(gated(quality(more), quality(old), {"quality": {"margin": 0.3}}, {"scales": scales}, scales=scales))
    assert claim.outcome == "FAIL"
    assert claim.value > 0
    assert claim.worse > claim.better
    fewer = moved(old, -0.5, 3, sd=0.5, high=10)
    claim = one(gated(quality(fewer), quality(old), {"quality": {"margin": 0.3}}, {"scales": scales}, scales=scales))
    assert claim.outcome == "PASS"
    assert claim.value < 0


def test_repeats_count_once_an_item(gated):
    old = [[score, score] for score in BASE]
    new = [[score - 4, score - 6] for score in BASE]
    claim = one(gated(quality([[max(v, 0) for v in x] for x in new]), quality(old), {"quality": {"margin": 3}}))
    assert (claim.outcome, claim.n_items) == ("FAIL", 120)


def test_a_margin_that_these_items_cannot_decide_never_passes_and_names_the_number_that_could(gated):
    gate = gated(quality(moved(BASE, 0, 2)), quality(BASE), {"quality": {"margin": 0.5}})
    assert gate.outcome == "INCONCLUSIVE"
    assert re.search(r"cannot decide a margin of 0\.5: it needs \d{3,4} items .* 120 items find", one(gate).reasons[0])
    few = one(gated(quality([50.0, 60.0, 70.0]), quality([52.0, 55.0, 75.0]), {"quality": {"margin": 3}}))
    assert (few.outcome, "it needs" in few.reasons[0]) == ("INCONCLUSIVE", True)


def test_a_loss_that_is_shown_fails_whatever_the_power(gated):
    gate = gated(quality(moved(BASE, -20, 2)), quality(BASE), {"quality": {"margin": 0.5}})
    claim = one(gate)
    assert (gate.outcome, claim.outcome) == ("FAIL", "FAIL")
    assert claim.interval.high < -0.5 < 0.5 < claim.detectable
    assert claim.reasons[0].startswith("the margin is exceeded")
    assert "cannot decide a margin of 0.5: it needs" in claim.reasons[-1]


def test_a_shown_loss_under_a_failed_card_is_no_fail(gated):
    gate = gated(quality(moved(BASE, -20, 2)), quality(BASE), {"quality": {"margin": 0.5}}, card=False)
    assert gate.outcome == "INCONCLUSIVE"
    assert any("failed its card" in reason for reason in one(gate).reasons)


@pytest.mark.parametrize(
    ("change", "margin", "outcome", "said"),
    [
        (-9.0, 3, "FAIL", "the margin is exceeded"),
        (-3.5, 3, "FAIL", "a loss is shown; whether it exceeds the margin is not"),
        (-3.0, 8, "PASS", "a loss is shown; it is inside the margin"),
        (0.0, 8, "PASS", "what a mean cannot see"),
    ],
)
def test_a_loss_that_is_shown_and_a_margin_that_is_exceeded_are_two_things(gated, change, margin, outcome, said):
    claim = one(gated(quality(moved(BASE, change, 2)), quality(BASE), {"quality": {"margin": margin}}))
    assert claim.outcome == outcome
    assert claim.reasons[0].startswith(said)
    less = {"quality": Scale(label="score", low=0, high=100, higher_is_better=False)}
    turned = [100 - score for score in BASE]
    worse = [100 - score for score in moved(BASE, change, 2)]
    claim = one(gated(quality(worse), quality(turned), {"quality": {"margin": margin}}, {"scales": less}, scales=less))
    assert (claim.outcome, claim.reasons[0].startswith(said)) == (outcome, True), "where less is better too"


def test_a_pass_says_what_a_mean_cannot_see(gated):
    fallen = [0.0 if i == 5 else score for i, score in enumerate(BASE)]
    claim = one(gated(quality(fallen), quality(BASE), {"quality": {"margin": 8}}))
    assert claim.outcome == "PASS"
    assert "1 of 120 items fell by 50 or more; of all items up to 3.9 % may (95 %)" in claim.reasons[-1]


@pytest.mark.parametrize(
    ("fallen", "share", "outcome"),
    [(0, "3 %", "PASS"), (1, "3 %", "INCONCLUSIVE"), (9, 0.03, "FAIL"), (0, "1 %", "INCONCLUSIVE")],
)
def test_a_catastrophe_rule_binds_the_share_of_items_that_fall_far(gated, fallen, share, outcome):
    scores = [0.0 if i < fallen else score for i, score in enumerate(BASE)]
    rule = {"catastrophe": {"fall": 40, "share": share}}
    claim = one(gated(quality(scores), quality(BASE), {"quality": rule}))
    fallen = sum(score >= 40 for score in BASE[:fallen])
    assert (claim.outcome, claim.value) == (outcome, fallen / 120)
    bounds = scipy.stats.binomtest(fallen, 120).proportion_ci(0.9)
    assert claim.interval.high == pytest.approx(bounds.high if fallen else 1 - 0.05 ** (1 / 120))
    assert claim.interval.low == pytest.approx(bounds.low)
    if (fallen, share) == (0, "1 %"):
        assert "without any fall it takes 299 items to show so small a share" in claim.reasons


def test_falls_that_missing_verdicts_could_hide_do_not_pass(gated):
    scores = [None if i < 9 else score for i, score in enumerate(BASE)]
    claim = one(gated(quality(scores), quality(BASE), {"quality": {"catastrophe": {"fall": 40, "share": "3 %"}}}))
    assert claim.outcome == "INCONCLUSIVE"


def test_missing_verdicts_can_be_a_rule(gated):
    scores = [None if i < 9 else score for i, score in enumerate(BASE)]
    for share, outcome in (("8 %", "PASS"), (0.07, "FAIL")):
        claim = one(gated(quality(scores), quality(BASE), {"quality": {"missing": share}}))
        assert (claim.outcome, claim.value) == (outcome, 9 / 120)
    assert one(gated(quality(BASE), quality(BASE), {"quality": {"missing": 0}})).outcome == "PASS"


@pytest.mark.parametrize("broken", [{"margin": 0.5}, {"margin": 3}, {"min": 90}])
def test_a_rule_that_cannot_decide_hides_no_other_and_does_not_pass(gated, broken):
    old = {"quality": {"sft": BASE}, "style": {"sft": BASE}}
    new = {"quality": {"sft": moved(BASE, -20, 2)}, "style": {"sft": moved(BASE, 2, 3)}}
    gate = gated(new, old, {"quality": broken, "style": {"margin": 0.5}})
    assert gate.outcome == "FAIL"
    failed, weak = gate.claims
    assert (failed.outcome, weak.outcome) == ("FAIL", "INCONCLUSIVE")
    assert weak.interval.low > -0.5
    assert weak.reasons[0].startswith("this rule cannot decide a margin of 0.5: it needs")


def test_limits_are_held_against_the_printed_interval(gated):
    claim = one(gated(quality(BASE), quality(BASE), {"quality": {"min": 50}}))
    assert (claim.outcome, claim.kind, claim.p) == ("PASS", "min", None)
    assert claim.interval.low >= 50
    inside = (claim.interval.low + claim.interval.high) / 2
    for rules, outcome in (
        ({"min": 90}, "FAIL"), ({"max": 90}, "PASS"), ({"max": 20}, "FAIL"),
        ({"min": inside}, "INCONCLUSIVE"), ({"max": inside}, "INCONCLUSIVE"),
        ({"min": claim.interval.low}, "PASS"),  # at least: x >= t
    ):  # fmt: skip
        assert one(gated(quality(BASE), quality(BASE), {"quality": rules})).outcome == outcome, rules


def test_a_limit_needs_no_baseline(tmp_path):
    view = RunFolder(a_run(tmp_path / "run", quality(BASE))).view()
    assert evaluate(view, GateConfig.model_validate({"quality": {"min": 40}}), None).outcome == "PASS"
    with pytest.raises(ConfigError, match="needs a baseline"):
        evaluate(view, GateConfig.model_validate({"quality": {"margin": 3}}), None)


def test_holm_keeps_many_rules_from_crying_wolf(gated):
    names = [f"m{i}" for i in range(5)]
    old = {name: {"sft": BASE} for name in names}
    new = {name: {"sft": moved(BASE, -1.3 if i == 0 else 0, 40 + i)} for i, name in enumerate(names)}
    alone = one(gated({"m0": new["m0"]}, {"m0": old["m0"]}, {"m0": {"margin": 2.2}}))
    assert alone.outcome == "FAIL"
    assert 0.01 < alone.p < 0.05
    gate = gated(new, old, {name: {"margin": 2.2} for name in names})
    first = gate.claims[0]
    assert first.outcome == "INCONCLUSIVE"
    assert first.p == pytest.approx(alone.p)
    assert first.p_holm == pytest.approx(5 * alone.p)
    assert "alone it would have failed" in first.reasons[0]
    assert first.detectable > alone.detectable


def test_limits_take_part_in_holms_correction(gated):
    names = [f"m{i}" for i in range(4)]
    scores = {name: {"sft": BASE} for name in names}
    mean = sum(BASE) / len(BASE)
    alone = one(gated({"m0": scores["m0"]}, {"m0": scores["m0"]}, {"m0": {"min": mean}}))
    edge = alone.interval.high + 0.05  # just beyond the interval
    assert one(gated({"m0": scores["m0"]}, {"m0": scores["m0"]}, {"m0": {"min": edge}})).outcome == "FAIL"
    rules = {name: {"min": edge if name == "m0" else 30} for name in names}
    claim = gated(scores, scores, rules).claims[0]
    assert claim.outcome == "INCONCLUSIVE"
    assert claim.p < 0.03
    assert claim.p_holm > 0.05


# --- another instrument is an error, never a FAIL ---------------------------------------------------------------------


def named(text, gated, **changes):
    with pytest.raises(UsageError) as caught:
        gated(quality(moved(BASE, -20, 2)), quality(BASE), {"quality": {"margin": 3}}, **changes)
    assert text in str(caught.value)
    assert "neither a regression nor a pass" in str(caught.value)


def test_another_judge_model_digest_prompt_or_grading_is_named(gated):
    identity = {"model": "llama3", "digest": "a" * 64}
    named("quality: judge's model: llama4 in the run, llama3 in the baseline", gated,
          identities={"judges.main": identity | {"model": "llama4"}})  # fmt: skip
    named(
        "judge's digest: cccccccccccc… in the run", gated, identities={"judges.main": identity | {"digest": "c" * 64}}
    )
    named("prompt score/grade: dddddddddddd… in the run", gated, prompts={"score/grade": "d" * 64})
    judge = {"backend": "gone", "prompt": "score/grade", "temperature": 0.7}
    named("judge temperature: 0.7 in the run, 0.0 in the baseline", gated, spec={"judges": {"main": judge}})
    named(
        "judge rubric: ", gated, spec={"judges": {"main": judge | {"temperature": 0.0, "rubric": {"1": "a", "5": "b"}}}}
    )


def test_another_scale_or_metric_is_named(gated):
    other = Scale(label="judge score", low=0, high=200)
    named("quality: scale: 0 … 200 in the run, 0 … 100 in the baseline", gated, scales={"quality": other})
    named("metric type: exact_match", gated, spec={"metrics": {"quality": {"type": "exact_match"}}})


def test_other_samples_are_named(gated):
    changed = samples_of(120)
    changed[7] = changed[7].model_copy(update={"instruction": "Something else?"})
    named("dataset: the same ids, with other contents", gated, samples=changed)
    with pytest.raises(UsageError, match=r"dataset: 110 samples in the run, 120 in the baseline"):
        gated(quality(BASE[:110]), quality(BASE), {"quality": {"margin": 3}})
    renamed = [sample.model_copy(update={"id": f"other-{sample.id}"}) for sample in samples_of(120)]
    named("dataset: 120 samples in the run", gated, samples=renamed)


# --- a gate that evaluated nothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [{}, {"waive": ["main"]}, {"baseline": "b.json"}, {"system": ["sft"]}])
def test_a_gate_without_a_rule_is_an_error(gated, rules):
    with pytest.raises(ConfigError, match="the gate has no rule"):
        gated(quality(BASE), quality(BASE), rules)


@pytest.mark.parametrize("rules", [{"quality": {"min": 5}, "system": []}, {"quality": {"min": 5, "system": []}}])
def test_a_rule_for_no_system_is_an_error(gated, rules):
    with pytest.raises(ValidationError, match="at least 1 item"):
        gated(quality(BASE), quality(BASE), rules)


def test_a_rule_on_what_was_not_measured_is_no_pass(gated):
    both = {"metrics": {name: {"type": "score", "judge": "main"} for name in ("quality", "style")}}
    with pytest.raises(UsageError, match="no rule could be evaluated: nothing was measured of style"):
        gated(quality(BASE), quality(BASE), {"style": {"min": 5}}, spec=both)
    gate = gated(quality(BASE), quality(BASE), {"style": {"min": 5}, "quality": {"min": 5}}, spec=both)
    assert (gate.outcome, one(gate).outcome) == ("INCONCLUSIVE", "PASS")
    gate = gated(quality(BASE), quality(BASE), {"style": {"min": 5}, "quality": {"min": 99}}, spec=both)
    assert gate.outcome == "FAIL"


def test_no_record_holds_a_pass_without_a_rule(gated):
    claim = one(gated(quality(BASE), quality(BASE), {"quality": {"min": 99}}))
    for claims in ((), (claim,)):
        with pytest.raises(ValidationError, match="only if it evaluated a rule"):
            Gate(outcome="PASS", claims=claims)


# --- what may hide behind a green light -------------------------------------------------------------------------------


def test_an_incomplete_run_never_passes_and_never_fails(gated):
    for change in (0, -20):
        gate = gated(quality(moved(BASE, change, 2)), quality(BASE), {"quality": {"margin": 3}}, status="incomplete")
        assert gate.outcome == "INCONCLUSIVE"
        assert one(gate).reasons[0].startswith("the run is incomplete")


def test_missing_verdicts_that_could_turn_it_make_it_inconclusive(gated):
    holes = [None if i < 12 else score for i, score in enumerate(moved(BASE, 0, 2))]
    claim = one(gated(quality(holes), quality(BASE), {"quality": {"margin": 3}}))
    assert claim.outcome == "INCONCLUSIVE"
    assert claim.reasons == ("verdicts are missing on 12 items, and they could turn the PASS",)
    holes = [None if i < 12 else score for i, score in enumerate(moved(BASE, -4, 2))]
    claim = one(gated(quality(holes), quality(BASE), {"quality": {"margin": 3}}))
    assert claim.reasons == ("verdicts are missing on 12 items, and they could turn the FAIL",)


def test_missing_verdicts_that_cannot_turn_it_do_not(gated):
    holes = [None if i < 1 else score for i, score in enumerate(moved(BASE, 0, 2))]
    assert gated(quality(holes), quality(BASE), {"quality": {"margin": 6}}).outcome == "PASS"
    holes = [None if i < 1 else score for i, score in enumerate(moved(BASE, -30, 2))]
    assert gated(quality(holes), quality(BASE), {"quality": {"margin": 6}}).outcome == "FAIL"


def test_missing_verdicts_turn_limits_too(gated):
    holes = [None if i < 30 else score for i, score in enumerate(BASE)]
    claim = one(gated(quality(holes), quality(BASE), {"quality": {"min": 50}}))
    assert claim.interval.low > 50
    assert claim.outcome == "INCONCLUSIVE"
    assert "verdicts are missing: 30" in claim.reasons[0]
    assert one(gated(quality(holes), quality(BASE), {"quality": {"min": 95}})).outcome == "FAIL"


def test_items_that_a_metric_skips_are_no_missing_verdicts(gated):
    holes = [None if i < 40 else score for i, score in enumerate(BASE)]
    gate = gated(quality(holes), quality(holes), {"quality": {"margin": 6}}, {"missing": "skipped"}, missing="skipped")
    assert (gate.outcome, one(gate).n_items) == ("PASS", 80)


@pytest.mark.parametrize("change", [0, -20])
def test_a_judge_that_chose_what_a_system_learnt_is_no_judge_of_it_unless_waived(gated, change):
    new, old, identity = quality(moved(BASE, change, 2)), quality(BASE), {"model": "llama3", "digest": "a" * 64}
    own = {"identities": {"judges.main": identity}, "pair_judges": {"sft": (judge_fingerprint(identity),)}}
    claim = one(gated(new, old, {"quality": {"margin": 3}}, **own))
    assert claim.outcome == "INCONCLUSIVE"
    assert claim.reasons[0].startswith("judge main chose the pairs that this system was trained on")
    outcome = "FAIL" if change else "PASS"
    assert gated(new, old, {"quality": {"margin": 3}, "waive": "main"}, **own).outcome == outcome
    for others in ({"sft": ("0" * 16,)}, {"base": own["pair_judges"]["sft"]}):
        assert gated(new, old, {"quality": {"margin": 3}}, **own | {"pair_judges": others}).outcome == outcome


@pytest.mark.parametrize("change", [0, -20])
def test_a_failed_judge_card_is_inconclusive_unless_waived_by_name(gated, change):
    new, old = quality(moved(BASE, change, 2)), quality(BASE)
    claim = one(gated(new, old, {"quality": {"margin": 3}}, card=False))
    assert claim.outcome == "INCONCLUSIVE"
    assert claim.reasons[0] == "judge main failed its card (padded)"
    for name in ("main", "padded", "main.padded"):
        gate = gated(new, old, {"quality": {"margin": 3}, "waive": [name]}, card=False)
        assert gate.outcome == ("PASS" if change == 0 else "FAIL")
        assert gate.waived == (name,)
    with pytest.raises(ConfigError, match="no judge or check named 'pded'; did you mean 'padded'"):
        gated(new, old, {"quality": {"margin": 3}, "waive": "pded"}, card=False)


def test_another_judges_card_does_not_matter(gated):
    spec = {"metrics": {"quality": {"type": "exact_match"}}}
    gate = gated(quality(BASE), quality(BASE), {"quality": {"margin": 3}}, {"spec": spec}, spec=spec, card=False)
    assert gate.outcome == "PASS"


# --- thin data --------------------------------------------------------------------------------------------------------


def test_one_item_has_no_interval_and_no_verdict(gated):
    claim = one(gated(quality([50.0]), quality([60.0]), {"quality": {"margin": 3}}))
    assert claim.outcome == "INCONCLUSIVE"
    assert claim.interval.note == "one item has no interval"
    assert claim.reasons == ("one item has no interval",)


def test_zero_scored_items_have_no_verdict(gated):
    claim = one(gated(quality([None] * 120), quality(BASE), {"quality": {"margin": 3}}))
    assert (claim.outcome, claim.value, claim.n_items) == ("INCONCLUSIVE", None, 0)
    claim = one(gated(quality([None] * 120), quality(BASE), {"quality": {"min": 3}}))
    assert claim.outcome == "INCONCLUSIVE"
    assert claim.reasons[0].startswith("no score on any of 120 verdicts, 120 unparsed")
    claim = one(gated(quality([80.0] * 120), quality(BASE), {"quality": {"min": 3}}))
    assert claim.outcome == "PASS"


def test_all_equal_scores_are_decided_by_plus_two(gated):
    gate = gated(quality([80.0] * 120), quality([80.0] * 120), {"quality": {"margin": 3}})
    assert gate.outcome == "PASS"
    assert one(gate).interval.low < 0 < one(gate).interval.high
    few = one(gated(quality([80.0] * 20), quality([80.0] * 20), {"quality": {"margin": 3}}))
    assert (few.outcome, "cannot decide" in few.reasons[0]) == ("INCONCLUSIVE", True)


def test_clusters_are_the_units(gated):
    spec = {"statistics": {"confidence": 0.95, "interval": "auto", "cluster": "category", "resamples": 499}}
    claim = one(gated(quality(moved(BASE, 0, 2)), quality(BASE), {"quality": {"margin": 3}}, spec=spec))
    assert claim.outcome == "INCONCLUSIVE"
    assert claim.interval.note == "too few clusters: 2 of at least 10"
    samples = [sample.model_copy(update={"category": f"c{i % 20}"}) for i, sample in enumerate(samples_of(120))]
    changes = {"spec": spec, "samples": samples}
    claim = one(gated(quality(moved(BASE, 0, 2)), quality(BASE), {"quality": {"margin": 3}}, changes, **changes))
    assert (claim.outcome, claim.n_clusters, claim.interval.method) == ("PASS", 20, "cluster_t")


# --- which systems ----------------------------------------------------------------------------------------------------


def test_the_system_that_others_are_compared_with_is_not_gated(gated):
    scores = {"quality": {"base": [score / 4 for score in BASE], "sft": BASE}}
    gate = gated(scores, scores, {"quality": {"min": 40}}, spec={"against": "base"})
    assert [claim.system for claim in gate.claims] == ["sft"]
    assert [claim.system for claim in gated(scores, scores, {"quality": {"margin": 3}}).claims] == ["base", "sft"]
    assert one(gated(scores, scores, {"quality": {"min": 40, "system": "base"}})).outcome == "FAIL"


def test_one_system_may_be_called_something_else(gated):
    gate = gated(quality(BASE, "v2"), quality(BASE, "v1"), {"quality": {"margin": 3}})
    assert gate.outcome == "PASS"
    assert "quality: v2 is compared with v1 of the baseline" in gate.notes


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"qualty": {"margin": 3}}, "no metric named 'qualty'; did you mean 'quality'"),
        ({"quality": {"margin": 3, "system": "sff"}}, "no system named 'sff'; did you mean 'sft'"),
        ({"quality": {"margin": 100}}, "as wide as the scale"),
        ({"quality": {"min": 101}}, "off the scale"),
        ({}, "no rule"),
    ],
)
def test_what_is_not_there_is_named(gated, rules, message):
    with pytest.raises(ConfigError, match=message):
        gated(quality(BASE), quality(BASE), rules)


def test_the_gate_is_json_and_says_what_moved(gated):
    gate = gated(quality(moved(BASE, -5, 2)), quality(BASE), {"quality": {"margin": 3}})
    tree = json.loads(gate.model_dump_json())
    assert tree["claims"][0]["movers"][0]["candidate"] < tree["claims"][0]["movers"][0]["baseline"]
    assert tree["claims"][0]["scale"] == SCORE.model_dump()
    assert len(tree["baseline_sha256"]) == 64


def test_a_sequential_rule_on_a_whole_run_decides_by_a_look_or_at_the_end(gated):
    old = drawn(400, 5)
    rules = {"quality": {"margin": 4, "sequential": True}}
    claim = one(gated(quality(moved(old, 1, 6)), quality(old), rules))
    assert (claim.outcome, claim.stop.decided, claim.stop.judged) == ("PASS", "PASS", 400)
    assert claim.interval.low >= -4
    claim = one(gated(quality(moved(old, -8, 6)), quality(old), rules))
    assert (claim.outcome, claim.stop.decided) == ("FAIL", "FAIL")
    assert claim.interval.high <= 0
    claim = one(gated(quality(moved(BASE, 0, 2)), quality(BASE), {"quality": {"margin": 2, "sequential": True}}))
    assert (claim.outcome, claim.stop.decided) == ("PASS", None)
    assert claim.stop.note == "no look decided: the test after all 120 items does"


def test_the_candidate_its_repeats_and_the_order_of_its_samples_may_change(gated):
    changes = {"spec": {"models": {"sft": {"backend": "gone", "temperature": 0.9}}}, "samples": samples_of(120)[::-1]}
    gate = gated(quality([[score, score] for score in BASE]), quality(BASE), {"quality": {"margin": 3}}, **changes)
    assert (gate.outcome, one(gate).equal) == ("PASS", 120)
