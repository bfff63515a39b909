"""The scripted caller: replies in order, items pulled ahead as a pool of threads does."""

import itertools

from judgekit.records import Message, Reply, Request
from judgekit.testing import ScriptedCaller


def items(count=None):
    for number in itertools.count() if count is None else range(count):
        yield Request(messages=(Message(role="user", content=str(number)),)), number % 2, 0


def echo(request, repeat, attempt):
    return Reply(text=f"{request.prompt}/{repeat}/{attempt}")


def test_replies_come_in_order_and_what_was_asked_is_kept() -> None:
    caller = ScriptedCaller(echo, ahead=3)
    assert [reply.text for reply in caller.calls("generate", items(5))] == [f"{n}/{n % 2}/0" for n in range(5)]
    assert [(kind, request.prompt, repeat) for kind, request, repeat, _ in caller.asked] == [
        ("generate", str(n), n % 2) for n in range(5)
    ]


def test_it_pulls_no_more_than_it_was_told_to_before_it_gives_a_reply() -> None:
    caller = ScriptedCaller(echo, ahead=3)
    assert next(caller.calls("generate", items())).text == "0/0/0"
    assert len(caller.asked) == caller.most_ahead == 4
    assert list(ScriptedCaller(echo).calls("generate", items(0))) == []
