"""A finished run → its reports. Made from the files of the run alone, so they can be remade without a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pluggy

from judgekit.errors import PluginError
from judgekit.folder import RunFolder, write_atomically
from judgekit.plugins import Catalogue
from judgekit.records import Section


def write_reports(folder: RunFolder, names: Sequence[str], manager: pluggy.PluginManager) -> list[Path]:
    """Render the named reports into the run's folder; returns the files, in the reporters' order.

    Raises PluginError for an unknown reporter, or one that names a file outside the folder; StorageError.
    """
    catalogue = Catalogue(manager)
    reporters = {name: catalogue.get("reporters", name) for name in names}
    view = folder.view()
    sections: list[Section] = [
        section for found in manager.hook.judgekit_report_sections(run=view) for section in found
    ]
    written = []
    for name, reporter in reporters.items():
        for file, content in reporter(view, sections).items():
            relative = PurePosixPath(file)
            if relative.is_absolute() or ".." in relative.parts:
                raise PluginError(f"reporter {name!r} wants to write {file!r}, outside the run's folder")
            write_atomically(folder.path / relative, content)
            written.append(folder.path / relative)
    return written
