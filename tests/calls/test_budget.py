"""A budget is reserved before a call is sent and settled after it; where it ends, calls are not sent, and say so."""

import random
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import judgekit
from answering import Answering, ask, items
from judgekit.calls.budget import Budget, Cost, dollars, most_tokens
from judgekit.calls.ledger import Ledger
from judgekit.config.blocks import BudgetConfig, Price
from judgekit.errors import CallError, Interrupted
from judgekit.records import Reply, Sampling, Usage
from judgekit.testing import FaultServer, http, reset
from lone_caller import LoneCaller

MOST = 128 + 16 + 4  # tokens of a prompt of four bytes
PRICE = Price(input=1.0, output=2.0)
TOLD = Usage(prompt_tokens=10, completion_tokens=2)


def numbered(count):
    return items((f"{number:04}" for number in range(count)), max_new_tokens=10)


def metered(usage, batch=1, work=lambda: None):
    return Answering(lambda _: work() or Reply(text="1", usage=usage), batch)


def run(backend, ledger, budget, count=100, jobs=8):
    with LoneCaller(backend, ledger, concurrency=jobs, price=PRICE, budget=budget) as caller:
        return list(caller.calls("generate", numbered(count)))


@pytest.mark.parametrize("jobs", [1, 8])
@pytest.mark.parametrize("batch", [1, 4])
def test_no_call_more_than_the_budget_has(ledger, jobs, batch):
    backend, budget = metered(None, batch), Budget(BudgetConfig(calls=20))
    replies = run(backend, ledger, budget, jobs=jobs)
    assert len(backend.asked) == 20
    assert [reply.status for reply in replies].count("complete") == 20
    assert {reply.detail for reply in replies if reply.status == "error"} == {
        "not sent: the budget of 20 calls does not allow another call"
    }
    assert budget.spent.calls == 20
    assert budget.stopped
    assert (ledger.stats().entries, ledger.stats().errors) == (20, 0)


def test_started_again_it_goes_on_from_the_ledger_whose_replies_cost_nothing(ledger):
    for caps, asked in (({"calls": 20}, 20), ({"calls": 80}, 80), ({"calls": 0, "tokens": 0, "usd": 0}, 0)):
        backend, budget = metered(None), Budget(BudgetConfig(**caps))
        replies = run(backend, ledger, budget)
        assert len(backend.asked) == asked
    assert {reply.status for reply in replies} == {"complete"}
    assert not budget.stopped


@pytest.mark.parametrize(
    ("usage", "unit", "cap", "each", "most", "words"),
    [
        (TOLD, "tokens", 1200, 12, MOST + 10, "1,200 tokens does not allow another call (it can take up to 158)"),
        (None, "tokens", 1000, MOST + 10, MOST + 10, "1,000 tokens"),
        (TOLD, "usd", 0.002, 14e-6, (MOST + 20) * 1e-6, "another call (it can cost up to $0.0002)"),
    ],
)
def test_a_call_is_settled_by_what_its_reply_tells_or_at_its_most(ledger, usage, unit, cap, each, most, words):
    """A call can take 158 tokens and takes 12: nearly all of the budget is spent, and never more."""
    budget = Budget(BudgetConfig(**{unit: cap}))
    replies = run(metered(usage), ledger, budget, count=300)
    spent = getattr(budget.spent, unit)
    assert spent == pytest.approx([reply.status for reply in replies].count("complete") * each, rel=1e-12)
    assert cap - most < spent <= cap
    assert words in replies[-1].detail


def test_the_reservations_of_calls_under_way_count(ledger):
    """Room for two at their most: never three at once, although each takes little in the end."""
    budget = Budget(BudgetConfig(tokens=2 * (MOST + 10) + 20))
    backend = metered(Usage(prompt_tokens=1, completion_tokens=1), work=lambda: time.sleep(0.02))
    replies = run(backend, ledger, budget, count=10)
    assert backend.most_active == 2
    assert {reply.status for reply in replies} == {"complete"}, "a call waits for others to be settled"


def test_a_stop_ends_the_wait_for_room(ledger):
    stop = threading.Event()
    budget = Budget(BudgetConfig(tokens=MOST + 10))
    backend = metered(None, work=lambda: stop.wait(5) and time.sleep(0.1))
    threading.Timer(0.2, stop.set).start()
    with LoneCaller(backend, ledger, concurrency=4, budget=budget, stop=stop) as caller:
        start = time.monotonic()
        with pytest.raises(Interrupted):
            list(caller.calls("generate", numbered(10)))
        assert time.monotonic() - start < 1.5


def chat(url, retries):
    client = judgekit.Http(url, retries=retries)

    def answer(prompt):
        if "error" in client.post("chat", {"q": prompt}).body:
            raise CallError("an error under 200")
        return Reply(text="1", usage=TOLD)

    return Answering(answer)


