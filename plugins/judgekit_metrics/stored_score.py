"""Scores that were given elsewhere, read from a file: `type: stored_score`. No model is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from pydantic import Field

import judgekit
from judgekit_metrics.stored_files import Entry, Stored, StoredOptions, read_entries, strangers


class StoredScoreOptions(StoredOptions):
    """`path`: CSV, TSV, JSON or JSONL, a response a row, or a JSON array of numbers; the other keys name its fields.

    `score`: the number, or the number of each system by name, where a row holds several (`{a: score_a, b: score_b}`).
    `scale`: its least and its greatest value. `id`: the sample; left out, the row's number counts from 0. `system`: the
    field that names the system, where rows are of several. `judge: {name, version, prompt}`, or `annotator`, a field:
    who gave the scores. Several judges of one file are several metrics.
    """

    scale: tuple[float, float]
    score: str | dict[str, str] = "score"
    id: str | None = None
    system: str | None = None
    names: dict[str, str] = Field(default_factory=dict)
    higher_is_better: bool = True


class StoredScore(Stored):
    """Scores that were given elsewhere, read from a file."""

    Options: ClassVar[type[judgekit.Options]] = StoredScoreOptions
    options: StoredScoreOptions
    series: ClassVar[Mapping[str, judgekit.Scale]] = {"value": judgekit.Scale(label="score", low=0, high=1)}

    def series_of(self, judged: Mapping[str, judgekit.Scale]) -> Mapping[str, judgekit.Scale]:
        low, high = self.options.scale
        better = self.options.higher_is_better
        return {"value": judgekit.Scale(label="score", low=low, high=high, higher_is_better=better)}

    def check(self, systems: Mapping[str, frozenset[str]]) -> list[str]:
        options = self.options
        problems = self.doubts("scores", options.scale)
        named = list(options.names.values()) + (list(options.score) if isinstance(options.score, dict) else [])
        problems += [f"no model is named {name!r}" for name in named if name not in systems]
        if isinstance(options.score, dict) and options.system is not None:
            problems.append("score by system and a field for the system say the same: give one")
        if options.system is None and isinstance(options.score, str) and len(systems) > 1:
            problems.append("with several systems, name the field that holds them (system), or a score for each")
        return problems

    def check_samples(self, samples: Sequence[judgekit.Sample], systems: Sequence[str], whole: bool) -> list[str]:
        known = {(system, sample_id) for system, sample_id, _ in self._scores(systems)}
        problems = strangers(list(dict.fromkeys(one for _, one in known)), samples, "scores") if whole else []
        for system in systems:
            missing = [sample.id for sample in samples if (system, sample.id) not in known]
            if missing:
                some = ", ".join(repr(one) for one in missing[:3])
                count = judgekit.counted(len(missing), "sample")
                problems.append(f"{self.options.path} has no score of {system} for {count}, such as {some}")
        return problems

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        """One row a (system, sample)."""
        verdicts = {(system, sample_id): verdict for system, sample_id, verdict in self._scores(study.systems)}
        for system in study.systems:
            for sample in study.samples:
                verdict = verdicts[system, sample.id]
                yield judgekit.Row(
                    metric="",
                    system=system,
                    sample_id=sample.id,
                    status=verdict.status,
                    value=verdict.value,
                    verdicts=(verdict,),
                )

    def _scores(self, systems: Sequence[str]) -> Iterator[tuple[str, str, judgekit.Verdict]]:
        """(system, sample id, verdict) of every row. Raises DataError with file and row."""
        options, path = self.options, self.path(self.options.path)
        fields = list(options.score.values()) if isinstance(options.score, dict) else [options.score]
        wanted = [name for name in (options.id, options.system, options.annotator, *fields) if name is not None]
        taken: dict[tuple[str, str], str] = {}
        for entry in read_entries(path, wanted):
            try:
                sample_id = entry.id(options.id)
                for system, name in self._of(entry, systems):
                    if (system, sample_id) in taken:
                        raise ValueError(
                            f"{sample_id!r} of {system} has its score already in {taken[system, sample_id]}"
                        )
                    taken[system, sample_id] = entry.place
                    yield system, sample_id, self._verdict(entry, name)
            except ValueError as error:
                raise judgekit.DataError(f"{entry.place}: {error}", path=path) from None

    def _of(self, entry: Entry, systems: Sequence[str]) -> Iterator[tuple[str, str]]:
        """(system, the field of its score) of a row."""
        options = self.options
        if isinstance(options.score, dict):
            yield from ((system, name) for system, name in options.score.items() if system in systems)
            return
        said = systems[0] if options.system is None else entry.text(options.system)
        system = options.names.get(said, said)
        if system not in systems:
            raise ValueError(f"no model is named {system!r} (there are: {', '.join(systems)})")
        yield system, options.score

    def _verdict(self, entry: Entry, name: str) -> judgekit.Verdict:
        said, (low, high) = entry.text(name), self.options.scale
        if not said:
            return judgekit.Verdict(status="unparsed", detail=f"the file has no {name!r} here")
        try:
            value = math.nan if isinstance(entry.value(name), bool) else float(said)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"the score {said!r} is no number from {low:g} to {high:g}")
        return judgekit.Verdict(status="scored", value=value, raw=said)
