"""Whole runs by the Batch API: real processes, real signals, one server that counts what was submitted."""

import hashlib
import json
import signal
import sqlite3
import subprocess
import time

import scoring
from judgekit.cli import execute
from openai_fake import OpenAIFake, refuse_parameter
from tables import each

CALLS = 30


def grade(body):
    """A score that only the question decides."""
    return str(hashlib.sha256(body["messages"][-1]["content"].encode()).digest()[0] % 101)


def prepare(folder, fake, **options):
    folder.mkdir(exist_ok=True)
    command = scoring.prepare(folder, fake.base_url, CALLS, 4)
    given = {"mode": "batch", "poll": 0.2} | options
    config = folder / "judgekit.yaml"
    more = ", ".join(f"{name}: {value}" for name, value in given.items())
    config.write_text(config.read_text().replace("control_items: 0}", f"control_items: 0, {more}}}"))
    return command


def record(folder):
    (path,) = folder.glob("runs/*/record.json")
    return path.read_bytes()


def started(command, fake, looks=3):
    """The run, once it has looked at its batch so many times."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while sum(call.path.startswith("/v1/batches/") for call in list(fake.calls)) < looks:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def run(command):
    """In this process, which has the libraries loaded: the exit code."""
    return execute(command[command.index("run") :])


@each("kept", "lost")
def test_killed_while_waiting_the_same_command_goes_on_with_the_same_batch(notes, tmp_path):
    with OpenAIFake(grade) as fake:
        fake.batches.held = True
        command = prepare(tmp_path / "killed", fake)
        process = started(command, fake)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if notes == "lost":  # as on another machine: the server's list is all there is
            for note in (tmp_path / "killed/home/batches").iterdir():
                note.unlink()
        fake.batches.held = False
        assert run(command) == 0
        port = int(fake.url.rpartition(":")[2])
    assert [len(lines) for lines in fake.batches.lines] == [CALLS]
    assert fake.bodies == []
    with OpenAIFake(grade, port=port) as fake:
        assert run(prepare(tmp_path / "other", fake)) == 0
    assert record(tmp_path / "killed") == record(tmp_path / "other")
    assert json.loads(record(tmp_path / "other"))["status"] == "complete"


def test_killed_before_all_replies_were_committed_nothing_is_asked_twice(tmp_path):
    """The death in the middle of the commits is played by taking half of the replies out of the ledger again."""
    with OpenAIFake(grade) as fake:
        command = prepare(tmp_path, fake)
        assert run(command) == 0
        before = record(tmp_path)
        with sqlite3.connect(tmp_path / "home/ledger.sqlite") as db:
            keys = [key for (key,) in db.execute("SELECT key FROM replies WHERE reply LIKE '%prompt_tokens%'")]
            assert len(keys) == CALLS
            db.executemany("DELETE FROM replies WHERE key = ?", [(key,) for key in keys[::2]])
        assert run(command) == 0
        assert record(tmp_path) == before
        assert len(fake.batches.created) == 1
        assert run([*command, "--fresh"]) == 0
        assert len(fake.batches.created) == 2, "a fresh run asks anew"


def test_ctrl_c_while_waiting_ends_soon_and_loses_nothing(tmp_path):
    with OpenAIFake(grade) as fake:
        fake.batches.held = True
        command = [part if part != "none" else "plain" for part in prepare(tmp_path, fake)]
        process = started(command, fake)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert time.monotonic() - start < 25
        assert "judges.main, batch batch_0000: 0/30 · validating" in err.replace("started", "0/30")
        assert "the same command goes on from there" in err
        assert "Traceback" not in err
        fake.batches.held = False
        assert run(command) == 0
    assert len(fake.batches.created) == 1


def test_what_the_model_refused_is_in_the_record_and_on_the_screen(tmp_path, capsys):
    with OpenAIFake(lambda body: refuse_parameter("seed") if "seed" in body else grade(body)) as fake:
        assert run(prepare(tmp_path, fake)) == 0
    assert json.loads(record(tmp_path))["notes"] == {"judges.main: seed was refused by the server and left out": CALLS}
    assert (
        f"note: judges.main: seed was refused by the server and left out ({CALLS} replies)" in capsys.readouterr().out
    )
    assert [len(lines) for lines in fake.batches.lines] == [CALLS, CALLS]


def test_all_that_was_not_understood_is_asked_again_in_one_batch(tmp_path):
    with OpenAIFake(lambda body: "well" if int(grade(body)) % 2 else grade(body)) as fake:
        command = prepare(tmp_path, fake)
        assert run(command) == 0
    first, *again = [len(lines) for lines in fake.batches.lines]
    assert first == CALLS
    assert len(again) == 1
    assert 0 < again[0] < CALLS


def test_a_judge_with_a_mode_of_its_own_takes_batches_too(tmp_path):
    with OpenAIFake(grade) as fake:
        command = prepare(tmp_path, fake, mode="grade", batch="true")
        config = tmp_path / "judgekit.yaml"
        config.write_text(config.read_text().replace("prompt: score/integer, ", "scale: [0, 100], "))
        assert run(command) == 0
    assert (len(fake.batches.created), fake.bodies) == (1, [])


def test_the_modes_share_the_ledger(tmp_path):
    with OpenAIFake(grade) as fake:
        assert run(prepare(tmp_path, fake)) == 0
        assert run(prepare(tmp_path, fake, mode="live")) == 0
    assert (len(fake.batches.created), fake.bodies) == (1, [])


def test_lines_that_failed_make_the_run_incomplete_and_are_asked_again(tmp_path, capsys):
    with OpenAIFake(grade) as fake:
        fake.batches.fate = lambda line: "expired" if int(grade(line["body"])) % 3 == 0 else ""
        command = prepare(tmp_path, fake)
        assert run(command) == 3
        assert "batch_expired: This request was not executed." in capsys.readouterr().out
        fake.batches.fate = lambda line: ""
        assert run(command) == 0
    first, again = (len(lines) for lines in fake.batches.lines)
    assert first == CALLS
    assert 0 < again < CALLS


def test_a_refused_batch_ends_the_run_with_the_servers_words(tmp_path, capsys):
    with OpenAIFake(grade) as fake:
        fake.batches.refusal = ("token_limit_exceeded", "Enqueued token limit reached for gpt-fake.")
        assert run(prepare(tmp_path, fake)) == 4
    words = "Enqueued token limit reached for gpt-fake.; a smaller batch_size may fit the limit"
    assert words in capsys.readouterr().err
