"""A reading of another plugin: the one of docs/judging.md, from its dry run to its card; and what is refused."""

import importlib.util
import json
import re
import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest

import judgekit
import mode_runs
from judgekit.cli.schema import build_schema
from judgekit.errors import ConfigError, PluginError, PreflightError
from judgekit.judging import ControlArm, Reading
from judgekit.pipeline.prepare import prepare
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import build_manager
from judgekit.records import Sample, Verdict
from judgekit.regression.baseline import instrument
from judgekit.testing import Parrot, ParrotPlugin

# The parrot says the first that fits: a reply that is none, then stars; all else is worth three.
ANSWERS = {"Nothing but": "★★★★", "number 4": "Five of five!", "": "★★★"}


@pytest.fixture(scope="module")
def stars(tmp_path_factory, checkout):
    """The plugin of the page, as it stands there."""
    section = (checkout / "docs/judging.md").read_text("utf-8").split("## A reading of your own")[1]
    code, prompt = re.search(r"```python\n(.*?)```.*?```\n(.*?)\n```", section, re.DOTALL).groups()
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "prompts").mkdir()
    (folder / "stars.py").write_text(code, "utf-8")
    (folder / "prompts" / "plain.j2").write_text(prompt, "utf-8")
    spec = importlib.util.spec_from_file_location("stars", folder / "stars.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["stars"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def here(here):
    Parrot.reset()
    return here


def config(judge, kind="score", **changes):
    main = {"backend": "parrot", "answers": ANSWERS, "control_items": 3}
    return mode_runs.config({"main": main | judge}, kind, **changes)


def manager(*plugins):
    return build_manager(only=mode_runs.PLUGINS, extra=[ParrotPlugin(), *plugins])


def run_of(plugin, spec, here):
    return Run(spec, here, manager(plugin), Settings(output=here / "runs", home=here / "home"))


def run(plugin, spec, here):
    return run_of(plugin, spec, here).execute()


def refused(plugin, spec, here):
    with pytest.raises((PreflightError, PluginError, ConfigError)) as caught:
        prepare(spec, here, manager(plugin), here / "checkpoints")
    assert not Parrot.history, "nothing is asked before all is well"
    return str(caught.value)


# --- the page's reading -----------------------------------------------------------------------------------------------


def test_it_is_run_recorded_controlled_and_asked_again(stars, here):
    outcome = run(stars, config({"mode": "stars"}), here)
    record, rows = outcome.record, list(outcome.folder.view().rows)
    assert record.status == "complete"
    assert {row.status for row in rows} == {"scored"}
    assert {(row.sample_id, row.value) for row in rows if row.value == 4} == {(rows[4].sample_id, 4.0)}
    value = mode_runs.estimates(record)["value"]
    assert (value.value, value.scale.low, value.scale.high) == (pytest.approx(25 / 8), 1, 5)
    again = [row for row in rows if row.verdicts[0].detail.startswith("asked twice")]
    assert {row.sample_id for row in again} == {rows[4].sample_id}
    assert "not 1 to 5 times ★: Five of five!" in again[0].verdicts[0].detail
    twice = {one.system: one.value for one in record.statistics if one.name == "asked_twice"}
    assert twice == {"new": 1, "old": 1}
    assert "stars/plain" in record.prompts
    (card,) = record.cards
    checks = {check.name: check for check in card.checks}
    assert (card.reading, card.prompt) == ("stars", "stars/plain")
    assert "formatted" not in checks
    assert (checks["cut"].value, checks["cut"].expected, checks["cut"].passed) == (pytest.approx(10 / 3), "≤ 4.4", True)
    assert any("Response: word\n" in request.prompt for request in Parrot.history), "the arm's answer is shown"
    assert not any("**" in request.prompt for request in Parrot.history)


def test_a_dry_run_counts_it_with_its_re_asks_and_a_budget_bounds_it(stars, here):
    spec = config({"mode": "stars", "temperature": 1.0, "answers": {"": "I would rather not."}})
    plan = run_of(stars, spec, here).plan()
    assert not Parrot.history
    lines = {line.stage: line for line in plan.lines}
    assert lines["measuring quality"].asked.calls == lines["measuring quality"].asked.again == 16
    # gold, empty, shuffled, constant, master, parts, padded, injected, again (half of two arms) and the reading's own
    assert lines["controlling main"].note.startswith("13 arms × 3; ")
    assert not plan.total.unbounded, "the prompt says how long a reply may get"
    assert run(stars, spec, here).asked == plan.total.left
    assert run_of(stars, spec, here).plan().total.left == 0
    bounded = config({"mode": "stars"}, budget={"calls": 5, "tokens": 10_000})
    Parrot.reset()
    outcome = run(stars, bounded, here)
    assert (outcome.record.status, len(Parrot.history)) == ("incomplete", 5)


def test_its_own_key_is_shown_read_and_part_of_the_run(stars, here):
    waves = {"mode": "stars", "sign": "~", "answers": {"": "~~"}}
    outcome = run(stars, config(waves), here)
    assert "Rate the response by 1 to 5 times ~" in Parrot.history[0].prompt
    assert {row.value for row in outcome.folder.view().rows} == {2.0}
    assert outcome.record.spec["judges"]["main"]["sign"] == "~"
    other = run(stars, config({"mode": "stars"}), here).record
    assert outcome.record.run_id != other.run_id
    measured = [instrument(record, "quality")["judge's stars.sign"] for record in (outcome.record, other)]
    assert measured == ["~", "★"], "a baseline of the one is none of the other"


def test_another_code_of_it_is_another_instrument(stars, here, monkeypatch):
    record = run(stars, config({"mode": "stars"}), here).record
    monkeypatch.setattr("judgekit.judging.readings.code_of", lambda made: {"class": "Stars", "code": "edited"})
    edited = run(stars, config({"mode": "stars"}), here)
    assert edited.asked == 0, "the stored replies are read anew"
    codes = [instrument(one, "quality")["judge's stars.code"] for one in (record, edited.record)]
    assert codes[0] != codes[1] == "edited"


def test_single_answers_are_put_to_it(stars, here):
    with judgekit.Client(home=here / "home", manager=manager(stars)) as asker:
        judge = asker.judge({"backend": "parrot", "mode": "stars", "sign": "~", "answers": {"": "~~~"}})
        (verdict,) = judge.score([(Sample(id="s", instruction="Say it."), "it", 0)])
    assert (verdict.value, asker.asked) == (3.0, 1)


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ({"mode": "stras"}, "did you mean 'stars'"),
        ({"mode": "stars", "sgin": "x"}, "unknown key 'sgin'; did you mean 'sign'"),
        ({"mode": "stars", "sign": 5}, "judges.main.sign"),
        ({"mode": "integer", "sign": "x"}, "sign: the prompt score/integer makes no use of it; the reading stars does"),
        ({"mode": "stars", "criterion": "Beauty."}, "criterion: the prompt stars/plain makes no use of it; mode: "),
        ({"mode": "stars", "floor": 0.5}, "floor: the prompt stars/plain makes no use of it; mode: geval"),
    ],
)
def test_keys_that_nothing_makes_use_of_are_refused(stars, here, judge, said):
    assert said in refused(stars, config(judge), here)


