"""Of two processes with the same call, one waits for the other's reply."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from judgekit.calls import leases
from judgekit.calls.leases import Leases

KEYS = ["0" * 64, "f" * 64, "a" * 64]
HOLDER = """
import sys, time
from pathlib import Path
from judgekit.calls.leases import Leases
here = Leases(Path(sys.argv[1]))
print(len(here.take(sys.argv[2:])), flush=True)
time.sleep(600)
"""
ASKING = """
import os, sys, time
from pathlib import Path
import judgekit
from judgekit.calls.ledger import Ledger
from judgekit.calls.session import Session
from judgekit.records import Call, Message, Request
from judgekit_threads.executor import Threads

class Paid(judgekit.Backend):
    max_batch = int(sys.argv[2])
    def generate(self, requests):
        time.sleep(0.02)
        with open("paid", "ab", buffering=0) as file:
            file.write(b"".join(request.messages[0].content.encode() + b"\\n" for request in requests))
        return [judgekit.Reply(text=request.messages[0].content) for request in requests]

requests = [Request(messages=(Message(role="user", content=str(number)),)) for number in range(50)]
while not Path("go").exists():
    time.sleep(0.01)
with Ledger(Path("ledger.sqlite")) as ledger, Session(ledger, Threads(8), jobs=8) as session:
    caller = session.caller("models.paid", Paid(), identity="paid")
    assert [reply.text for reply in caller.calls("generate", map(Call, requests))] == [str(n) for n in range(50)]
    print(caller.counts.asked, caller.counts.from_ledger, caller.counts.failed)
"""


def test_a_lease_is_one_threads(tmp_path: Path) -> None:
    first, second = Leases(tmp_path / "leases"), Leases(tmp_path / "leases")
    assert first.take(KEYS[:2]) == set(KEYS[:2])
    assert second.take(KEYS) == {KEYS[2]}
    assert not first.take(KEYS[:1])
    second.release({KEYS[2]})
    assert not second.take(KEYS[:1]), "what has ended is none of the first one's"
    first.release(KEYS[:2])
    assert second.take(KEYS) == set(KEYS)
    assert not first.alone
    assert not second.alone
    first.close()
    assert not second.alone, "what the other one did is not known"
    third = Leases(tmp_path / "leases")
    third.close()
    second.close()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_lease_ends_with_its_holder(end: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "leases"), KEYS[0]]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "1\n"
    here = Leases(tmp_path / "leases")
    assert not here.take(KEYS[:1])
    holder.send_signal(end)
    holder.communicate()
    assert here.take(KEYS[:1]) == {KEYS[0]}
    here.close()


def test_who_is_alone(tmp_path: Path) -> None:
    first = Leases(tmp_path / "leases")
    first.close()
    second = Leases(tmp_path / "leases")
    assert second.alone, "the first one has gone before"
    Leases(tmp_path / "leases").close()
    assert not second.alone
    second.close()


def test_without_locks_everything_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "fcntl", None)
    assert Leases(tmp_path / "leases").alone
    assert Leases(tmp_path / "leases").take(KEYS) == Leases(tmp_path / "leases").take(KEYS) == set(KEYS)


@pytest.mark.parametrize("batch", [1, 7])
def test_eight_processes_pay_for_fifty_calls_once(batch: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ASKING, str(tmp_path), str(batch)]
    started = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    time.sleep(1)
    (tmp_path / "go").touch()
    said = [tuple(map(int, process.communicate(timeout=120)[0].split())) for process in started]
    assert sorted((tmp_path / "paid").read_text().split()) == sorted(map(str, range(50)))
    assert sum(asked for asked, _, _ in said) == 50
    assert {asked + found for asked, found, _ in said} == {50}
    assert {failed for _, _, failed in said} == {0}
