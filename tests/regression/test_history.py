"""Results held against one baseline: another one counts, the same one gated again does not."""

from judged_runs import record_of, scores
from judgekit.regression.history import FILE, GateCount, log_gate
from judgekit.results import Gate


def gate(**changes):
    return Gate(outcome="FAIL", claims=(), **{"baseline_sha256": "b" * 64} | changes)


def record(rows, **changes):
    return record_of(scores([1.0]), **changes).model_copy(update={"files": {"rows.jsonl": rows}})


def test_another_result_is_another_try(tmp_path) -> None:
    assert log_gate(tmp_path, record("1"), gate()) == GateCount(1, 1)
    assert log_gate(tmp_path, record("1"), gate()) == GateCount(1, 1), "the same rows gated again"
    assert log_gate(tmp_path, record("2"), gate()) == GateCount(2, 2)
    assert log_gate(tmp_path, record("1"), gate(baseline_sha256="c" * 64)) == GateCount(1, 1)
    assert len((tmp_path / FILE).read_text().splitlines()) == 3


def test_a_torn_line_counts_for_nothing_and_no_baseline_is_no_try(tmp_path) -> None:
    log_gate(tmp_path, record("1"), gate())
    with (tmp_path / FILE).open("a") as file:
        file.write('{"baseline": "bb\n[]\n')
    assert log_gate(tmp_path, record("2"), gate()) == GateCount(2, 2)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"baseline": "bb')  # and no end of the line: the power went, or the disk was full
    assert log_gate(tmp_path, record("3"), gate()) == GateCount(3, 3)
    assert log_gate(tmp_path, record("4"), gate()) == GateCount(4, 4), "the line before this one is whole"
    assert log_gate(tmp_path / "other", record("1"), gate(baseline_sha256="")) is None
    assert not (tmp_path / "other").exists()