def test_editors_know_its_key(stars, monkeypatch):
    monkeypatch.setattr("judgekit.cli.schema.build_manager", lambda **_: build_manager(extra=[stars]))
    judge = build_schema()["$defs"]["JudgeConfig"]["properties"]
    assert judge["sign"]["default"] == "★"


# --- other readings ---------------------------------------------------------------------------------------------------


class Halves(Reading):
    """The better half of two, by a word in the reply."""

    task = "pairwise"
    arms: ClassVar = {
        "echo": ControlArm("the task itself, over the reference", lambda s: (s.instruction, s.reference), None, 0.6)
    }
    without_arms = frozenset({"gold"})

    def verdict(self, question, replies):
        return question.turned(Verdict(status="scored", value=1.0 if "first" in replies[0].text else 0.0))


def plugin(**readings):
    """A plugin named `other` with these readings."""

    def judgekit_readings():
        return readings

    return SimpleNamespace(__name__="other", judgekit_readings=judgekit.hookimpl(judgekit_readings))


def prompt(here, name, shown="{{ response }}"):
    (here / f"{name}.j2").write_text(f"{{#- reading: {name}\n    scale: 1..5\n    tokens: 8 -#}}\n{shown}")
    return {"prompt": f"{name}.j2"}


def test_a_reading_that_compares_has_both_orders_and_a_card_of_its_own(here):
    judge = prompt(here, "halves", "{{ response_a }} or {{ response_b }}?") | {"answers": {"no idea or": "second"}}
    judge["answers"][""] = "first"
    outcome = run(plugin(halves=Halves), config(judge, "pairwise"), here)
    rows = list(outcome.folder.view().rows)
    assert {row.value for row in rows} == {1.0}, "in both orders the better one"
    (card,) = outcome.record.cards
    checks = {check.name: check.value for check in card.checks}
    assert ([*checks], checks["echo"]) == (["empty", "constant", "master", "same", "padded", "formatted", "echo"], 0.5)
    lines = {line.stage: line for line in run_of(plugin(halves=Halves), config(judge, "pairwise"), here).plan().lines}
    assert lines["controlling main as it compares"].note.startswith("7 arms × 2 × 2 orders")


