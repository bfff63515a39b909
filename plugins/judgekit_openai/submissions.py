"""Notes on disk about batches under way, beside the ledger: the calls in each batch.

A note is written before anything is sent, so that after a kill at any moment the calls that are still open lead to
the batch that they are in, also where other calls of that batch are answered already. Without the notes (another
machine, a lost folder) a batch is still found by the digest of its content, if the same calls are open again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import judgekit
from judgekit_openai.chat import Wording

_KEPT = 31 * 86400  # seconds: servers keep results for 30 days
_LEFTOVER = 86400  # seconds after which a killed run's working folder goes


@dataclass(frozen=True)
class Submission:
    """A batch as we sent it: the names of its calls and how they were worded; `file` and `batch` once they have ids."""

    digest: str
    names: tuple[str, ...]
    wording: Wording
    file: str = ""
    batch: str = ""


class Submissions:
    """The notes in a folder; none are kept without one."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._tidy(folder)

    def open_ones(self, wanted: Container[str]) -> Iterator[Submission]:
        """The notes that hold a wanted call, the oldest first."""
        notes = sorted(self.folder.glob("*.json"), key=lambda note: note.stat().st_mtime) if self.folder else []
        for note in notes:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # a damaged note is skipped
                sent = _read(json.loads(note.read_text("ascii")))
                if any(name in wanted for name in sent.names):
                    yield sent

    def save(self, sent: Submission) -> None:
        if self.folder is None:
            return
        wording = {**asdict(sent.wording), "left_out": sorted(sent.wording.left_out)}
        text = json.dumps({**asdict(sent), "wording": wording})
        judgekit.write_atomically(self._note(sent.digest), text.encode("ascii"))

    def forget(self, sent: Submission) -> None:
        if self.folder is not None:
            self._note(sent.digest).unlink(missing_ok=True)

    def _note(self, digest: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{digest}.json"

    def _tidy(self, folder: Path) -> None:
        now = time.time()
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                age = now - path.stat().st_mtime
                if path.is_dir() and age > _LEFTOVER:
                    shutil.rmtree(path, ignore_errors=True)
                elif path.is_file() and age > _KEPT:
                    path.unlink()


def _read(tree: Any) -> Submission:
    wording = tree["wording"]
    return Submission(
        digest=str(tree["digest"]),
        names=tuple(map(str, tree["names"])),
        wording=Wording(cap=wording["cap"], form=wording["form"], left_out=frozenset(wording["left_out"])),
        file=str(tree["file"]),
        batch=str(tree["batch"]),
    )
