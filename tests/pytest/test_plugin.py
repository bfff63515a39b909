"""The pytest plugin as a user meets it: real pytest sessions on a small project, with a real judge server."""

import json
from pathlib import Path

import numpy  # noqa: F401 - pytester forgets what its sessions import, and numpy cannot be imported twice
import pytest
import scipy.special  # noqa: F401
from junitparser import Error, Failure, JUnitXml

import judgekit.api
import judgekit.cli
from judgekit.plugins import build_manager
from judgekit.testing import ChatServer, closed_port, http, replies
from tables import each

pytest_plugins = ["pytester"]
build_manager()  # as above: every plugin's module stays loaded

CONFIG = """\
name: mine
data: {path: items.json}
models: {mine: {backend: responses, path: items.json}}
metrics: {exact: {type: exact_match}}
reports: [json]
"""
JUDGED = """\
name: judged
data: {path: items.json}
models: {mine: {backend: responses, path: items.json}}
judges:
  main: {backend: openai, base_url: "URL", model: m, prompt: score/integer, max_new_tokens: 8, control_items: 0,
         retries: 0, options}
metrics: {quality: {type: score, judge: main}}
reports: [json]
"""


@pytest.fixture
def project(pytester):
    """Forty items, of which twenty are answered right."""
    write_answers(pytester.path, 20)
    (pytester.path / "judgekit.yaml").write_text(CONFIG)
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider\n")
    return pytester


@pytest.fixture
def server():
    with ChatServer() as server:
        yield server


def write_answers(folder, right):
    items = [
        {"id": f"i{n}", "instruction": f"Say w{n}.", "output": f"w{n}", "model_response": f"w{n}" if n < right else "?"}
        for n in range(40)
    ]
    (folder / "items.json").write_text(json.dumps(items))


def judged(folder, url, options=""):
    text = JUDGED.replace("URL", url).replace(", options", f", {options}" if options else "")
    (folder / "judged.yaml").write_text(text)


def marked(**rules):
    listed = ", ".join(f"{key}={value!r}" for key, value in rules.items())
    return f"import pytest\n@pytest.mark.judgekit({listed})\ndef test_model(): pass\n"


def run(project, test, *args):
    """A pytest session of its own, in this process; with workers, in another."""
    project.makepyfile(test_model=test)
    return project.runpytest_subprocess(*args) if "-n" in args else project.runpytest_inprocess(*args)


# --- what a rule comes to ---------------------------------------------------------------------------------------------


def test_a_rule_that_holds_passes_and_the_body_runs(project):
    found = run(project, marked(metric="exact", min=0.2).replace("pass", "print('the body ran')"), "-s")
    found.assert_outcomes(passed=1)
    assert found.ret == 0
    found.stdout.fnmatch_lines(["*the body ran*"])


def test_a_broken_rule_fails_with_the_table_and_no_traceback(project):
    found = run(project, marked(metric="exact", min=0.9).replace("pass", "print('the body ran')"), "-s")
    found.assert_outcomes(failed=1)
    assert found.ret == 1
    found.stdout.re_match_lines([r"FAIL +exact +mine +at least 90.0 % +50.0 % +\[35\.\d %, 64\.\d %\] +40"])
    for word in ("Traceback", "judgekit_pytest/", "def test_model", "the body ran"):
        found.stdout.no_fnmatch_line(f"*{word}*")


def test_what_nobody_can_tell_is_inconclusive_and_not_green(project):
    found = run(project, marked(metric="exact", min=0.5), "--junitxml=out.xml", "-v")
    assert found.ret == 3
    found.stdout.fnmatch_lines(["*test_model INCONCLUSIVE*", "*1 inconclusive*"])
    found.stdout.fnmatch_lines(["*the limit 0.5 lies inside the interval*"])
    assert found.parseoutcomes() == {"inconclusive": 1}
    (error,) = outcomes(project)
    assert isinstance(error, Error), "in the JUnit file it is an error: a failure would claim a regression"


def test_a_failure_wins_over_what_is_inconclusive_and_other_peoples_tests_count(project):
    inconclusive = marked(metric="exact", min=0.5)
    assert run(project, inconclusive + "def test_mine(): assert 1 == 2\n").ret == 1
    assert run(project, inconclusive + "def test_mine(): assert 1 == 1\n").ret == 3