class Fine(Reading):
    """Says three, whatever is said."""

    task = "score"

    def verdict(self, question, replies):
        return Verdict(status="scored", value=3.0)


class Own(judgekit.Options):
    scale: int = 1


class Dead(judgekit.Options):
    dead: bool = False


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"task": "scoring"}, r"its task is one of score, pairwise, not 'scoring'; did you mean 'score'\?"),
        ({"task": None}, "its task is one of score, pairwise"),
        ({"keys": frozenset({"rubrik"})}, "no key on grading is named 'rubrik'; did you mean 'rubric'"),
        ({"Options": Own}, "its key 'scale' has another meaning already"),
        ({"without_arms": frozenset({"golden"})}, "its card has no arm 'golden' to leave out; did you mean 'gold'"),
        ({"arms": {"gold": ControlArm("", lambda sample: "")}}, "its card has 'gold' already"),
        ({"is_default": True}, "is a default beside 'reason_json' of plugin 'readings'"),
    ],
)
def test_a_declaration_that_cannot_be_meant_names_its_plugin_before_any_call(here, declared, said):
    wrong = type("Wrong", (Fine,), declared)
    message = refused(plugin(wrong=wrong), config(prompt(here, "wrong")), here)
    assert "plugin 'other'" in message
    assert re.search(said, message), message
    assert "JUDGEKIT_BLOCK_PLUGINS=other" in message


def test_what_is_no_reading_and_a_name_that_is_taken_are_told_with_their_plugins(here):
    assert "plugin 'other' failed in judgekit_readings" in refused(plugin(odd="x"), config(prompt(here, "odd")), here)
    message = refused(plugin(integer=Fine), config({"mode": "integer"}), here)
    assert re.search(r"plugins '(other' and 'readings|readings' and 'other)' both offer the reading 'integer'", message)


def test_a_key_of_the_backend_is_no_key_of_a_reading(here):
    wrong = type("Wrong", (Fine,), {"Options": Dead})
    message = refused(plugin(wrong=wrong), config(prompt(here, "wrong")), here)
    assert "plugin 'other' failed in its reading 'wrong'" in message
    assert "its key 'dead' is one of the backend parrot already" in message


