"""A finished run → its reports. Made from the files of the run alone, so they can be remade without a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pluggy

from judgekit.errors import DataError, PluginError
from judgekit.files import write_atomically
from judgekit.pipeline.redact import redacted
from judgekit.plugins import Catalogue, aside
from judgekit.regression.item_scores import baseline_scores
from judgekit.results import RunView, Section
from judgekit.run_folder import BASELINE, SPEEDS, RunFolder, timed
from judgekit.statistics.scores_by_item import item_scores


@dataclass(frozen=True)
class Wishes:
    """How the reports are wanted: without texts, with charts to explore, beside which baseline file (None: the one
    that the run's folder has, if any)."""

    redact: bool = False
    interactive: bool = False
    baseline: Path | None = None


@aside()
def write_reports(
    folder: RunFolder, names: Sequence[str], manager: pluggy.PluginManager, wishes: Wishes = Wishes()
) -> list[Path]:
    """Render the named reports into the run's folder; returns the files, in the reporters' order.

    Raises PluginError for an unknown reporter, or one that names a file outside the folder; DataError for a baseline
    that cannot be read; StorageError.
    """
    catalogue = Catalogue(manager)
    reporters = {name: catalogue.get("reporters", name) for name in names}
    view = _view(folder, wishes)
    sections: list[Section] = [
        section for offered in manager.hook.judgekit_report_sections(run=view) for section in offered
    ]
    written = []
    for name, reporter in reporters.items():
        made = reporter(view, sections)
        for file, content in made.items() if isinstance(made, Mapping) else made:
            relative = PurePosixPath(file)
            if relative.is_absolute() or ".." in relative.parts:
                raise PluginError(f"reporter {name!r} wants to write {file!r}, outside the run's folder")
            write_atomically(folder.path / relative, content)
            written.append(folder.path / relative)
    return written


def in_short(written: Sequence[Path], folder: RunFolder) -> list[str]:
    """The files, those of a folder within the run's in one line."""
    said = Counter(path if path.parent == folder.path else path.parent for path in written)
    return [str(path) if count == 1 else f"{path} ({count} files)" for path, count in said.items()]


def _view(folder: RunFolder, wishes: Wishes) -> RunView:
    view = replace(folder.view(), interactive=wishes.interactive, speeds=_speeds(folder))
    kept = wishes.baseline or folder.path / BASELINE
    if wishes.baseline is not None or kept.is_file():
        view = replace(view, baseline=baseline_scores(kept))
        if wishes.baseline is not None and not _shared(view):
            raise DataError("has no item of this run's metrics and systems: nothing can have changed since", path=kept)
    return redacted(view) if wishes.redact else view


def _shared(view: RunView) -> bool:
    """Whether the run and its baseline have an item in common."""
    before = view.baseline or {}
    return any(not scores.keys().isdisjoint(before.get(place, {})) for place, scores in item_scores(view).items())


def _speeds(folder: RunFolder) -> dict[str, float]:
    speeds = timed(folder).get(SPEEDS)
    kept = speeds.items() if isinstance(speeds, dict) else ()
    return {str(name): float(speed) for name, speed in kept if isinstance(speed, int | float)}
