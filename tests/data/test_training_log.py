"""What a trainer writes for the core to read: the curve, the samples, and what is said of the data."""

import pytest

from judgekit.data.training_log import CURVE, SAMPLES, SUMMARY, TrainingLog
from judgekit.errors import StorageError
from judgekit.results import CurvePoint, TrainingSample


def test_a_log_goes_back_or_is_left_alone(tmp_path):
    log = TrainingLog(tmp_path)
    assert log.lengths() == {CURVE: 0, SAMPLES: 0}
    points = [CurvePoint(step=step, split="train", loss=1 / step) for step in (1, 2)]
    log.add(points[0])
    kept = log.lengths()
    log.add(TrainingSample(step=1, prompt="안녕?", text="네.", reference=None))
    log.add(points[1])
    assert [CurvePoint.model_validate_json(line) for line in (tmp_path / CURVE).read_text().splitlines()] == points
    assert log.cut(kept)
    assert log.lengths() == kept == {CURVE: (tmp_path / CURVE).stat().st_size, SAMPLES: 0}
    assert (tmp_path / CURVE).read_text() == points[0].model_dump_json() + "\n"
    log.add(CurvePoint(step=1, split="train", loss=1.0))
    before = log.lengths()
    assert not log.cut({CURVE: 1, SAMPLES: 1})
    assert log.lengths() == before
    log.clear()
    assert log.lengths() == {CURVE: 0, SAMPLES: 0}
    TrainingLog(tmp_path).sum_up({})
    assert not (tmp_path / SUMMARY).exists()
    TrainingLog(tmp_path).sum_up({"learnt": 3})
    assert (tmp_path / SUMMARY).read_text() == '{"learnt": 3}\n'
    with pytest.raises(StorageError, match=r"training.jsonl: cannot be written: No such file"):
        TrainingLog(tmp_path / "nowhere").add(CurvePoint(step=1, split="train", loss=1.0))
