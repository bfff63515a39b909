"""What is put is got: whole, once, by anyone, and never an error as an answer."""

import sqlite3
import time
from functools import partial

import pytest

from judgekit.calls.ledger import Ledger
from judgekit.errors import StorageError, UsageError
from judgekit.records import Continuation, Reply, Usage
from judgekit.secrets import Secret

IDENTITY = {"class": "plugin.Backend", "model": "m"}


REPLIES = [
    Reply(text="85", usage=Usage(prompt_tokens=12, completion_tokens=1)),
    Reply(text="cut o", status="truncated", detail="length"),
    Reply(text="", status="refused", detail="content filter"),
    Reply(text="lone \ud83d and \u0000 and ü", reasoning="because\n", notes=("temperature dropped",)),
    Reply(continuations=(Continuation(token_logprobs=(-0.1, -1e-300)), Continuation(token_logprobs=()))),
    Reply(),
]


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_comes_back_whole_also_after_reopening(ledger, reply):
    assert ledger.put("k", "[1]", IDENTITY, reply) is reply
    assert ledger.find({"k": "[1]"}).get("k") == reply
    assert ledger.find({"l": "[1]"}).get("l") is None
    ledger.close()
    with Ledger(ledger.path) as again:
        assert again.find({"k": "[1]"}).get("k") == reply


def test_neither_an_error_nor_nan_is_stored_as_an_answer(ledger):
    bad = Reply(continuations=(Continuation.model_construct(token_logprobs=(float("nan"),)),))
    for reply, said in ((Reply(status="error"), "not a reply"), (bad, "not JSON compliant")):
        with pytest.raises(ValueError, match=said):
            ledger.put("k", "[1]", IDENTITY, reply)
        ledger.log_error("k", IDENTITY, "connection lost")
        assert ledger.find({"k": "[1]"}).get("k") is None
    assert (ledger.stats().entries, ledger.stats().errors) == (0, 2)


def test_the_first_reply_stays_and_only_an_incomplete_one_gives_way_when_told(ledger):
    cut, whole = Reply(text="cu", status="truncated"), Reply(text="whole")
    for reply, replace, kept in ((cut, False, cut), (whole, False, cut), (whole, True, whole), (cut, True, whole)):
        assert ledger.put("k", "[1]", IDENTITY, reply, replace=replace) == kept == ledger.find({"k": "[1]"}).get("k")
    assert ledger.put("k", "[1]", IDENTITY, Reply(text="second"), replace=True) == whole
    assert ledger.stats().by_status == {"complete": 1}


def test_a_secret_is_scrubbed_and_everyone_sees_the_same(ledger):
    Secret("sk-ledger-canary-1")
    returned = ledger.put("k", "[1]", IDENTITY, Reply(text="key: sk-ledger-canary-1", detail="sk-ledger-canary-1"))
    assert returned == Reply(text="key: [secret]", detail="[secret]") == ledger.find({"k": "[1]"}).get("k")
    ledger.log_error("k", IDENTITY, "echo sk-ledger-canary-1")
    ledger.close()
    for file in ledger.path.parent.iterdir():
        assert b"canary" not in file.read_bytes()


def test_stats_count_by_status_and_backend(ledger):
    assert ledger.stats().entries == 0
    ledger.put("a", "[1]", IDENTITY, Reply(text="85"))
    ledger.put("b", "[2]", IDENTITY, Reply(status="refused"))
    ledger.put("c", "[3]", {"class": "other"}, Reply(text="1"))
    stats = ledger.stats()
    assert stats.entries == 3
    assert stats.by_status == {"complete": 2, "refused": 1}
    assert stats.by_identity == {'{"class":"plugin.Backend","model":"m"}': 2, '{"class":"other"}': 1}
    assert stats.bytes >= ledger.path.stat().st_size > 0


def _age(ledger, key, days):
    other = sqlite3.connect(ledger.path)
    with other:
        other.execute("UPDATE replies SET created_at = ? WHERE key = ?", (time.time() - days * 86400, key))
    other.close()


def test_prune_by_age_and_by_backend(ledger):
    for key, identity in (("a", IDENTITY), ("b", IDENTITY), ("c", {"class": "other"})):
        ledger.put(key, "[1]", identity, Reply(text="x" * 10_000))
    ledger.log_error("d", IDENTITY, "lost")
    _age(ledger, "a", 40)
    _age(ledger, "c", 40)
    with pytest.raises(UsageError, match="say what to prune"):
        ledger.prune()
    assert ledger.prune(older_than=30, identity="plugin.Backend") == 1
    assert [ledger.find({key: "[1]"}).get(key) is None for key in "abc"] == [True, False, False]
    assert ledger.prune(older_than=30) == 1
    assert ledger.prune(older_than=30) == 0
    assert ledger.stats().errors == 1
    before = ledger.stats().bytes
    assert ledger.prune(identity="plugin") == 1
    assert (ledger.stats().entries, ledger.stats().errors) == (0, 0)
    assert ledger.stats().bytes < before
    ledger.put("b", "[1]", IDENTITY, Reply(text="again"))
    assert ledger.find({"b": "[1]"}).get("b") == Reply(text="again")


def test_a_closed_ledger_says_so_and_leaves_no_file_of_sqlite(ledger):
    ledger.put("k", "[1]", IDENTITY, Reply(text="85"))
    ledger.close()
    ledger.close()
    put = partial(ledger.put, "k", "[1]", IDENTITY, Reply())
    for call in (partial(ledger.find, {"k": "[1]"}), put, ledger.stats):
        with pytest.raises(StorageError, match="closed"):
            call()
    assert {file.name for file in ledger.path.parent.iterdir()} == {"ledger.sqlite", "ledger.sqlite-leases"}


def test_many_calls_are_found_in_one_read(ledger, monkeypatch):
    for key in ("a", "b", "c"):
        ledger.put(key, "[1]", IDENTITY, Reply(text=key))
    reads = []
    read = ledger._read
    monkeypatch.setattr(ledger, "_read", lambda sql, values=(): reads.append(sql) or read(sql, values))
    found = ledger.find({"a": "[1]", "b": "[1]", "missing": "[1]"})
    assert found == {"a": Reply(text="a"), "b": Reply(text="b")}
    assert ledger.find({}) == {}
    assert len(reads) == 2
    with pytest.raises(StorageError, match="is damaged"):
        ledger.find({"a": "[1]", "b": "[2]"})