def test_worse_than_the_baseline_fails_and_another_instrument_is_an_error(project):
    make_baseline(project)
    rule = {"metric": "exact", "baseline": "baseline.json", "margin": 0.4}
    assert run(project, marked(**rule)).ret == 0
    write_answers(project.path, 1)
    found = run(project, marked(**rule), "--junitxml=out.xml")
    found.assert_outcomes(failed=1)
    found.stdout.re_match_lines([r"FAIL +exact +mine +loss under 40.0 % +-47\.5 %.*", r".*0 items better, 19 worse.*"])
    (failure,) = outcomes(project)
    assert isinstance(failure, Failure)
    baseline = json.loads((project.path / "baseline.json").read_text())
    baseline["metrics"]["exact"]["instrument"] = {"metric type": "another"}
    (project.path / "baseline.json").write_text(json.dumps(baseline))
    found = run(project, marked(**rule), "--junitxml=out.xml")
    found.assert_outcomes(errors=1)
    assert found.ret == 2
    found.stdout.fnmatch_lines(["*neither a regression nor a pass*"])
    (error,) = outcomes(project)
    assert isinstance(error, Error)


def test_a_marker_takes_baseline_and_waivers_from_the_configs_gate(project):
    make_baseline(project)
    (project.path / "judgekit.yaml").write_text(CONFIG + "gate: {baseline: baseline.json, exact: {min: 0.1}}\n")
    assert run(project, marked(metric="exact", margin=0.4)).ret == 0
    write_answers(project.path, 1)
    run(project, marked(metric="exact", margin=0.4)).assert_outcomes(failed=1)


def make_baseline(project):
    run_command(project, "run", "--progress", "none")
    (folder,) = (project.path / "runs").iterdir()
    run_command(project, "baseline", "set", str(folder), "baseline.json")


def run_command(project, *args):
    """In this process: pytester has made the project's folder the current one."""
    assert Path.cwd() == project.path
    assert judgekit.cli.execute(args) == 0


def outcomes(project):
    return [
        result for suite in JUnitXml.fromfile(str(project.path / "out.xml")) for case in suite for result in case.result
    ]


def test_without_a_rule_the_configs_own_gate_decides(project):
    (project.path / "judgekit.yaml").write_text(CONFIG + "gate: {exact: {min: 0.9}}\n")
    found = run(project, marked(config="judgekit.yaml"))
    found.assert_outcomes(failed=1)
    (project.path / "judgekit.yaml").write_text(CONFIG)
    found = run(project, marked(config="judgekit.yaml"))
    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines(["*names no rule, and the config has no gate*"])


def test_overrides_are_those_of_set(project):
    found = run(project, marked(metric="exact", min=0.9, set={"limit": 20}))
    assert found.ret == 3, "twenty of twenty right: [83.9 %, 100 %]"
    found.stdout.re_match_lines([r"INCONCLUSIVE +exact +mine .* 20"])


@each(
    ({"metrik": "exact", "min": 0.5}, "unknown argument 'metrik'; did you mean 'metric'?"),
    ({"metric": "exakt", "min": 0.5}, "no metric named 'exakt'; did you mean 'exact'?"),
    ({"config": "none.yaml", "min": 0.5}, "no such file: "),
    ({"metric": "exact"}, "a rule needs min, max, missing, or a margin"),
    ({"metric": "exact", "margin": 0.1}, "a margin needs a baseline"),
    ({"metric": "exact", "baseline": "items.json", "min": 0.1}, "a baseline needs a margin"),
    ({"metric": "exact", "baseline": "items.json", "margin": 0.4}, "is no baseline"),
    ({"metric": "exact", "min": 7}, "is off the scale"),
    ({"metric": "exact", "min": "much"}, "should be a valid number"),
    ({"metric": "exact", "min": 0.5, "system": "theirs"}, "no system named 'theirs'"),
    ({"metric": "exact", "min": 0.5, "set": 3}, "set is a dict of dotted keys"),
    ({"metric": "exact", "min": 0.5, "set": {"limt": 3}}, "unknown key 'limt'; did you mean 'limit'?"),
)
def test_a_wrong_marker_is_one_clear_error(rules, said, project):
    found = run(project, marked(**rules))
    found.assert_outcomes(errors=1)
    assert found.ret == 2
    assert said in found.stdout.str()
    assert "Traceback" not in found.stdout.str()


# --- the fixture ------------------------------------------------------------------------------------------------------

