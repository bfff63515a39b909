"""kill -9 at random times: nothing committed is asked again, and the record's bytes are the same.

    python benchmarks/kill.py [--kills 25] [--calls 2000] [--concurrency 16] [--delay 0.005]

A command makes `calls` calls to a loopback server whose reply is a function of the request and which counts every
question. Once it runs undisturbed, for the reference bytes; then it is started and killed, in chains of up to ten
kills on one ledger, until it has been killed often enough, and each chain ends with an undisturbed start. Shown:
every file of the output is byte-identical, and none is missing or left over; no committed call was asked again;
calls ≤ calls + kills · concurrency for each chain.
Ends with 1 when one of these fails.

`drill` takes any command: a function that prepares a folder and returns the command line, and where in that folder
the ledger and the output are. The default is a whole `judgekit run`; --caller kills this file's own child instead, a
bare Caller.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
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

from judgekit.run_folder import TIMING
from judgekit.testing import ChatServer, question

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))


@dataclass(frozen=True)
class Drill:
    """What is killed. `prepare(folder, url)` sets a folder up and returns the command; the places are below it."""

    prepare: Callable[[Path, str], list[str]]
    ledger: str
    output: str
    calls: int
    concurrency: int

    def committed(self, folder: Path) -> set[str]:
        """The questions whose replies are in the ledger."""
        path = folder / self.ledger
        if not path.exists():
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

    def result(self, folder: Path) -> dict[str, str]:
        """The sha256 of every file of the output, and of every reply in the ledger."""
        files = {path.relative_to(folder).as_posix(): path for path in (folder / self.output).rglob("*")}
        result = {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in files.items()
            if path.is_file() and path.name != TIMING
        }
        with contextlib.closing(sqlite3.connect(folder / self.ledger)) as db:
            (damage,) = db.execute("PRAGMA integrity_check").fetchone()
            rows = db.execute("SELECT key, request, reply, status, checksum FROM replies ORDER BY key").fetchall()
        result["the ledger"] = hashlib.sha256(f"{damage} {rows}".encode()).hexdigest()
        return result


@dataclass(frozen=True)
class Outcome:
    """One chain: how often it was killed, what it cost, and whether it kept the promises."""

    kills: int
    calls: int
    repeated: int
    differing: list[str]  # files that are not as in the undisturbed run


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def finish(command: list[str]) -> float:
    """Run undisturbed; the seconds it took."""
    begun = time.monotonic()
    status = start(command).wait()
    if status:
        raise SystemExit(f"ended with {status}: {' '.join(command)}")
    return time.monotonic() - begun


def kill_after(command: list[str], seconds: float) -> bool:
    """Start, and kill the whole process group after so long; False if it had ended by then."""
    process = start(command)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.05)  # the server counts what the dead left in its sockets
        return True
    return False


def reference_run(drill: Drill, server: ChatServer) -> tuple[dict[str, str], float, float]:
    """(output, seconds of an undisturbed run, seconds of a second start, which must ask nothing)."""
    with tempfile.TemporaryDirectory() as name:
        server.counts(clear=True)
        command = drill.prepare(Path(name), server.url)
        cold = finish(command)
        calls = server.counts().total()
        output = drill.result(Path(name))
        warm = finish(command)
        if calls != drill.calls or server.counts().total() != calls or drill.result(Path(name)) != output:
            raise SystemExit(f"undisturbed: {calls} calls of {drill.calls}; a second start asked or changed something")
    return output, cold, warm


def chain(drill: Drill, server: ChatServer, kills: int, horizon: float, reference: dict[str, str]) -> Outcome:
    """Start and kill on one ledger, then let it end."""
    settled: dict[str, int] = {}  # committed questions, and how often they had been asked by then
    killed = 0
    server.counts(clear=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = drill.prepare(folder, server.url)
        while killed < kills and kill_after(command, random.uniform(0, horizon)):
            killed += 1
            counts = server.counts()
            settled.update({asked: counts[asked] for asked in drill.committed(folder) if asked not in settled})
        finish(command)
        after = server.counts()
        repeated = sum(after[asked] - count for asked, count in settled.items())
        result = drill.result(folder)
        differing = {name for name in result.keys() | reference.keys() if result.get(name) != reference.get(name)}
        return Outcome(killed, after.total(), repeated, sorted(differing))


def run(drill: Drill, kills: int, delay: float) -> bool:
    """Chains until it was killed `kills` times; prints every chain, and returns whether all promises were kept."""
    kept, left = True, kills
    with ChatServer(delay=delay) as server:
        reference, cold, warm = reference_run(drill, server)
        print(f"undisturbed: {drill.calls} calls in {cold:.1f} s; a second start {warm:.1f} s, 0 calls", flush=True)
        while left > 0:
            length = min(left, random.randint(1, 10))
            horizon = warm + 2 * max(cold - warm, 0.1) / (length + 1)
            outcome = chain(drill, server, length, horizon, reference)
            left -= outcome.kills
            most = drill.calls + outcome.kills * drill.concurrency
            good = not outcome.differing and outcome.repeated == 0 and outcome.calls <= most
            kept = kept and good
            print(
                f"{'good' if good else 'BAD '} {outcome.kills:2} kills: {outcome.calls} calls (at most {most}), "
                f"{outcome.repeated} committed calls repeated, {len(reference)} files compared"
                f"{', DIFFERENT: ' if outcome.differing else ''}{', '.join(outcome.differing)}",
                flush=True,
            )
    print(f"{kills} kills: {'every promise kept' if kept else 'FAILED'}")
    return kept


def run_drill(calls: int, concurrency: int) -> Drill:
    """A whole `judgekit run`: 2,000 stored responses scored, and all files of the run."""
    from scoring import prepare

    def command(folder: Path, url: str) -> list[str]:
        return prepare(folder, url, calls, concurrency)

    return Drill(command, "home/ledger.sqlite", "runs", calls, concurrency)


def caller_drill(calls: int, concurrency: int) -> Drill:
    """This file's own child: a Caller whose replies become one JSON file."""

    def prepare(folder: Path, url: str) -> list[str]:
        return [sys.executable, __file__, "--child", str(folder), url, str(calls), str(concurrency)]

    return Drill(prepare, "ledger.sqlite", "out", calls, concurrency)


def child(folder: Path, url: str, calls: int, concurrency: int) -> None:
    from throughput import Loopback, requests

    from judgekit.calls.ledger import Ledger
    from judgekit.calls.session import Session
    from judgekit.files import tidy, write_atomically
    from judgekit.records import Call
    from judgekit_threads.executor import Threads

    with (
        Ledger(folder / "ledger.sqlite") as ledger,
        Session(ledger, Threads(concurrency), jobs=concurrency) as session,
    ):
        caller = session.caller("models.loopback", Loopback(url))
        tidy(folder)
        replies = [reply.model_dump() for reply in caller.calls("generate", map(Call, requests(calls)))]
    write_atomically(folder / "out" / "replies.json", json.dumps(replies).encode("ascii"))


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--delay", type=float, default=0.005, help="seconds the server takes for a reply")
    parser.add_argument("--caller", action="store_true", help="kill a bare Caller instead of a whole run")
    parser.add_argument("--seed", type=int, help="of the times of the kills")
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    options = parser.parse_args()
    if options.smoke:
        options.kills, options.calls = 2, 200
    random.seed(options.seed)
    drill = caller_drill if options.caller else run_drill
    return 0 if run(drill(options.calls, options.concurrency), options.kills, options.delay) else 1


if __name__ == "__main__":
    sys.exit(main())
