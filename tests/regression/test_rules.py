"""A gate's thresholds: what no score can meet or miss is refused, with the metric and the kind."""

import pytest

from judgekit.errors import ConfigError
from judgekit.records import Scale
from judgekit.regression.rules import check_threshold

SCALES = {"score": Scale(label="score", low=0, high=100), "share": Scale(label="share", low=0, high=1, unit="%")}


@pytest.mark.parametrize(
    ("scale", "kind", "threshold", "good"),
    [
        ("score", "margin", 99.9, True), ("score", "margin", 100, False), ("score", "min", 0, True),
        ("score", "min", 100, True), ("score", "min", -1, False), ("score", "max", 101, False),
        ("share", "margin", 0.03, True), ("share", "margin", 3, False), ("share", "min", 60, False),
    ],
)  # fmt: skip
def test_a_threshold_lies_on_the_scale(scale, kind, threshold, good):
    if good:
        check_threshold("quality", kind, threshold, SCALES[scale])
        return
    with pytest.raises(ConfigError, match=rf"quality.*{kind}") as caught:
        check_threshold("quality", kind, threshold, SCALES[scale])
    assert (" % " in f"{caught.value} ") == (scale == "share"), "shares have a hint"