@pytest.mark.parametrize(
    ("faults", "calls", "tokens"),
    [
        ([], 1, 12),
        ([http(500, "{}", retry_after_ms="5")] * 2, 3, 12),
        ([b""], 2, 12 + MOST + 10),  # lost after it was sent: perhaps it was billed
        ([http(200, "oops")] * 5, 1, MOST + 10),  # an answer, and not one to be read
        ([http(200, '{"error": "x"}')] * 5, 1, MOST + 10),
        ([http(400, "{}")] * 5, 1, 0),
    ],
)
def test_every_attempt_is_a_call_and_what_may_be_billed_counts(ledger, faults, calls, tokens):
    def handler(connection, request, before):
        answer = faults[before] if before < len(faults) else http(200, "{}")
        connection.sendall(answer) if answer else reset(connection)

    budget = Budget(BudgetConfig(calls=100, tokens=100_000))
    with FaultServer(handler) as server:
        run(chat(server.url, retries=4), ledger, budget, count=1)
        assert len(server.requests) == calls
    assert (budget.spent.calls, budget.spent.tokens) == (calls, tokens)


def test_a_retry_that_the_budget_has_no_room_for_is_not_sent(ledger):
    with FaultServer(lambda connection, *_: connection.sendall(http(500, "{}", retry_after_ms="5"))) as server:
        (reply,) = run(chat(server.url, retries=10), ledger, Budget(BudgetConfig(calls=3)), count=1)
        assert len(server.requests) == 3
    assert reply.detail == "not sent again: the budget has no room for another attempt"


def test_without_a_bound_or_a_price_nothing_is_sent(ledger):
    for spec, price, detail in (
        (BudgetConfig(tokens=10_000), PRICE, "max_new_tokens must be set"),
        (BudgetConfig(usd=1), None, "the price must be known"),
        (BudgetConfig(usd=1), Price(input=1, output=0), ""),  # replies are free, and need no bound
    ):
        backend = metered(None)
        with LoneCaller(backend, ledger, concurrency=1, price=price, budget=Budget(spec)) as caller:
            (reply,) = caller.calls("generate", items([1], max_new_tokens=None if price else 10))
        assert detail in reply.detail
        assert len(backend.asked) == (not detail)


def test_a_prompt_is_never_more_tokens_than_its_bound():
    import tiktoken

    every_byte = {bytes([value]): value for value in range(256)}
    worst = tiktoken.Encoding("bytes", pat_str=r"(?s).", mergeable_ranks=every_byte, special_tokens={})
    for text in ("plain words of English prose", "한국어 문장입니다", "🜚🜛 ⸎", "x = [[0]*9]", "\n\t  \n" * 9, ""):
        bound = most_tokens(ask(text, max_new_tokens=7))
        assert bound.completion_tokens == 7
        assert len(worst.encode(text)) <= len(text.encode()) < bound.prompt_tokens, text


def test_a_schema_and_given_texts_are_part_of_the_bound():
    def bound(**changes):
        return most_tokens(ask("q").model_copy(update=changes)).prompt_tokens

    plain = bound(sampling=Sampling(max_new_tokens=1))
    schema = bound(sampling=Sampling(max_new_tokens=1), json_schema={"type": "object"})
    assert schema == plain + len('{"type": "object"}')
    assert bound(continuations=("abc", "de")) == 2 * plain + 5


def test_money_in_words():
    amounts = {0: "$0.00", 1234.5: "$1,234.50", 0.0123: "$0.0123", 0.00000042: "$4.2e-07"}
    assert {usd: dollars(usd) for usd in amounts} == amounts


def erratic(draw, taken):
    """Takes any of what it may, at any speed, and fails now and then; `taken`: what it really took."""

    def answer(prompt):
        fate, part, share = (draw.random() for _ in range(3))
        time.sleep(part / 500)
        if fate < 0.1:
            raise CallError("lost on the way")
        usage = Usage(prompt_tokens=int(share * 148), completion_tokens=int(share * 10))
        taken.append(usage.prompt_tokens + usage.completion_tokens)
        return Reply(text="1", usage=None if fate < 0.2 else usage)

    return Answering(answer)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    jobs=st.integers(1, 16),
    calls=st.none() | st.integers(0, 60),
    tokens=st.none() | st.integers(0, 9000),
    usd=st.none() | st.floats(0, 0.01),
)
def test_whatever_happens_at_once_no_cap_is_passed_and_all_is_settled(tmp_path_factory, seed, jobs, calls, tokens, usd):
    spec = BudgetConfig(calls=calls, tokens=tokens, usd=usd)
    budget, taken = Budget(spec), []
    backend = erratic(random.Random(seed), taken)
    with Ledger(tmp_path_factory.mktemp("budget") / "ledger.sqlite") as ledger:
        replies = run(backend, ledger, budget, count=40, jobs=jobs)
    assert len(replies) == 40
    spent = budget.spent
    assert spent.calls == len(backend.asked)
    if tokens is not None or usd is not None:
        assert spent.tokens >= sum(taken), "what was not told counts at its most"
    assert calls is None or spent.calls <= calls
    assert tokens is None or spent.tokens <= tokens
    assert usd is None or spent.usd <= usd
    assert (budget._reserved, budget._open) == (Cost(), 0)
    assert all("not sent" in reply.detail or "lost" in reply.detail for reply in replies if reply.status == "error")
    if calls is None and tokens is None and usd is None:
        assert len(backend.asked) == 40
