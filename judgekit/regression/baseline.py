"""A baseline: a run's item scores and the fingerprints of its instrument, in a small file that later runs are gated by.

It holds no text of a sample, a response or a verdict. Keys are sorted and numbers have nine digits, so that equal
scores give equal bytes and a diff shows the items that moved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, JsonValue

from judgekit.data.lineage import judges_of
from judgekit.errors import DataError, IncompleteError
from judgekit.files import damage, ordinary, write_atomically
from judgekit.records import Finite, Noun, Sample, Scale, VerdictStatus
from judgekit.results import JUDGE_PROMPTS, RunRecord, RunView
from judgekit.run_folder import RECORD, RunFolder
from judgekit.statistics.item_tables import item_tables, rounded, scales_of, unpaired

if TYPE_CHECKING:
    from judgekit.statistics.items import ItemTable

SCHEMA = 1
LONGEST = 80  # characters of a fingerprint that is shown as it is; a longer one is shown as its hash
MAIN_PROMPTS = "instruct/"  # prompts of the systems, which are not part of the instrument
SAMPLING = ("temperature", "top_p", "top_k", "seed", "max_new_tokens", "stop")
TASK = ("mode", "prompt", "scale", "rubric", "criterion", "steps", "criteria", "weights", "floor", "panel", "combine")
GRADING = (*TASK, *SAMPLING)  # keys of a judge's part of the config: with those of its identity, the instrument
NOT_MEASURING = {"judge", "models", "data", "labels", "path"}  # keys of a metric that do not change its scale


class Scores(Noun):
    """One system's item scores: the mean over its repeats, None where nothing was scored.

    `missing`: of items that lack verdicts, the mean with these at the scale's low and at its high end. `noise`: the
    variance of one generation or judgement around its item, where repeats can tell. `answered_by` fingerprints the
    system. An item that the metric skipped, or whose want of a verdict the config accepts, is not in it; `accepted`
    names the latter.
    """

    items: dict[str, Finite | None]
    missing: dict[str, tuple[Finite, Finite]] = Field(default_factory=dict)
    counts: dict[VerdictStatus, int] = Field(default_factory=dict)
    repeats: int = 1
    noise: dict[str, Finite] = Field(default_factory=dict)
    answered_by: dict[str, str] = Field(default_factory=dict)
    accepted: tuple[str, ...] = ()

    @property
    def scored(self) -> dict[str, float]:
        return {sample_id: value for sample_id, value in self.items.items() if value is not None}

    @property
    def mean(self) -> float | None:
        values = self.scored.values()
        return sum(values) / len(values) if values else None


class Sheet(Noun):
    """One metric: its scale, instrument and samples, and the scores by system ("tuned", or "tuned vs base")."""

    scale: Scale
    instrument: dict[str, str]
    dataset: str
    n_samples: int
    systems: dict[str, Scores]
    unpaired: str = Field("", exclude=True)  # why its headline cannot be paired by item; never in a file


class Baseline(Noun):
    """Item scores of one run, by metric. `kind` marks the file."""

    kind: Literal["judgekit baseline"] = "judgekit baseline"
    schema_version: int = SCHEMA
    run_id: str
    name: str
    judgekit_version: str
    metrics: dict[str, Sheet]


def system_key(system: str, opponent: str | None) -> str:
    return f"{system} vs {opponent}" if opponent else system


def open_run(path: Path) -> RunFolder:
    """The run of a folder, or of the record.json in it. Raises DataError."""
    folder = RunFolder(path.parent if path.name == RECORD else path)
    if path.is_file() and path.name != RECORD:
        raise DataError("is not a run: name a folder runs/<id>, or the record.json in it", path=path)
    return folder


# --- from a run -------------------------------------------------------------------------------------------------------


def baseline_of(view: RunView) -> Baseline:
    """The item scores of a finished run, complete or not. Raises DataError for damaged rows."""
    record = view.record
    scales = scales_of(record)
    tables, used = item_tables(view.rows, scales, accepted_by(record))
    left = _left_out(view)
    samples = list(view.samples)
    whys, sheets = unpaired(record, tables), {}
    for metric, scale in scales.items():
        chosen = samples_of(record, metric, samples, used.get(metric, set()))
        sheets[metric] = Sheet(
            scale=scale,
            instrument=instrument(record, metric),
            dataset=dataset_hash(chosen),
            n_samples=len(chosen),
            systems={
                system_key(system, opponent): scores_of(
                    table, scale, answered_by(record, system), left.get((name, system, opponent), set())
                )
                for (name, system, opponent), table in tables.items()
                if name == metric
            },
            unpaired=whys.get(metric, ""),
        )
    for metric, sheet in sheets.items():
        _check_scale("rows.jsonl", metric, sheet)
    return Baseline(run_id=record.run_id, name=record.name, judgekit_version=record.judgekit_version, metrics=sheets)


def accepted_by(record: RunRecord) -> Collection[str]:
    """The statuses with which verdicts may stay without a score: they are left out, and hold no gate up."""
    told = record.spec.get("accept")
    return [str(status) for status in told] if isinstance(told, list) else []


def _left_out(view: RunView) -> dict[tuple[str, str, str], set[str]]:
    """The items of each place that have rows which the config accepts as they are."""
    left: dict[tuple[str, str, str], set[str]] = {}
    accepted = accepted_by(view.record)
    for row in view.rows if accepted else ():
        if row.status in accepted:
            left.setdefault(row.place, set()).add(row.sample_id)
    return left


def scores_of(table: ItemTable, scale: Scale, answered: Mapping[str, str], left: Collection[str] = ()) -> Scores:
    """The scores of one system's table. Raises DataError where a row is there twice. `left`: the items that may be left
    out of it."""
    from judgekit.statistics.repeats import components

    try:
        means = table.by_id()
        parts = components(table)
        ids = table.ids
        low, high = (table.means(end)[1] for end in (scale.low, scale.high))
    except ValueError as error:
        raise DataError(f"rows.jsonl: {error}") from None
    scored = {sample_id: rounded(mean) for sample_id, mean in means.items()}
    noise = {"generation": parts.generation, "judge": parts.judge} if parts else {}
    return Scores(
        items={sample_id: scored.get(sample_id) for sample_id in ids},
        missing={
            sample_id: (rounded(float(least)), rounded(float(most)))
            for sample_id, least, most in zip(ids, low, high, strict=True)
            if most - least > 1e-12 * (scale.high - scale.low)
        },
        counts={status: count for status, count in sorted(table.counts.items()) if count},
        repeats=max(table.repeats, 1),
        noise={name: rounded(value) for name, value in noise.items() if value is not None},
        answered_by=dict(answered),
        accepted=tuple(sorted(set(left) - set(ids))),
    )


def samples_of(record: RunRecord, metric: str, samples: Sequence[Sample], used: set[str]) -> list[Sample]:
    """The metric's samples: the run's own, which come first in their file, or those of its own data set."""
    if record.part("metrics", metric).get("data"):
        return [sample for sample in samples if sample.id in used]
    return list(samples[: record.n_samples])


def dataset_hash(samples: Iterable[Sample]) -> str:
    """sha256 over the samples by id; the same for any file, order or format.

    Metadata is left out: other fields of an item, such as the answers that are compared, are not part of the question.
    """
    digest = hashlib.sha256()
    for sample in sorted(samples, key=lambda one: one.id):
        asked = sample.model_dump(mode="json", exclude_defaults=True, exclude={"metadata"})
        digest.update(_canonical(asked).encode() + b"\n")
    return digest.hexdigest()


def sample_hash(sample: Sample) -> str:
    return dataset_hash([sample])


def instrument(record: RunRecord, metric: str) -> dict[str, str]:
    """The instrument: the metric's type and options, its judge (identity and how it grades), and their prompts."""
    part = record.part("metrics", metric)
    parts = {f"metric {key}": _shown(value) for key, value in part.items() if key not in NOT_MEASURING}
    data = part.get("data") or record.spec.get("data")
    if isinstance(data, Mapping) and data.get("shots") is not None:
        parts["shots"] = _shown(data["shots"])
    for number, name in enumerate(judges_of(record, metric)):
        judge, identity = record.part("judges", name), record.identities.get(f"judges.{name}")
        member = f" of {name}" if number else ""
        parts |= {f"judge {key}{member}": _shown(judge[key]) for key in GRADING if judge.get(key) is not None}
        if isinstance(identity, Mapping):
            served = identity.get("served")
            told = {f"served {key}": one for key, one in served.items()} if isinstance(served, Mapping) else {}
            parts |= {
                f"judge's {key}{member}": _shown(value)
                for key, value in {**identity, **told}.items()
                if key != "served"
            }
        if isinstance(own := record.identities.get(f"readings.{name}"), Mapping):
            parts |= {f"judge's {key}{member}": _shown(value) for key, value in own.items()}
    if isinstance(given := record.identities.get(f"metrics.{metric}"), Mapping):
        parts |= {f"stored judge {key}": _shown(value) for key, value in given.items()}
        parts.pop("metric judged_by", None)
    prompts = record.metric_prompts.get(metric)
    names = prompts if prompts is not None else _instrument_prompts(record, bool(judges_of(record, metric)))
    parts |= {f"prompt {name}": record.prompts[name] for name in names if name in record.prompts}
    return dict(sorted(parts.items()))


