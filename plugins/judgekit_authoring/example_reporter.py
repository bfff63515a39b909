"""The reporter `example`: the estimates as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import judgekit


def example_report(run: judgekit.RunView, sections: Sequence[judgekit.Section]) -> Mapping[str, bytes]:
    """{"example.txt": …}: a line an estimate."""
    lines = [
        f"{one.metric} {one.series} {one.system}: {'–' if one.value is None else format(one.value, '.4g')}"
        for one in run.record.estimates
    ]
    return {"example.txt": "\n".join([*lines, ""]).encode()}
