"""`judgekit data self-instruct` against a real server: the yield adds up, nothing is asked twice, and every refusal."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from json_server import Answer
from judgekit.cli import execute
from openai_fake import completion, failure
from scripted_writer import write
from tables import each

WORK = ["data", "self-instruct", "--seeds", "seeds.json", "--seed", "3", "--near", "0.9"]


def make(writer, into="made.json", *more, keep=20):
    return execute([*WORK, *writer, "--into", into, "--keep", str(keep), *more])


def items(path="made.json"):
    found: list[dict[str, Any]] = json.loads(Path(path).read_text("utf-8"))
    return found


def report(path="made.report.json"):
    found: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    return found


def test_the_yield_adds_up(here, server, writer, capsys):
    assert make(writer) == 0
    made, told = items(), report()
    assert len(made) == told["kept"] == 20
    assert told["complete"]
    assert len(server.bodies) == sum(told["calls"].values())
    rejected = told["rejected"]
    after_reading = {name: n for name, n in rejected.items() if not name.startswith(("tasks:", "examples of"))}
    assert told["written"] == 20 + sum(after_reading.values()), "every task that was written was kept or is counted"
    assert {
        "task too short",
        "task with the word 'image'",
        "task begins with punctuation",
        "kind of task not told",
        "output equals input",
        "no example in the reply",
        "only conflicting examples",
    } <= rejected.keys()
    assert {item["classification"] for item in made} == {True, False}
    assert all(item["instruction"] and item["output"] for item in made)
    assert all(item["input"] for item in made if item["classification"])
    out = capsys.readouterr().out
    assert re.search(
        r"20 kept of 20 wanted; \d+ written \(calls: \d+ for tasks, \d+ for kinds, \d+ for examples\)", out
    )
    assert f"{len(server.bodies)} calls made, 0 answered by the ledger" in out


def test_items_are_read_as_data_and_shown_again(here, server, writer):
    assert make(writer) == 0
    asked = [body["messages"][0]["content"] for body in server.bodies if "new tasks" in body["messages"][0]["content"]]
    shown = [re.findall(r"^\d\. (.*)$", text, re.MULTILINE) for text in asked]
    own, seeds = ({item["instruction"] for item in items(path)} for path in ("made.json", "seeds.json"))
    assert {len(tasks) for tasks in shown} == {8}
    assert all(set(tasks) <= seeds for tasks in shown[:8]), "nothing has been kept yet"
    assert all(len(set(tasks) & own) == 2 for tasks in shown[8:])
    assert len(shown) > 8
    from judgekit.data import read_instructions

    assert make(writer, "made.jsonl", keep=5) == 0
    read = read_instructions(Path("made.jsonl"))
    assert [item.sample.id for item in read] == [f"self-instruct-{n:05d}" for n in range(1, 6)]


def test_the_number_of_calls_under_way_changes_nothing(here, writer):
    assert make(writer, "one.json", "-j", "1", "--home", "one") == 0
    assert make(writer, "many.json", "-j", "16", "--home", "many") == 0
    assert Path("one.json").read_bytes() == Path("many.json").read_bytes()
    assert Path("one.report.json").read_bytes() == Path("many.report.json").read_bytes()
    assert execute([*WORK[:-4], "--seed", "4", *writer, "--into", "other.json", "--keep", "20"]) == 0
    assert Path("one.json").read_bytes() != Path("other.json").read_bytes()


def test_more_items_go_on_where_fewer_ended(here, server, writer):
    assert make(writer, keep=7) == 0
    few, asked = items(), len(server.bodies)
    assert make(writer) == 0
    assert items()[:7] == few
    assert make(writer, "again.json", "--home", "again") == 0
    assert len(server.bodies) - asked == 2 * asked_by("made") - asked, "what the first start asked was not asked again"


def asked_by(name):
    calls: dict[str, int] = report(f"{name}.report.json")["calls"]
    return sum(calls.values())


def test_killed_at_any_time_the_same_command_goes_on(here, server, writer, monkeypatch):
    """kill -9: no committed call is made again, and the bytes are those of an uninterrupted run."""
    assert make(writer, "whole.json", "--home", "whole") == 0
    whole = len(server.bodies)
    server.calls.clear()
    server._function = lambda body: Answer(completion(write(body)).body, pause=0.03)
    command = [sys.executable, "-m", "judgekit", *WORK, *writer, "--into", "made.json", "--keep", "20", "-j", "2"]
    luck, kills = random.Random(1), 0
    while kills < 3:
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        before = len(server.bodies)
        while len(server.bodies) < before + luck.randrange(3, 25) and process.poll() is None:
            time.sleep(0.01)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills >= 3
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path("made.json").read_bytes() == Path("whole.json").read_bytes()
    assert Path("made.report.json").read_bytes() == Path("whole.report.json").read_bytes()
    assert len(server.bodies) <= whole + 2 * kills, "at most the two calls under way at each kill were lost"
    server.calls.clear()
    assert make(writer) == 0
    assert server.bodies == []


def test_a_budget_ends_it_early_and_the_same_command_goes_on(here, server, writer, capsys):
    assert make(writer, "whole.json", "--home", "whole") == 0
    server.calls.clear()
    capsys.readouterr()
    kept = []
    for _ in range(30):
        calls = len(server.bodies)
        code = make(writer, "made.json", "--budget", "calls=25")
        assert len(server.bodies) - calls <= 25
        kept.append(len(items()))
        if code == 0:
            break
        out = capsys.readouterr().out
        assert code == 3
        assert "INCOMPLETE: the budget of 25 calls does not allow another call" in out
        assert "with the same budget again or a larger one" in out
        assert items() == items("whole.json")[: len(items())]
        assert report()["stopped"]
    assert kept == sorted(kept)
    assert kept[-1] == 20
    assert len(kept) > 2
    assert Path("made.json").read_bytes() == Path("whole.json").read_bytes()


def test_a_budget_in_money_needs_the_price(here, writer, capsys):
    assert make(writer, "made.json", "--budget", "usd=1") == 2
    assert "what this costs is not known: add price" in capsys.readouterr().err
    price = ["--set", "price.input=1000", "--set", "price.output=1000"]
    assert make(writer, "made.json", "--budget", "usd=2", *price) == 3
    assert "the budget of $2.00 does not allow another call" in capsys.readouterr().out
    assert make(writer, "made.json", "--budget", "cals=1") == 2
    assert "unknown key 'budget.cals'; did you mean 'calls'?" in capsys.readouterr().err


def test_a_failed_call_ends_it_or_is_left_out(here, server, writer, capsys):
    asked: list[str] = []

    def one_in_nine(body):
        asked.append(body["messages"][0]["content"])
        return failure(500, "out of order") if len(asked) % 9 == 0 else write(body)

    server._function = one_in_nine
    assert make(writer, "made.json", "-j", "1") == 3
    out = capsys.readouterr().out
    assert "INCOMPLETE" in out
    assert "out of order" in out
    assert "The same command goes on from there." in out
    assert make(writer, "made.json", "-j", "1", "--skip-failed") == 0
    assert report()["rejected"].keys() & {"tasks: reply missing", "example: reply missing", "kind of task not told"}


def test_too_few_in_all_tries(here, server, writer, capsys):
    server._function = lambda body: "I do not feel like it."
    assert make(writer, "made.json", "--tries", "11") == 3
    out = capsys.readouterr().out
    assert "INCOMPLETE: too few were kept" in out
    assert "0 kept of 20 wanted; 0 written (calls: 11 for tasks" in out
    assert "11 left out: tasks: no numbered task in the reply" in out
    assert items() == []


def test_offline_it_is_made_of_the_ledger_alone(here, server, writer, capsys):
    assert make(writer, "made.json", "--offline") == 3
    assert "offline: no reply" in capsys.readouterr().err
    assert make(writer, keep=5) == 0
    server.calls.clear()
    assert make(writer, "copy.json", "--offline", keep=5) == 0
    assert Path("copy.json").read_bytes() == Path("made.json").read_bytes()
    assert server.bodies == []


# --- what is refused --------------------------------------------------------------------------------------------------


@each(
    ("", "seeds.json: is empty"),
    ("[]", "has no items"),
    ('[{"input": "x"}]', "item 1: no 'instruction'"),
    ('[{"instruction": "Do."}]', "no seed has an output"),
)
def test_bad_seeds(content, said, here, writer, capsys):
    Path("seeds.json").write_text(content)
    assert make(writer) == 2
    assert said in capsys.readouterr().err
    assert not Path("made.json").exists()


@each(
    (["--keep", "0"], "0 is not in the range x>=1"),
    (["--backend", "opnai"], "no backend is named 'opnai'; did you mean 'openai'?"),
    (["--set", "modl=m"], "unknown key '--set.modl'; did you mean 'model'?"),
    (["--set", "temperature=hot"], "--set.temperature"),
    (["--set", "model"], "write it as key.path=value"),
    (["--words", "9", "4"], "no task has at least 9 and at most 4"),
    (["--into", "made.txt"], "ends in .json or .jsonl"),
    (["--seeds", "none.json"], "no such file"),
)
def test_bad_options(more, said, here, writer, capsys):
    assert execute([*WORK, *writer, "--into", "made.json", *more]) == 2
    assert said in capsys.readouterr().err
    assert not Path("made.json").exists()


def test_a_server_that_is_down_is_exit_code_4(here, capsys):
    nobody = ["--backend", "openai", "--set", "model=m", "--set", "base_url=http://127.0.0.1:9/v1"]
    assert make(nobody) == 4
    assert "127.0.0.1:9" in capsys.readouterr().err


def test_a_file_that_is_not_ours_stays(here, writer, capsys):
    Path("made.json").write_text("precious")
    assert make(writer) == 2
    assert "made.json: is there already, and was not made by this command" in capsys.readouterr().err
    assert Path("made.json").read_text() == "precious"
    Path("made.json").unlink()
    assert make(writer, keep=3) == 0
    was = Path("made.json").read_bytes()
    assert make(writer, "made.json", "--wanted", "5") == 2
    assert "was made by other work (another wanted)" in capsys.readouterr().err
    assert Path("made.json").read_bytes() == was


def test_what_an_earlier_start_made_is_not_cut_short(here, writer, capsys):
    assert make(writer, keep=9) == 0
    was = Path("made.json").read_bytes()
    assert make(writer, "made.json", "--home", "empty", "--budget", "calls=3") == 3
    assert "made.json stays as it is" in capsys.readouterr().out
    assert Path("made.json").read_bytes() == was


def test_ctrl_c_keeps_what_there_is(here, server, writer):
    assert make(writer, "whole.json", "--home", "whole") == 0
    most = sum(report("whole.report.json")["calls"].values()) * 4 // 5  # within the second of two batches
    server.calls.clear()
    server._function = lambda body: Answer(completion(write(body)).body, pause=0.02)
    command = [sys.executable, "-m", "judgekit", *WORK, *writer, "--into", "made.json", "--keep", "20", "-j", "2"]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while len(server.bodies) < most:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"every reply so far is in the ledger: the same command goes on from there" in err
    assert items() == items("whole.json")[: len(items())]
    assert items()
    assert make(writer) == 0
    assert Path("made.json").read_bytes() == Path("whole.json").read_bytes()
