"""kill -9 at random times: nothing committed is asked again, and the record's bytes are the same.

    python benchmarks/kill.py [--kills 25] [--calls 2000] [--concurrency 16] [--delay 0.005]

A command makes `calls` calls to a loopback server whose reply is a function of the request and which counts every
question. Once it runs undisturbed, for the reference bytes; then it is started and killed, in chains of up to ten
kills on one ledger, until it has been killed often enough, and each chain ends with an undisturbed start. Shown:
the output is byte-identical; no committed call was asked again; calls ≤ calls + kills · concurrency for each chain.
Ends with 1 when one of these fails.

`drill` takes any command: a function that prepares a folder and returns the command line, and where in that folder
the ledger and the output are. The default is this file's own child, a Caller that writes its replies as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))
from loopback import ChatServer, question


@dataclass(frozen=True)
class Drill:
    """What is killed. `prepare(folder, url)` sets a folder up and returns the command; the patterns are below it."""

    prepare: Callable[[Path, str], list[str]]
    ledger: str
    output: str
    calls: int
    concurrency: int

    def committed(self, folder: Path) -> set[str]:
        """The questions whose replies are in the ledger."""
        path = next(folder.glob(self.ledger), None)
        if path is None:
            return set()
        db = sqlite3.connect(path)
        try:
            rows = db.execute("SELECT request FROM replies").fetchall()
        except sqlite3.OperationalError:  # killed before the tables were made
            rows = []
        finally:
            db.close()
        requests = [json.loads(text)[1] for (text,) in rows]
        return {question(asked["messages"], asked.get("sampling", {}).get("seed")) for asked in requests}

    def result(self, folder: Path) -> bytes:
        (path,) = folder.glob(self.output)
        return path.read_bytes()


@dataclass
class Outcome:
    """One chain: how often it was killed, what it cost, and what went wrong."""

    kills: int = 0
    calls: int = 0
    repeated: int = 0
    identical: bool = False


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def finish(command: list[str]) -> float:
    """Run undisturbed; the seconds it took."""
    begun = time.monotonic()
    status = start(command).wait()
    if status:
        raise SystemExit(f"ended with {status}: {' '.join(command)}")
    return time.monotonic() - begun


def chain(drill: Drill, server: ChatServer, kills: int, horizon: float, reference: bytes) -> Outcome:
    """Start and kill on one ledger, then let it end."""
    outcome = Outcome()
    server.counts(clear=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = drill.prepare(folder, server.url)
        while outcome.kills < kills:
            process = start(command)
            try:
                process.wait(random.uniform(0, horizon))
                break  # it ended before its time came
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            outcome.kills += 1
            time.sleep(0.02)  # the server reads what the dead left in its sockets
            committed, before = drill.committed(folder), server.counts()
            finish_or_kill = [(question, before[question]) for question in committed]
            outcome.repeated += sum(count > 1 + outcome.kills for _, count in finish_or_kill)
            settled.update({question: before[question] for question in committed - settled.keys()})
        finish(command)
        after = server.counts()
        outcome.repeated += sum(after[question] != count for question, count in settled.items())
        outcome.calls = after.total()
        outcome.identical = drill.result(folder) == reference
    return outcome