def _instrument_prompts(record: RunRecord, judged: bool) -> list[str]:
    """The prompts of a record that does not list them by metric: all but those of the systems."""
    parts = record.part("models").values()
    styles = {str(part.get("style")) for part in parts if isinstance(part, Mapping)}
    own = [name for name in record.prompts if not name.startswith(MAIN_PROMPTS) and name not in styles]
    return own if judged else [name for name in own if not name.startswith(JUDGE_PROMPTS)]


def answered_by(record: RunRecord, system: str) -> dict[str, str]:
    """A fingerprint of the system: its identity, and how it is asked. Seeds are left out: they tell repeats apart."""
    part = record.part("models", system)
    identity = record.identities.get(f"models.{system}")
    parts = {
        f"asked with {key}": _shown(part[key])
        for key in (*SAMPLING, "style")
        if key != "seed" and part.get(key) not in (None, [], ())
    }
    if isinstance(identity, Mapping):
        parts |= {str(key): _shown(value) for key, value in identity.items()}
    asked = sorted(name for name in record.prompts if name.startswith(MAIN_PROMPTS))
    return dict(sorted((parts | {f"prompt {name}": record.prompts[name] for name in asked}).items()))


def _shown(value: JsonValue) -> str:
    """A short value as it is, anything else as its hash: a baseline holds no texts."""
    text = value if isinstance(value, str) else _canonical(value)
    plain = not isinstance(value, Mapping | list) and len(text) <= LONGEST and text.isprintable()
    return text if plain else f"sha256:{hashlib.sha256(_canonical(value).encode()).hexdigest()}"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


