"""The metric `example`: how many words a response has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import judgekit


class ExampleOptions(judgekit.Options):
    """`most`: longer responses count as so many words."""

    most: int = 500


class ExampleMetric(judgekit.Metric):
    """The words of a response."""

    Options: ClassVar[type[judgekit.Options]] = ExampleOptions
    options: ExampleOptions
    series: ClassVar[Mapping[str, judgekit.Scale]] = {"value": judgekit.Scale(label="words", low=0, high=500)}

    def series_of(self, judged: Mapping[str, judgekit.Scale]) -> Mapping[str, judgekit.Scale]:
        return {"value": judgekit.Scale(label="words", low=0, high=self.options.most)}

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        """A row a response; one that did not come has its status, and no value."""
        for system in study.systems:
            for sample, response in study.responses(system):
                place: dict[str, Any] = {"system": system, "sample_id": sample.id, "repeat": response.repeat}
                yield judgekit.Row(metric="", **place, **self._said(response))

    def _said(self, response: judgekit.Response) -> dict[str, Any]:
        if response.status != "complete":
            return {"status": response.status}
        return {"status": "scored", "value": float(min(len(response.text.split()), self.options.most))}
