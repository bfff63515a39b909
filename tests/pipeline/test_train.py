"""A training of a run: timed beside its checkpoint."""

import time
from dataclasses import replace

import judgekit
import judgekit.data
from judgekit.pipeline.train import PlannedTraining, speed, train
from judgekit_html import page
from report_pages import Reader
from sample_run import sample_run


def files(view, many=page.MANY):
    return dict(page.Report(view, [], many).files())


class _Slow(judgekit.Trainer):
    """Learns from a hundred tokens in no less than a twentieth of a second."""

    def inputs(self):
        return []

    def train(self, into, progress):
        time.sleep(0.05)
        points = [
            judgekit.data.CurvePoint(step=n, split="train", loss=1.0, measures={"tokens": 50.0 * n}) for n in (1, 2)
        ]
        (into / "training.jsonl").write_text("\n".join(point.model_dump_json() for point in points))


def test_a_trainings_speed_is_timed_beside_its_checkpoint_and_shown(tmp_path):
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
    text = Reader(files(view)["report.html"]).text
    assert "tokens/s 12,346, evaluations included" in text
    assert "tokens/s" not in Reader(files(replace(view, speeds=None))["report.html"]).text