SCORED = """\
import pytest

@pytest.mark.judgekit(config="judged.yaml")
def test_answer(judgekit):
    score = judgekit.score("mice", instruction="Plural of mouse?", reference="mice")
    assert score.status == "scored" and 0 <= score <= 100 and score == score.value == float(score)
    assert score.interval.low is None and "no interval" in score.interval.note
    assert score.judge == "main" and score.scale.high == 100
    assert judgekit.score("mice", instruction="Plural of mouse?", reference="mice") == score
"""


def test_the_fixture_scores_a_string_through_the_ledger(project, server):
    judged(project.path, server.url)
    run(project, SCORED).assert_outcomes(passed=1)
    run(project, SCORED).assert_outcomes(passed=1)
    assert sum(server.counts().values()) == 1, "the second time, and the second session, are answered by the ledger"


def test_repeats_of_a_judge_that_draws_have_the_interval_of_a_rerun(project, server):
    judged(project.path, server.url, "temperature: 1, seed: 1")
    test = SCORED.replace(
        'reference="mice")\n    assert score.s', 'reference="mice", repeats=4)\n    assert score.s', 1
    )
    test = (
        test.split("    assert score.interval")[0] + "    assert score.interval.low <= score <= score.interval.high\n"
    )
    run(project, test).assert_outcomes(passed=1)
    judged(project.path, server.url)
    found = run(project, test)
    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines(["*its 4 judge repeats cannot differ at temperature 0*"])


def test_a_score_that_is_too_low_fails_and_is_shown(project, server):
    judged(project.path, server.url)
    test = SCORED.split("    assert")[0] + "    assert score >= 101\n"
    found = run(project, test)
    found.assert_outcomes(failed=1)
    found.stdout.re_match_lines([r"E +assert <\d+ by main on 0 … 100> >= 101"])
    assert found.ret == 1


def test_no_score_is_inconclusive_never_a_low_score(project):
    body = json.dumps(
        {"choices": [{"message": {"role": "assistant", "content": "well, well"}, "finish_reason": "stop"}]}
    )
    with replies(http(200, body)) as server:
        judged(project.path, f"{server.url}/v1")
        for claim in ("score >= 50", "score < 50"):
            found = run(project, SCORED.split("    assert")[0] + f"    assert {claim}\n", "--junitxml=out.xml")
            assert found.parseoutcomes() == {"inconclusive": 1}
            assert found.ret == 3
            found.stdout.fnmatch_lines(["*judge main gave no score: unparsed*"])
            (error,) = outcomes(project)
            assert isinstance(error, Error)


def test_a_judge_that_is_not_there_is_an_error_and_no_failure(project):
    judged(project.path, f"http://127.0.0.1:{closed_port()}/v1")
    for test in (SCORED, marked(config="judged.yaml", metric="quality", min=50)):
        found = run(project, test, "--junitxml=out.xml")
        found.assert_outcomes(errors=1)
        assert found.ret == 4, "judgekit's own code: no backend"
        (error,) = outcomes(project)
        assert isinstance(error, Error)
        assert "Traceback" not in found.stdout.str()


def test_an_incomplete_run_is_an_error_that_says_what_is_missing(project):
    items = json.loads((project.path / "items.json").read_text())
    del items[3]["model_response"]
    (project.path / "items.json").write_text(json.dumps(items))
    found = run(project, marked(metric="exact", min=0.2))
    found.assert_outcomes(errors=1)
    assert found.ret == 3
    found.stdout.fnmatch_lines(["*is incomplete: planned calls were not answered*", "*Ask again: judgekit run *"])


@each(
    ('judgekit.score(7, instruction="x")', "takes the answer as a text, not int"),
    ('judgekit.score("a", instruction="x", judge="mian")', "no judge is named 'mian'; did you mean 'main'?"),
    ('judgekit.score("a", instruction="x", repeats=0)', "judged once at least"),
)
def test_a_wrong_question_is_one_clear_error(call, said, project, server):
    judged(project.path, server.url)
    found = run(project, SCORED.split("    score")[0] + f"    {call}\n")
    found.assert_outcomes(errors=1)
    assert found.ret == 2
    assert said in found.stdout.str()


# --- offline, and with others -----------------------------------------------------------------------------------------