def test_what_a_reading_finds_wrong_or_doubtful_is_said_before_any_call(here):
    picky = type("Picky", (Fine,), {"check": lambda self: ["needs a better judge"]})
    assert "judges.main: needs a better judge" in refused(plugin(picky=picky), config(prompt(here, "picky")), here)
    broken = type("Broken", (Fine,), {"check": lambda self: 1 / 0})
    assert "plugin 'other' failed in its reading 'broken': ZeroDivisionError" in refused(
        plugin(broken=broken), config(prompt(here, "broken")), here
    )
    doubtful = type("Doubtful", (Fine,), {"warnings": lambda self: ["is of three minds"]})
    outcome = run(plugin(doubtful=doubtful), config(prompt(here, "doubtful")), here)
    assert "judges.main: is of three minds" in outcome.record.warnings


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"verdict": lambda self, question, replies: replies[1]}, "IndexError"),
        ({"verdict": lambda self, question, replies: 3.0}, "it returned float, where a Verdict was due"),
        (
            {"verdict": lambda self, question, replies: Verdict(status="scored", value=5.5)},
            r"it returned 5.5 for 'value', which is off its scale 1\.\.5",
        ),
        (
            {"verdict": lambda self, question, replies: Verdict(status="scored", value=3.0, series={"joy": 1.0})},
            "it returned a value for 'joy', a series that it does not declare",
        ),
        ({"requests": lambda self, question, attempt=0: [1 / 0]}, "ZeroDivisionError"),
        ({"arms": {"own": ControlArm("an arm", lambda sample: 1 / 0)}}, "ZeroDivisionError"),
        ({"arms": {"own": ControlArm("an arm", lambda sample: ("a", "b"))}}, "another number of answers than 1"),
    ],
)
def test_a_reading_that_fails_ends_the_run_with_its_plugins_name(here, declared, said):
    wrong = type("Wrong", (Fine,), declared)
    with pytest.raises(PluginError, match=said) as caught:
        run(plugin(wrong=wrong), config(prompt(here, "wrong")), here)
    assert "plugin 'other' failed in its reading 'wrong'" in str(caught.value)
    assert caught.value.exit_code == 2


def test_conversations_have_the_readings_own_prompt(here):
    (here / "talk.json").write_text(
        json.dumps([{"turns": ["Hello.", "And now?"], "references": ["Hi.", "Well."], "answer": ["Hi", "So"]}])
    )
    prompt(here, "one")
    prompt(here, "talks", "{% for turn in conversation %}{{ turn.user }}: {{ turn.assistant }}\n{% endfor %}")
    names = {"default_prompt": "one.j2", "conversation_prompt": "talks.j2"}
    talks = type("Talks", (Fine,), names)
    changes = {"models": {"new": {"backend": "parrot"}}, "data": {"loader": "conversations", "path": "talk.json"}}
    outcome = run(plugin(talks=talks), config({"mode": "talks", "control_items": 0}, **changes), here)
    assert "talks.j2" in outcome.record.prompts
    assert any("And now?: " in request.prompt for request in Parrot.history)


def test_without_the_plugin_of_readings_there_is_none(here):
    without = build_manager(only={*mode_runs.PLUGINS} - {"readings"}, extra=[ParrotPlugin()])
    for judge, said in (({"mode": "integer"}, "no plugin offers any"), ({}, "no plugin offers a default reading")):
        with pytest.raises(PreflightError, match=said):
            prepare(config(judge), here, without, here / "checkpoints")


def test_a_question_without_a_request_is_skipped(here):
    silent = type("Silent", (Fine,), {"requests": lambda self, question, attempt=0: ()})
    outcome = run(plugin(silent=silent), config(prompt(here, "silent") | {"control_items": 0}), here)
    assert {row.status for row in outcome.folder.view().rows} == {"skipped"}
    assert not Parrot.history
