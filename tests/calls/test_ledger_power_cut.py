"""A power cut at any moment: nothing is served that was not stored, and what the disk had taken is there.

The disk is `sqlite_disk`: what SQLite wrote to it since the last fsync is lost, or there in part.
"""

import random
import sqlite3

import pytest

from judgekit.calls.ledger import Ledger
from judgekit.errors import StorageError
from judgekit.records import Reply
from sqlite_disk import faulty_disk

IDENTITY = {"class": "plugin.Backend"}


def _replies(count):
    """Small ones, and some that take several pages."""
    return {f"{number:064}": Reply(text=f"{number} " * (number * 37 % 2500)) for number in range(count)}


class Session:
    """Replies that are put one after the other; how many had been acknowledged after which event of the disk."""

    def __init__(self, path, disk, replies):
        self.path, self.disk, self.replies = path, disk, replies
        self.start = {file: file.read_bytes() for file in path.parent.glob(f"{path.name}*") if "-shm" not in file.name}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("judgekit.calls.ledger.sync_folder", disk.sync_folder)
            ledger = Ledger(path)
        with ledger:
            there = ledger.find(dict.fromkeys(replies, "[1]"))
            assert there.items() <= replies.items()
            self.acknowledged = {0: len(there)}
            for count, (key, reply) in enumerate(replies.items(), start=1):
                ledger.put(key, "[1]", IDENTITY, reply)
                self.acknowledged[len(disk.events)] = max(count, len(there))

    def durable(self, at):
        """How many replies the disk had taken for good by then."""
        synced = max((n for n in self._log_syncs() if n < at), default=0)
        return max(count for event, count in self.acknowledged.items() if event <= synced)

    def _log_syncs(self):
        return [n for n, event in enumerate(self.disk.events) if event.kind == "sync" and "-wal" in event.path.name]

    def check(self, folder, at, how, seed=0):
        """Rebuild the files in a folder as the cut left them, and open them; how many replies are there."""
        folder.mkdir()
        path = folder / self.path.name
        for file, content in self.disk.cut(at, how, self.start, seed).items():
            (folder / file.name).write_bytes(content)
        with Ledger(path) as ledger:
            there = ledger.find(dict.fromkeys(self.replies, "[1]"))
            assert there.items() <= self.replies.items(), "what is served is what was stored"
            assert list(there) == list(self.replies)[: len(there)], "no gap: the last ones are lost"
            assert len(there) >= self.durable(at)
            assert ledger.prune_damaged() == 0
            missing = self.replies.keys() - there.keys()
            for key in sorted(missing)[:3]:  # asked again
                ledger.put(key, "[1]", IDENTITY, self.replies[key])
                assert ledger.find({key: "[1]"}) == {key: self.replies[key]}
        db = sqlite3.connect(path)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
        return len(there)


@pytest.mark.parametrize("cuts", [20, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_power_cut_at_every_fsync_and_between(tmp_path, cuts):
    (tmp_path / "home").mkdir()
    with faulty_disk() as disk:
        session = Session(tmp_path / "home" / "ledger.sqlite", disk, _replies(700))
    syncs = [number for number, event in enumerate(disk.events) if event.kind == "sync"]
    assert len(syncs) > 12
    chance = random.Random(0)
    between = [chance.randrange(len(disk.events)) for _ in range(cuts)]
    moments = [(at, how) for at in syncs + between for how in ("lost", "torn")] + [(at + 1, "lost") for at in syncs]
    left = {
        (at, how): session.check(tmp_path / str(number), at, how, number) for number, (at, how) in enumerate(moments)
    }
    assert any(0 < left[at, "lost"] < left[at, "torn"] for at in syncs + between), "the cuts cut something"
    assert session.check(tmp_path / "closed", len(disk.events), "lost") == 700, "a closed ledger is on the disk"


@pytest.mark.parametrize("lives", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_cut_after_cut(tmp_path, lives):
    """Each life goes on from the files that the last cut left, recovery included."""
    chance, replies = random.Random(1), _replies(300)
    home = tmp_path / "0" / "home"
    home.mkdir(parents=True)
    for life in range(1, lives + 1):
        with faulty_disk() as disk:
            session = Session(home / "ledger.sqlite", disk, replies)
        at = chance.randrange(len(disk.events))
        session.check(tmp_path / f"check-{life}", at, "torn", life)
        home = tmp_path / str(life) / "home"
        home.mkdir(parents=True)
        for file, content in disk.cut(at, "torn", session.start, life).items():
            (home / file.name).write_bytes(content)


def test_a_power_cut_while_replies_are_deleted(tmp_path):
    path = tmp_path / "home" / "ledger.sqlite"
    path.parent.mkdir()
    replies = _replies(120)
    with faulty_disk() as disk:
        session = Session(path, disk, replies)
        before = len(disk.events)
        with Ledger(path) as ledger:
            assert ledger.prune(identity="plugin") == 120
    for number, at in enumerate(range(before, len(disk.events), 12)):
        for how in ("lost", "torn", "kept"):
            session.acknowledged = {0: 0}  # what is deleted may be gone
            assert session.check(tmp_path / f"{how}-{number}", at, how, number) in (0, 120)


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("which", ["-wal", ".sqlite"])
def test_an_fsync_that_fails_is_no_stored_reply(tmp_path, which, before, once):
    """`once`: the kernel reports a loss a single time, and the next fsync succeeds without what was lost."""
    path, replies, synced, acknowledged = tmp_path / "ledger.sqlite", _replies(800), [], []
    with Ledger(path) as ledger:
        ledger.put("first", "[1]", IDENTITY, Reply(text="7"))

    def fails(event):
        if event.kind == "sync" and event.path.name.endswith(which):
            synced.append(event)
            return len(synced) > before and (not once or len(synced) == before + 1)
        return False

    with faulty_disk() as disk:
        disk.fails = fails
        ledger = Ledger(path)
        with pytest.raises(StorageError, match="fsync failed") as caught:  # noqa: PT012
            for key, reply in replies.items():
                ledger.put(key, "[1]", IDENTITY, reply)
                acknowledged.append(key)
        with pytest.raises(StorageError, match="fsync failed"):
            ledger.put("one more", "[1]", IDENTITY, Reply())
        with pytest.raises(StorageError, match=r"fsync failed\): check it, then start") as at_the_end:
            ledger.close()
    assert caught.value.exit_code == at_the_end.value.exit_code == 6
    assert "\n" not in str(caught.value)
    assert len(acknowledged) < 256 * (before + 1)
    with Ledger(path) as ledger:
        there = ledger.find(dict.fromkeys(replies, "[1]"))
        assert there.items() <= replies.items()
        assert set(acknowledged) <= set(there), "this process did not die"
        assert ledger.find({"first": "[1]"}), "it was on the disk"


def test_an_fsync_that_fails_while_a_ledger_is_closed_or_pruned(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with faulty_disk() as disk:
        ledger = Ledger(path)
        ledger.put("a", "[1]", IDENTITY, Reply(text="7"))
        disk.fails = lambda event: event.kind == "sync"
        with pytest.raises(StorageError, match="fsync failed"):
            ledger.prune(older_than=1)
        with pytest.raises(StorageError, match="fsync failed"):
            ledger.close()
        with pytest.raises(StorageError, match="the ledger is closed"):
            ledger.find({"a": "[1]"})
    with Ledger(path) as ledger:
        assert ledger.find({"a": "[1]"})["a"].text == "7"
