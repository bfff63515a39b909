"""A run over verdicts that were given elsewhere, without a model."""

from typing import Any

from pairwise_study import execute as run


def record_of(folder, path, models="one two", data_id="id", **options):
    """The record of a run over the file's verdicts alone."""
    tree: dict[str, Any] = {
        "name": "stored",
        "data": {"loader": "ids", "path": str(path), "id": data_id},
        "models": {name: {"backend": "unseen"} for name in models.split()},
        "against": models.split()[-1],
        "metrics": {"duel": {"type": "stored_pairwise", "path": str(path), **options}},
        "reports": ["json"],
        "statistics": {"resamples": 199},
    }
    return run(folder, tree).record  # type: ignore[attr-defined, no-any-return]


def values(record):
    return {one.series: one.value for one in record.estimates}
