"""A training of a run: timed beside its checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import judgekit
import judgekit.data
from judgekit.pipeline.train import PlannedTraining, speed, train
from report_pages import report_of
from sample_run import sample_run


class _Slow(judgekit.Trainer):
    """Learns from a hundred tokens in no less than a twentieth of a second."""

    def inputs(self) -> list[Path]:
        return []

    def train(self, into: Path, progress: Callable[[int, int, str], None]) -> None:
        time.sleep(0.05)
        points = [
            judgekit.data.CurvePoint(step=n, split="train", loss=1.0, measures={"tokens": 50.0 * n}) for n in (1, 2)
        ]
        (into / "training.jsonl").write_text("\n".join(point.model_dump_json() for point in points))


def test_a_trainings_speed_is_timed_beside_its_checkpoint_and_shown(tmp_path: Path) -> None:
    planned = PlannedTraining(
        name="sft", kind="slow", key="abc", folder=tmp_path / "sft-abc", trainer=_Slow(), inputs={}
    )
    made = train(planned, lambda done, total, note: None)
    measured = speed(planned, made)
    assert measured is not None
    assert 100 < measured <= 2000
    assert [path.name for path in planned.folder.iterdir()] == ["training.jsonl"], "equal trainings, equal folders"
    assert speed(planned, train(planned, lambda done, total, note: None)) == measured, "it is not timed when found"
    view = replace(sample_run(4, trainings=(made,)), speeds={"sft": 12345.6})
    assert "tokens/s 12,346, evaluations included" in report_of(view).text
    assert "tokens/s" not in report_of(replace(view, speeds=None)).text
