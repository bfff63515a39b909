"""The line on rows without any score: the commonest reason, what was said, and a hint for each status."""

import pytest

from judgekit.records import NO_RESPONSE, Row, Verdict
from judgekit.regression.unscored import ANSWERS_NOTHING, HINTS, silent, why_unscored
from parrot_runs import JUDGE, config, execute, nest


def row(number, status="unparsed", detail="", raw="", value=None):
    verdict = Verdict(status=status, value=value, detail=detail, raw=raw)
    return Row(metric="q", system="s", sample_id=f"s{number}", status=status, value=value, verdicts=(verdict,))


def test_the_commonest_reason_is_told_with_what_was_said():
    rows = [row(n, detail="no score in the reply", raw="I think\nit is fine") for n in range(3)]
    said = why_unscored([*rows, row(9, "truncated", "cut off")])
    assert said.startswith(
        "no score on any of 4 verdicts, 3 unparsed: no score in the reply; it said 'I think it is fine'"
    )
    assert said.endswith(HINTS["unparsed"])


@pytest.mark.parametrize("status", ["truncated", "refused", "error", "skipped"])
def test_each_status_has_its_hint(status):
    assert HINTS[status] in why_unscored([row(0, status, "x")])


def test_a_system_that_answers_nothing_is_named_as_such():
    assert ANSWERS_NOTHING in why_unscored([row(0, "truncated", f"{NO_RESPONSE}: cut off")])


def test_one_score_or_no_row_is_nothing_to_say():
    assert why_unscored([row(0), row(1, "scored", value=3.0)]) == ""
    assert why_unscored([]) == ""


def test_a_run_without_a_score_says_so_once(tmp_path):
    mute = JUDGE | {"answers": {"": "I would rather not say."}, "control_items": 0}
    record = execute(config(judges={"main": mute}), nest(tmp_path)).record
    (line,) = [line for line in record.warnings if "no score" in line]
    assert line.startswith("quality: no score on any of 24 verdicts, 24 unparsed")
    assert "I would rather not say." in line
    assert line.endswith(HINTS["unparsed"])
    assert {one.metric for one in silent(record)} == {"quality"}


def test_a_system_without_a_response_is_named_alone(tmp_path):
    models = {"good": {"backend": "parrot"}, "mute": {"backend": "parrot", "fail_on": "number"}}
    record = execute(config(models=models), nest(tmp_path)).record
    assert [line for line in record.warnings if line.startswith("quality, mute: no score on any of 12 verdicts")]
    assert {one.system for one in silent(record)} == {"mute"}
