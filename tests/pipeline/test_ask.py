"""Backends asked by name, through the ledger: what a command of a plugin is given, on a real chat server."""

import threading

import pytest

from judgekit import (
    Backend,
    Client,
    ConfigError,
    Interrupted,
    NotInLedger,
    PluginError,
    PreflightError,
    Reply,
    Sample,
    hookimpl,
)
from judgekit.errors import PromptError
from judgekit.plugins import build_manager
from openai_fake import OpenAIFake

CONTEXT = {"task": "Name a tree."}


def shout(body):
    return f"{body['messages'][-1]['content']} {body.get('seed')}".upper()


@pytest.fixture
def server():
    with OpenAIFake(shout) as fake:
        yield fake


@pytest.fixture
def client(tmp_path):
    with Client(home=tmp_path) as opened:
        yield opened


@pytest.fixture
def part(server):
    return {"backend": "openai", "model": "m", "base_url": server.base_url, "retries": 0}


def test_a_reply_is_asked_for_once(tmp_path, server, part):
    for made, found in ((3, 0), (0, 3)):
        with Client(home=tmp_path) as client:
            model = client.model(part)
            requests = [model.request("synthesis/answer", CONTEXT, seed=seed) for seed in (1, 2, 3)]
            assert [reply.text for reply in model.ask(requests)] == [f"NAME A TREE. {seed}" for seed in (1, 2, 3)]
            assert (client.asked, client.from_ledger) == (made, found)
            assert list(client.prompts_used) == ["synthesis/answer"]
    assert len(server.bodies) == 3


def test_equal_requests_are_one_call_unless_they_are_numbered(client, server, part):
    model = client.model(part)
    same = [model.request("synthesis/answer", CONTEXT)] * 3
    assert len(list(model.ask(same))) == 3
    assert len(server.bodies) == 1
    assert len(list(model.ask(same, [0, 1, 2]))) == 3
    assert len(server.bodies) == 3


def test_what_decides_how_tokens_are_drawn(client, part):
    plain = client.model(part).request("synthesis/kind", {"instruction": "Do."})
    assert (plain.sampling.temperature, plain.sampling.max_new_tokens, plain.sampling.seed) == (0.0, 16, None)
    own = client.model({**part, "temperature": 0.7, "max_new_tokens": 99, "seed": 5})
    drawn = own.request("synthesis/kind", {"instruction": "Do."}, stop=("\n",)).sampling
    assert (drawn.temperature, drawn.max_new_tokens, drawn.seed, drawn.stop) == (0.7, 99, 5, ("\n",))
    greedy = own.request("synthesis/kind", {"instruction": "Do."}, seed=8, temperature=0.0).sampling
    assert (greedy.temperature, greedy.seed) == (0.0, 8)


def test_offline_nobody_is_asked(tmp_path, server, part):
    with Client(home=tmp_path) as client:
        model = client.model(part)
        list(model.ask([model.request("synthesis/answer", CONTEXT)]))
    calls = len(server.calls)
    with Client(home=tmp_path, offline=True) as client:
        model = client.model(part)
        known, other = (model.request("synthesis/answer", {"task": task}) for task in ("Name a tree.", "Else."))
        assert [reply.text for reply in model.ask([known])] == ["NAME A TREE. NONE"]
        with pytest.raises(NotInLedger, match="Else"):
            list(model.ask([other]))
    assert len(server.calls) == calls


def test_several_parts_share_the_budget(tmp_path, server, part):
    with Client(home=tmp_path, budget={"calls": 5}, jobs=1) as client:
        first, second = client.model(part), client.model({**part, "model": "n"})
        requests = [first.request("synthesis/answer", CONTEXT, seed=seed) for seed in range(3)]
        assert {reply.status for reply in first.ask(requests)} == {"complete"}
        assert not client.stopped
        replies = list(second.ask(requests))
        assert [reply.status for reply in replies] == ["complete", "complete", "error"]
        assert "the budget of 5 calls" in replies[2].detail
        assert "the budget of 5 calls" in client.stopped
    assert len(server.bodies) == 5


class Free(Backend):
    free = True

    def generate(self, requests):
        return [Reply(text="x") for _ in requests]


class FreePlugin:
    @hookimpl
    def judgekit_backends(self):
        return {"free": Free}


def test_a_budget_is_for_a_free_backend_too(tmp_path):
    """Somebody who says how many calls there may be means all of them; their price is nothing."""
    for caps, statuses in (({"calls": 1}, ["complete", "error"]), ({"usd": 0}, ["complete", "complete"])):
        manager = build_manager(extra=[FreePlugin()])
        with Client(home=tmp_path / str(caps), budget=caps, jobs=1, manager=manager) as client:
            model = client.model({"backend": "free"})
            request = model.request("synthesis/answer", CONTEXT)
            assert [reply.status for reply in model.ask([request, request], [0, 1])] == statuses


def test_a_judge(client, server, part):
    server._function = lambda body: "Score: 70" if "response" in body["messages"][0]["content"] else "?"
    sample = Sample(id="1", instruction="Do.")
    judge = client.judge({**part, "mode": "grade", "scale": [0, 100]})
    (verdict,) = judge.score([(sample, "Done.", 0)])
    assert verdict.status in ("scored", "unparsed")
    assert list(client.prompts_used) == ["score/grade"]
    with pytest.raises(PreflightError, match=r"judge: .*score/book needs a reference"):
        client.judge({**part, "mode": "book"})
    assert client.judge({**part, "mode": "book"}, known=["reference"])
    with pytest.raises(ConfigError, match="name one judge"):
        client.judge({"panel": ["a", "b"]})


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"backend": "opnai"}, PluginError, "did you mean 'openai'"),
        ({"modl": "m"}, ConfigError, "unknown key 'model.modl'; did you mean 'model'"),
        ({"backend": None}, ConfigError, "model.backend"),
        ({"temperature": -1}, ConfigError, "model.temperature"),
        ({"limits": {"concurency": 1}}, ConfigError, "did you mean 'concurrency'"),
        ({"base_url": "http://127.0.0.1:9/v1"}, PreflightError, "127.0.0.1:9"),
    ],
)
def test_a_part_that_is_none(client, part, changes, error, said):
    with pytest.raises(error, match=said):
        client.model({**part, **changes})


def test_a_prompt_that_is_none(client, part):
    model = client.model(part)
    with pytest.raises(PromptError, match="unknown prompt 'synthesis/anser'; did you mean"):
        model.request("synthesis/anser", CONTEXT)
    with pytest.raises(PromptError, match="unknown variable 'task'"):
        model.request("synthesis/answer", {"tsk": "x"})


def test_a_stop_ends_it_with_every_reply_kept(tmp_path, server, part):
    stop = threading.Event()
    with Client(home=tmp_path, stop=stop, jobs=1) as client:
        model = client.model(part)
        replies = model.ask([model.request("synthesis/answer", CONTEXT, seed=seed) for seed in range(30)])
        next(replies)
        stop.set()
        with pytest.raises(Interrupted):
            list(replies)
    sent = len(server.bodies)
    with Client(home=tmp_path) as client:
        model = client.model(part)
        list(model.ask([model.request("synthesis/answer", CONTEXT, seed=seed) for seed in range(30)]))
        assert client.from_ledger >= 1
        assert len(server.bodies) <= 31 + sent - client.from_ledger
