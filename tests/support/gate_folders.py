"""Folders of finished runs with the scores that a test gives them, as a real run would have written them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from judgekit.files import sha256_of
from judgekit.records import Response, Row, Sample, Scale, VerdictStatus
from judgekit.results import Check, JudgeCard, RunRecord
from judgekit.run_folder import RunFolder
from judgekit.statistics.estimates import IntervalTerms, Subject, estimate
from judgekit.statistics.items import ItemTable

SCORE = Scale(label="judge score", low=0, high=100)
ERRORS = Scale(label="errors", low=0, high=10, higher_is_better=False)

Scores = dict[str, dict[str, list[Any]]]  # metric → system → one entry an item: a score, a list of repeats, or None


def samples_of(n: int) -> list[Sample]:
    return [
        Sample(id=f"s{i:03}", instruction=f"Question {i}?", reference=f"Answer {i}.", category=f"kind {i % 2}")
        for i in range(n)
    ]


def rows_of(scores: Scores, ids: list[str], missing: VerdictStatus = "unparsed") -> list[Row]:
    return [
        Row(metric=metric, system=system, sample_id=ids[i], repeat=repeat,
            status="scored" if value is not None else missing, value=value)
        for metric, systems in scores.items()
        for system, items in systems.items()
        for i, entry in enumerate(items)
        for repeat, value in enumerate(entry if isinstance(entry, list) else [entry])
    ]  # fmt: skip


def a_run(
    folder: Path,
    scores: Scores,
    *,
    scales: dict[str, Scale] | None = None,
    samples: list[Sample] | None = None,
    spec: dict[str, Any] | None = None,
    missing: VerdictStatus = "unparsed",
    card: bool | None = True,
    **changes: Any,
) -> Path:
    """A run's folder. Scores are by sorted sample id. `card`: whether the judge's card passed, None for no card.
    `changes` replace the record's fields."""
    n = max(len(items) for systems in scores.values() for items in systems.values())
    systems = tuple(dict.fromkeys(system for by_system in scores.values() for system in by_system))
    settings = {"confidence": 0.95, "interval": "auto", "cluster": None, "resamples": 499}
    tree = {
        "name": "run", "seed": 0, "data": {"loader": "instructions", "path": "x.json"}, "statistics": settings,
        "models": {system: {"backend": "gone", "temperature": 0.0} for system in systems}, "against": None,
        "judges": {"main": {"backend": "gone", "prompt": "score/grade", "temperature": 0.0}},
        "metrics": {metric: {"type": "score", "judge": "main"} for metric in scores},
    } | (spec or {})  # fmt: skip
    run, chosen = RunFolder(folder), samples if samples is not None else samples_of(n)
    files = {"samples.jsonl": run.samples.write(chosen)}
    rows = rows_of(scores, sorted(sample.id for sample in chosen), missing)
    files["rows.jsonl"] = run.rows.write(rows)
    for system in systems:
        files[f"responses/{system}.jsonl"] = run.responses(system).write(
            Response(system=system, sample_id=sample.id, text=f"{system} says {sample.id}") for sample in chosen
        )
    check = Check(name="padded", label="padding", value=1.0, passed=card, n_items=9)
    cards = () if card is None else (
        JudgeCard(judge="main", backend="gone", prompt="score/grade", reading="number", checks=(check,), passed=card),
    )  # fmt: skip
    record: dict[str, Any] = {
        "run_id": folder.name, "name": "run", "judgekit_version": "0", "status": "complete", "spec": tree,
        "inputs": {}, "plugins": (), "identities": {"judges.main": {"model": "llama3", "digest": "a" * 64}},
        "n_samples": len(chosen), "prompts": {"score/grade": "b" * 64}, "systems": systems, "cards": cards,
        "metric_judges": {metric: "main" for metric, part in tree["metrics"].items() if part["type"] == "score"},
        "files": files, "estimates": tuple(estimates_of(rows, scales or {})),
    } | changes  # fmt: skip
    run.write_record(RunRecord(**record))
    return folder


def as_if_written(folder: Path) -> None:
    """Make the rows that are there now those that the run wrote, by its record."""
    record = RunFolder(folder).record()
    files = record.files | {"rows.jsonl": sha256_of(folder / "rows.jsonl")}
    RunFolder(folder).write_record(record.model_copy(update={"files": files}))


def estimates_of(rows: list[Row], scales: dict[str, Scale]) -> list[Any]:
    tables: dict[tuple[str, str], ItemTable] = {}
    for row in rows:
        table = tables.setdefault((row.metric, row.system), ItemTable())
        table.add(row.sample_id, row.repeat, row.judge_repeat, row.value, row.status)
    return [
        made
        for (metric, system), table in tables.items()
        for made in estimate(table, Subject(metric, system, scales.get(metric, SCORE)), IntervalTerms(resamples=499))
    ]


def drawn(n: int, seed: int, mean: float = 60.0, sd: float = 20.0) -> list[float]:
    """Scores of n items, the same for the same seed."""
    import numpy as np

    return [float(x) for x in np.clip(np.random.default_rng(seed).normal(mean, sd, n), 5, 95)]


def moved(scores: list[float], change: float, seed: int, sd: float = 5.0, high: float = 100.0) -> list[float]:
    """The same items in another run: each moved by `change` and noise that averages to nothing."""
    import numpy as np

    noise = np.random.default_rng(seed).normal(0, sd, len(scores))
    changed = np.asarray(scores) + change + noise - noise.mean()
    return [float(x) for x in np.clip(changed, 0, high)]
