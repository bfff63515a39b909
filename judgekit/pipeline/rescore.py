"""A finished run → the parts of another one that judges its stored responses again. Models and data may be gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import JsonValue, ValidationError

from judgekit.config.blocks import JudgeConfig, RunConfig
from judgekit.contracts import Backend, DataLoader
from judgekit.errors import BackendError, DataError, UsageError
from judgekit.judging.planning import TASKS
from judgekit.pipeline.prepared import MAIN, DataSet, Stored
from judgekit.plugins import Catalogue
from judgekit.records import Reply, Request, Sample
from judgekit.results import RunRecord
from judgekit.run_folder import RunFolder
from judgekit.text import one_of


class StoredModel(Backend):
    """What a model said, without the model. Its identity is the one that it had."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"generate", "stored"})
    free: ClassVar[bool] = True

    def __init__(self, was: JsonValue) -> None:
        super().__init__()
        self._was = was

    def identity(self) -> dict[str, JsonValue]:
        return dict(self._was) if isinstance(self._was, dict) else {"was": self._was}

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        raise BackendError("stored responses are read from their run, and nothing else is answered")


class StoredSamples(DataLoader):
    """A run's samples. Its inputs are all that the new run reads of the old one."""

    def __init__(self, files: Sequence[Path], samples: Sequence[Sample]) -> None:
        super().__init__()
        self._files, self._samples = list(files), samples

    def inputs(self) -> list[Path]:
        return self._files

    def load(self) -> Iterator[Sample]:
        yield from self._samples


def rescored(
    folder: RunFolder, judge: str, judges: Mapping[str, JudgeConfig] | None, catalogue: Catalogue
) -> tuple[RunConfig, Stored]:
    """The config and the stored parts of a run that has `judge` judge the folder's responses again.

    `judges`: those to choose from; None: the run's own. Metrics that ask no judge are left out. Raises DataError,
    UsageError: no such judge, no metric that asks one, a record of a config that is not understood any more.
    """
    record = folder.view().record
    config = spec_of(record, folder)
    known = config.judges if judges is None else judges
    if judge not in known:
        raise UsageError(f"no judge is named {judge!r}{one_of(judge, known)}")
    metrics = {
        name: metric.model_copy(update={"judge": judge})
        for name, metric in config.metrics.items()
        if catalogue.get("metrics", metric.type).needs & set(TASKS)
    }
    if not metrics:
        raise UsageError(f"{record.run_id} has no metric that asks a judge")
    asked = {name: known[name] for name in (*(known[judge].panel or ()), judge) if name in known}
    changes = {"judges": asked, "metrics": metrics, "train": {}, "labels": None, "gate": None}
    return config.model_copy(update=changes), _stored(record, folder, list(metrics))


def spec_of(record: RunRecord, folder: RunFolder) -> RunConfig:
    """The config that a record keeps, systems and metrics in the config's order (a record's keys are sorted).

    Raises DataError where it is not understood any more.
    """
    try:
        config = RunConfig.model_validate(record.spec)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise DataError(f"its config is not understood any more: {where}: {problem['msg']}", path=folder.path) from None
    metrics = dict.fromkeys([*(estimate.metric for estimate in record.estimates), *config.metrics])
    return config.model_copy(
        update={
            "models": {name: config.models[name] for name in record.systems},
            "metrics": {name: config.metrics[name] for name in metrics if name in config.metrics},
        }
    )


def _stored(record: RunRecord, folder: RunFolder, metrics: Sequence[str]) -> Stored:
    """Samples by data set, and models by name. The run's own samples come first in its file."""
    samples = list(folder.samples)
    responses = [folder.responses(system).path for system in record.systems]
    files = [folder.samples.path, *(path for path in responses if path.is_file())]
    if len(files) == 1:
        raise DataError("has no stored responses", path=folder.path)
    chosen: dict[str, list[Sample]] = {MAIN: samples[: record.n_samples]}
    own = {name for name in metrics if record.part("metrics", name).get("data")}
    if own:
        ids: dict[str, set[str]] = {name: set() for name in own}
        for row in folder.rows:
            ids.get(row.metric, set()).add(row.sample_id)
        chosen |= {name: [sample for sample in samples if sample.id in judged] for name, judged in ids.items()}
    return Stored(
        run=folder,
        datasets={name: DataSet(name, StoredSamples(files, mine), tuple(mine)) for name, mine in chosen.items()},
        models={system: StoredModel(record.identities.get(f"models.{system}")) for system in record.systems},
    )