# --- the file ---------------------------------------------------------------------------------------------------------


def write_baseline(view: RunView, path: Path) -> Baseline:
    """Write a run's baseline file, in place of an earlier one: of what can be paired; all is returned.

    Raises IncompleteError for a run that is incomplete; DataError where another kind of file is in its place.
    """
    if view.record.status == "incomplete":
        raise IncompleteError(
            f"{view.record.run_id} is incomplete, and later runs would be compared with what is there by chance: "
            "the same `judgekit run` asks for what is missing"
        )
    if path.exists():
        read_baseline(path)
    baseline = baseline_of(view)
    paired = {metric: sheet for metric, sheet in baseline.metrics.items() if not sheet.unpaired}
    if not any(scores.scored for sheet in paired.values() for scores in sheet.systems.values()):
        why = "".join(f"; {metric} {sheet.unpaired}" for metric, sheet in baseline.metrics.items() if sheet.unpaired)
        raise DataError(f"{baseline.run_id} has no scored item to compare with{why}")
    write_atomically(path, to_bytes(baseline.model_copy(update={"metrics": paired})))
    return baseline


def to_bytes(baseline: Baseline) -> bytes:
    tree = baseline.model_dump(mode="json")
    for scores in (one for sheet in tree["metrics"].values() for one in sheet["systems"].values()):
        if not scores["accepted"]:
            del scores["accepted"]
    return json.dumps(tree, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=True).encode("ascii") + b"\n"


def read_baseline(path: Path) -> Baseline:
    """Raises DataError where the file is missing, damaged, no baseline, or of a newer judgekit."""
    try:
        content = ordinary(path).read_bytes()
        tree = json.loads(content)
        if not isinstance(tree, dict) or tree.get("kind") != "judgekit baseline":
            raise DataError("is no baseline; `judgekit baseline set RUN FILE` writes one", path=path)
        version = tree.get("schema_version")
        if isinstance(version, int) and version > SCHEMA:
            raise DataError(f"written by a newer judgekit (schema {version}); update judgekit to read it", path=path)
        baseline = Baseline.model_validate_json(content, strict=True)
    except FileNotFoundError:
        raise DataError("no such file; `judgekit baseline set RUN FILE` writes one", path=path) from None
    except IsADirectoryError:
        raise DataError("is a folder; `judgekit baseline set RUN FILE` writes a baseline file", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None
    except (ValueError, RecursionError) as error:
        raise DataError(damage(error), path=path) from None
    for metric, sheet in baseline.metrics.items():
        _check_scale(path, metric, sheet)
    return baseline


def read_scores(path: Path) -> Baseline:
    """A baseline file, or the baseline that a run's folder would give. Raises DataError."""
    return baseline_of(open_run(path).view()) if path.is_dir() or path.name == RECORD else read_baseline(path)


def _check_scale(path: Path | str, metric: str, sheet: Sheet) -> None:
    low, high = sheet.scale.low, sheet.scale.high
    if not low < high:
        raise DataError(f"damaged: {metric}: a scale from {low:g} to {high:g}", path=path)
    slack = 1e-9 * (high - low)
    for system, scores in sheet.systems.items():
        for sample_id, value in scores.items.items():
            if value is not None and not low - slack <= value <= high + slack:
                raise DataError(
                    f"damaged: {metric}, {system}: {value:g} on item {sample_id!r} is off the scale {low:g} … {high:g}",
                    path=path,
                )
