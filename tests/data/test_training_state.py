"""The states that a killed training goes on from, whatever a trainer puts into them."""

import json

from judgekit.data.training_log import CURVE, TrainingState
from judgekit.results import CurvePoint
from tables import each


def _made(folder, step, origin="a", content="whole"):
    """A training that has come so far, with a state and a point of the curve."""
    state = TrainingState(folder, origin)
    state.restore(_load)
    state.counters.step = step
    state.counters.since.append(step / 10)
    state.log.add(CurvePoint(step=step, split="train", loss=1.0))
    (state.begin()).mkdir()
    (state.begin() / "weights").write_text(content)
    state.seal()
    return state


def _load(folder):
    text = (folder / "weights").read_text()
    return None if text == "damaged" else text


def _steps(state):
    return sorted(int(path.name.partition("-")[2]) for path in state.states.iterdir())


def test_the_newest_state_is_gone_on_from_and_two_are_kept(tmp_path):
    for step in (2, 9, 10):
        state = _made(tmp_path, step, content=f"step {step}")
    assert _steps(state) == [9, 10]
    state.log.add(CurvePoint(step=11, split="train", loss=1.0))
    again = TrainingState(tmp_path, "a")
    assert again.restore(_load) == "step 10"
    assert (again.counters.step, again.counters.since) == (10, [0.2, 0.9, 1.0])
    points = [json.loads(line)["step"] for line in (tmp_path / CURVE).read_text().splitlines()]
    assert points == [2, 9, 10]


@each("damaged", "no marker", "no JSON", "shorter curve")
def test_a_state_that_is_not_whole_gives_way_to_the_one_before(harm, tmp_path):
    _made(tmp_path, 1)
    state = _made(tmp_path, 2, content="damaged" if harm == "damaged" else "whole")
    marker = state.states / "checkpoint-2" / "judgekit.json"
    if harm == "no marker":
        marker.unlink()
    elif harm == "no JSON":
        marker.write_text("{")
    elif harm == "shorter curve":
        (tmp_path / CURVE).write_text((tmp_path / CURVE).read_text()[:-1])
    again = TrainingState(tmp_path, "a")
    assert again.restore(_load) == "whole"
    assert again.counters.step == 1
    assert _steps(again) == [1], "what is left of the other is in nobody's way"


def test_a_state_of_another_training_is_not_gone_on_from(tmp_path):
    _made(tmp_path, 3)
    other = TrainingState(tmp_path, "b")
    assert other.of_another()
    assert other.restore(_load) is None
    assert other.counters.step == 0
    assert (tmp_path / CURVE).read_text() == ""
    assert not TrainingState(tmp_path, "b").of_another()


def test_the_origin_is_of_the_settings_and_of_the_files(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    a, b = tmp_path / "a", tmp_path / "b"
    origins = {TrainingState.of(tmp_path, *what).origin for what in (("s", [a]), ("s", [b]), ("t", [a]), ("s", [a, b]))}
    assert len(origins) == 4
    assert TrainingState.of(tmp_path / "elsewhere", "s", [a]).origin in origins


def test_a_state_is_due_by_its_step_or_by_the_clock(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr("judgekit.pipeline.train.time.monotonic", lambda: now)
    state = TrainingState(tmp_path, "a")
    state.restore(_load)
    state.counters.step = 6
    assert [state.due(3), state.due(4), state.due(None)] == [True, False, False]
    now = 10.5
    assert state.due(None)
    state.begin().mkdir()
    now = 11.5  # it took a second
    state.seal()
    now = 61.0
    assert not state.due(None)
    now = 61.6
    assert state.due(None)


def test_done_it_leaves_no_state(tmp_path):
    state = _made(tmp_path, 3)
    state.conclude({"learnt": 3})
    assert {path.name for path in tmp_path.iterdir()} == {CURVE, "summary.json"}
