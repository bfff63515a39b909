"""The way of one sample through `pipeline.generate`: the rooms of judgekit that it enters, in order.

python tests/house/sample_path.py
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import judgekit
from judgekit.calls.ledger import Ledger
from judgekit.calls.session import Session
from judgekit.config.blocks import RunConfig
from judgekit.pipeline.generate import generate
from judgekit.pipeline.prepare import prepare
from judgekit.plugins import build_manager
from judgekit.testing import ParrotPlugin
from judgekit_threads.executor import Threads

CORE = Path(judgekit.__file__).parent


def room_of(file: str) -> str:
    """The package of judgekit that a file belongs to; "" for the kernel, the parrot's and everything else."""
    path = Path(file)
    inside = path.relative_to(CORE).parts if path.is_relative_to(CORE) else ()
    return inside[0] if len(inside) > 1 and inside[0] != "testing" else ""


def returns(rooms: Sequence[str]) -> int:
    """How often a room is entered that was left before."""
    return len(rooms) - len(set(rooms))


def sample_path(folder: Path) -> tuple[str, ...]:
    """The rooms that one sample enters on its way to its response, in this thread and then in the one that sends."""
    (folder / "items.json").write_text('[{"instruction": "Say a word.", "output": "word"}]')
    config = RunConfig.model_validate(
        {
            "name": "one",
            "data": {"path": "items.json"},
            "models": {"one": {"backend": "parrot"}},
            "metrics": {"exact": {"type": "exact_match"}},
            "reports": ["json"],
        }
    )
    manager = build_manager(only=("datasets", "json", "metrics"), extra=[ParrotPlugin()])
    prepared = prepare(config, folder, manager, folder)
    entered: list[str] = []

    def follow(frame: FrameType, event: str, _: Any) -> None:
        room = room_of(frame.f_code.co_filename) if event == "call" else ""
        if room and (not entered or entered[-1] != room):
            entered.append(room)

    with Ledger(folder / "ledger.sqlite") as ledger, Session(ledger, Threads(1), jobs=1) as session:
        caller = session.caller("models.one", prepared.models["one"], config.models["one"])
        responses = generate(prepared, "one", caller)
        threading.setprofile(follow)
        sys.setprofile(follow)
        try:
            response = next(responses)
            path = tuple(entered)  # the sending thread enters a room once more, to end
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
        assert response.status == "complete"
        assert not list(responses)
    prepared.close()
    return path


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        rooms = sample_path(Path(name))
    print(" → ".join(rooms))
    print(f"{returns(rooms)} returns to a room already left")
