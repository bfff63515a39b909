"""Executors: another one gives the same record; one that breaks its contract is named, with nothing paid for lost."""

import json
import pickle
from pathlib import Path

import pytest

import judgekit
from answering import ask, items
from executors import ExecutorPlugin, Odd
from judgekit.calls.session import Session
from judgekit.config.blocks import RunConfig
from judgekit.errors import PreflightError
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import Catalogue, build_manager
from judgekit.records import Reply
from judgekit.testing import ParrotPlugin
from judgekit_openai.backend import OpenAIBackend, OpenAIOptions
from lone_caller import LoneCaller

PLUGINS = ("datasets", "json", "metrics", "readings", "responses")
JUDGE = {"backend": "parrot", "prompt": "score/integer", "temperature": 1.0, "control_items": 2}


def executed(here, home, **changes):
    tree = {
        "name": "parrots",
        "data": {"path": "items.json"},
        "models": {"one": {"backend": "parrot"}, "two": {"backend": "parrot", "answers": {"number": "nothing"}}},
        "judges": {"main": JUDGE},
        "metrics": {"quality": {"type": "score"}, "likely": {"type": "reference_likelihood"}},
        "reports": ["json"],
        "statistics": {"resamples": 99},
    }
    items = [{"instruction": f"Say the word number {number}.", "output": f"word {number}"} for number in range(4)]
    (here / "items.json").write_text(json.dumps(items))
    manager = build_manager(only=PLUGINS, extra=[ParrotPlugin(), ExecutorPlugin()])
    settings = Settings(output=here / home / "runs", home=here / home)
    return Run(RunConfig.model_validate(tree | changes), here, manager, settings).execute()


def test_another_executor_gives_the_same_bytes(tmp_path):
    here, there = (executed(tmp_path, name, executor=name) for name in ("threads", "processes"))
    assert here.asked == there.asked > 20
    assert here.record.run_id == there.record.run_id
    names = {path.name for path in here.folder.path.iterdir()} - {"timing.json"}
    assert {"record.json", "rows.jsonl"} <= names
    for name in ("record.json", "rows.jsonl"):
        assert (here.folder.path / name).read_bytes() == (there.folder.path / name).read_bytes()


def test_what_another_executor_stored_is_found_by_threads(tmp_path):
    there = executed(tmp_path, "home", executor="processes")
    again = executed(tmp_path, "home", executor="threads")
    assert (again.asked, again.from_ledger) == (0, there.asked + there.from_ledger)


def test_an_executor_that_is_none_is_a_problem_of_the_config(tmp_path):
    with pytest.raises(PreflightError, match=r"executor: no executor is named 'process'.*did you mean 'processes'"):
        executed(tmp_path, "home", executor="process")


def test_two_plugins_with_one_executor_are_both_named():
    class Other:
        @judgekit.hookimpl
        def judgekit_executors(self):
            return {"threads": Odd}

    manager = build_manager(only=(), extra=[])
    manager.register(Other(), "other")
    with pytest.raises(judgekit.PluginError, match=r"'threads'.*'other'|'other'.*'threads'"):
        Catalogue(manager)


class Pairs(judgekit.Backend):
    max_batch = 2

    def generate(self, requests):
        return [Reply(text=f"re: {request.prompt}") for request in requests]


class Keeping(Odd):
    """Keeps what crosses to it, as another process would get it."""

    kept: list[judgekit.Work]

    def carry_out(self, work, backend, report):
        self.kept.append(pickle.loads(pickle.dumps(work)))
        return pickle.loads(pickle.dumps(self.kept[-1].carry_out(self.kept[-1].build())))


def test_what_crosses_to_an_executor_can_be_pickled(ledger):
    executor = Keeping(1)
    executor.kept = []
    with LoneCaller(Pairs(), ledger, concurrency=1, executor=executor) as caller:
        replies = list(caller.calls("generate", items(range(4))))
    assert [reply.text for reply in replies] == [f"re: {number}" for number in range(4)]
    assert [len(work.requests) for work in executor.kept] == [2, 2]
    assert ledger.stats().entries == 4


def test_a_real_backends_options_can_be_pickled(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-key-that-is-a-secret")
    options = OpenAIOptions(model="m", base_url="http://127.0.0.1:9/v1")
    work = judgekit.Work("generate", [ask(1)], ["name"], tmp_path, OpenAIBackend, options, Path("here"))
    crossed = pickle.dumps(work)
    assert b"sk-a-key" not in crossed
    assert pickle.loads(crossed).build().identity() == work.build().identity()


@pytest.mark.parametrize(
    ("way", "said", "kept"),
    [
        ("raises", "raised RuntimeError: the cluster is gone", 0),
        ("loses", "lost the answers to 1 of 2 calls", 1),
        ("doubles", "answered 1 of 2 calls twice", 2),
        ("out of order", "answered out of order", 2),
        ("another's", "answered 1 call that it was not given", 2),
        ("no answers", "must return the answers to its work", 0),
    ],
)
def test_an_executor_that_breaks_its_contract_is_named(ledger, way, said, kept):
    """What it did answer is in the ledger: the next start does not pay for it again."""
    executor = Odd(1)
    executor.way = way
    odd = LoneCaller(Pairs(), ledger, concurrency=1, executor=executor)
    with odd, pytest.raises(judgekit.PluginError, match=rf"executors\.Odd {said}"):
        list(odd.calls("generate", items(range(2))))
    assert ledger.stats().entries == kept
    with LoneCaller(Pairs(), ledger, concurrency=1) as caller:
        assert len(list(caller.calls("generate", items(range(2))))) == 2
    assert caller.counts.from_ledger == kept


class Unclosable(Odd):
    way = ""

    def close(self):
        raise RuntimeError("the pool is gone")


def test_an_executor_that_cannot_be_made_or_closed_is_named(ledger):
    class Plugin:
        @judgekit.hookimpl
        def judgekit_executors(self):
            return {"odd": lambda jobs: object()}

    catalogue = Catalogue(build_manager(only=(), extra=[Plugin()]))
    with pytest.raises(judgekit.PluginError, match=r"where a judgekit\.Executor was due"):
        catalogue.executor("odd", 1)
    session = Session(ledger, Unclosable(1), jobs=1)
    session.caller("models.a", Pairs())
    with pytest.raises(judgekit.PluginError, match=r"Unclosable raised RuntimeError: the pool is gone"):
        session.close()