def test_offline_only_what_was_paid_for_is_green(project):
    tests = marked(config="judged.yaml", metric="quality", min=1) + SCORED.replace("import pytest", "")
    with ChatServer() as server:
        judged(project.path, server.url)
        found = run(project, tests, "--judgekit-offline")
        found.assert_outcomes(errors=2)
        assert found.ret == 3
        found.stdout.fnmatch_lines(["*offline: no reply to *", "*judgekit run judged.yaml --home .judgekit -o runs*"])
        found.stdout.fnmatch_lines(["*pytest test_model.py::test_answer *(without --judgekit-offline)*"])
        assert not server.counts(), "nobody was asked"
        run(project, tests).assert_outcomes(passed=2)
        paid = server.counts()
    run(project, tests, "--judgekit-offline").assert_outcomes(passed=2)  # the server is gone
    assert len(paid) == 41
    write_answers(project.path, 10)
    found = run(project, tests, "--judgekit-offline")
    found.assert_outcomes(errors=1, passed=1)  # other answers were never judged


def test_offline_by_the_environment(project, monkeypatch):
    judged(project.path, f"http://127.0.0.1:{closed_port()}/v1")
    monkeypatch.setenv("JUDGEKIT_OFFLINE", "1")
    assert run(project, marked(config="judged.yaml", metric="quality", min=1)).ret == 3


def test_workers_share_one_run_and_ask_nothing_twice(project, server):
    judged(project.path, server.url)
    rules = "\n".join(
        f"@pytest.mark.judgekit(config='judged.yaml', metric='quality', min={1 + n / 10})\ndef test_{n}(): pass"
        for n in range(6)
    )
    scored = "\n".join(SCORED.split("\n", 2)[2].replace("test_answer", f"test_answer_{n}") for n in range(4))
    found = run(project, f"import pytest\n{rules}\n{scored}", "-n", "2")
    found.assert_outcomes(passed=10)
    counts = server.counts()
    assert len(counts) == 41
    assert set(counts.values()) == {1}
    assert len(list((project.path / "runs").iterdir())) == 1


@pytest.mark.slow
def test_outcomes_and_exit_codes_are_the_same_among_workers(project):
    inconclusive = marked(metric="exact", min=0.5)
    found = run(project, inconclusive, "-n", "2")
    assert found.ret == 3
    assert found.parseoutcomes()["inconclusive"] == 1
    judged(project.path, f"http://127.0.0.1:{closed_port()}/v1")
    dead = marked(config="judged.yaml", metric="quality", min=1).replace("test_model", "test_dead")
    assert run(project, inconclusive + dead, "-n", "2").ret == 4


def test_it_can_be_left_out(project):
    project.makepyfile(test_other="def test_other(): pass\n")
    found = project.runpytest_subprocess("-p", "no:judgekit", "test_other.py")
    found.assert_outcomes(passed=1)
    assert found.ret == 0
    project.makepyfile(test_model="def test_model(judgekit): pass\n")
    found = project.runpytest_subprocess("-p", "no:judgekit", "test_model.py")
    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines(["*fixture 'judgekit' not found*"])


def test_the_marker_is_known(project):
    found = run(project, marked(metric="exact", min=0.2), "--strict-markers")
    found.assert_outcomes(passed=1)
    project.runpytest_inprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.judgekit(config, metric, min,*"])


def test_a_session_without_judgekit_tests_loads_nothing_heavy(project):
    heavy = {"pydantic", "numpy", "scipy", "torch", "httpx", "httpcore", "rich", "ruamel"}
    project.makepyfile(test_light=f"import sys\ndef test_light():\n    assert not {heavy} & set(sys.modules)\n")
    found = project.runpytest_subprocess("-p", "no:xdist", "-p", "no:hypothesispytest")
    found.assert_outcomes(passed=1)


def test_config_home_and_output_come_from_the_ini_and_the_command_line(project):
    (project.path / "conf").mkdir()
    (project.path / "judgekit.yaml").rename(project.path / "conf" / "mine.yaml")
    (project.path / "items.json").rename(project.path / "conf" / "items.json")
    project.makeini("[pytest]\njudgekit_config = conf/mine.yaml\njudgekit_home = kept\njudgekit_output = out\n")
    run(project, marked(metric="exact", min=0.2)).assert_outcomes(passed=1)
    assert (project.path / "kept" / "ledger.sqlite").is_file()
    assert len(list((project.path / "out").iterdir())) == 1
    run(project, marked(metric="exact", min=0.2), "--judgekit-home", "other").assert_outcomes(passed=1)
    assert (project.path / "other" / "ledger.sqlite").is_file()
