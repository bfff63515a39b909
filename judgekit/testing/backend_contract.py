"""Contract tests for backends and for executors."""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError

from judgekit.calls.work import Answer, Work
from judgekit.contracts import CAPABILITIES, Backend
from judgekit.errors import BackendError, CallError, JudgekitError
from judgekit.records import Message, Reply, Request, Sampling
from judgekit.secrets import one_line
from judgekit.testing.contract import Configured, Contract, left_out, must, silent, typed, variants
from judgekit.testing.parrots import Parrot


def asking(text: str, *continuations: str) -> Request:
    """A request of one message; `continuations` are for log-likelihoods."""
    sampling = Sampling(temperature=0.0, max_new_tokens=16)
    return Request(messages=(Message(role="user", content=text),), sampling=sampling, continuations=continuations)


class BackendContract(Configured):
    """Tests that every backend passes.

        class TestMine(judgekit.testing.BackendContract):
            make = MyBackend
            options = {"model": "small"}

    `prompts` are what it is asked. `unnamed`: options that cannot change an answer (a timeout), and are no part of the
    identity. `repeatable`: at temperature 0 the same question has the same answer. `failing`: options with which every
    call fails.
    """

    make: ClassVar[Any] = None
    prompts: ClassVar[Sequence[str]] = tuple(f"Say the number {number}." for number in range(7))
    unnamed: ClassVar[frozenset[str]] = frozenset()
    repeatable: ClassVar[bool] = True
    failing: ClassVar[dict[str, Any]] = {}

    def test_capabilities_are_known(self, tmp_path: Path) -> None:
        with contextlib.closing(self.build(tmp_path)) as backend:
            unknown = sorted(set(backend.capabilities) - CAPABILITIES)
            must(not unknown, f"capabilities has {unknown}; known are {', '.join(sorted(CAPABILITIES))}")

    def test_one_reply_a_request_in_order(self, tmp_path: Path) -> None:
        """One by one, in batches, and from many threads: the same replies to the same requests."""
        requests = [asking(text) for text in self.prompts]
        with contextlib.closing(self.build(tmp_path)) as backend:
            single = [self._replies(backend, [request])[0] for request in requests]
            size = max(backend.max_batch, 1)
            batches = [requests[start : start + size] for start in range(0, len(requests), size)]
            for batch in batches:
                together = self._replies(backend, batch)
                start = requests.index(batch[0])
                self._same(together, single[start : start + len(batch)], "in a batch as alone")
            threads = min(backend.max_concurrency or 4, 4)
            with ThreadPoolExecutor(threads) as pool:
                at_once = list(pool.map(lambda request: self._replies(backend, [request])[0], requests * 2))
            self._same(at_once, single * 2, f"from {threads} threads as from one (max_concurrency limits them)")

    def test_equal_backends_say_the_same(self, tmp_path: Path) -> None:
        requests = [asking(text) for text in self.prompts[:2]]
        said = []
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            with contextlib.closing(self.build(tmp_path / folder)) as backend:
                said.append([self._replies(backend, [request])[0] for request in requests])
        self._same(said[0], said[1], "from a backend that is built a second time")

    def test_loglikelihoods_are_those_of_the_continuations(self, tmp_path: Path) -> None:
        with contextlib.closing(self.build(tmp_path)) as backend:
            if "loglikelihood" not in backend.capabilities:
                left_out("it offers no log-likelihoods")
            with silent("loglikelihood"):
                replies = backend.loglikelihood([asking("Yes or no?", " yes", " no, never"), asking("Or?", " yes")])
            read = [len(reply.continuations) for reply in replies]
            must(read == [2, 1], f"of 2 and 1 continuations it gives {read}: one Continuation each, in order")
            values = [value for reply in replies for one in reply.continuations for value in one.token_logprobs]
            fine = all(math.isfinite(value) and value <= 1e-6 for value in values)
            must(fine and bool(values), f"log-probabilities are finite and at most 0, not {values}")

    def test_identity_changes_with_each_option(self, tmp_path: Path) -> None:
        """And with nothing else: the ledger answers for another model where it does not."""
        own, again = self._identity(tmp_path), self._identity(tmp_path)
        if own is None:
            left_out("the identity cannot be had here: override `build` so that it can")
        must(own == again, "two backends of the same options differ in identity(): leave out what is no option")
        for name, field in _options(self).items():
            if name in self.unnamed:
                continue
            value = self.options.get(name, field.get_default(call_default_factory=True))
            others = [
                other
                for change in variants(value)
                if change != value and (other := self._identity(tmp_path, **{name: change}))
            ]
            same = bool(others) and all(other == own for other in others)
            must(
                not same,
                f"identity() is the same with another {name!r}: have it in there, or name it in `unnamed` where it "
                "cannot change an answer",
            )

    def test_failures_are_typed(self, tmp_path: Path) -> None:
        if not self.failing:
            left_out("give `failing`, options with which every call fails")
        with contextlib.closing(self.build(tmp_path, **self.failing)) as backend, typed("a call that fails") as caught:
            replies = backend.generate([asking(self.prompts[0])])
            if replies[0].status == "error":
                caught.append(CallError(replies[0].detail))
        must(
            isinstance(caught[0], CallError | BackendError),
            "what fails is a CallError, or a BackendError for all calls",
        )

    def test_it_can_be_closed_twice(self, tmp_path: Path) -> None:
        backend = self.build(tmp_path)
        backend.close()
        backend.close()

    def _replies(self, backend: Backend, requests: Sequence[Request]) -> list[Reply]:
        with silent("generate"):
            replies: Any = backend.generate(requests)
        right = isinstance(replies, list) and all(isinstance(reply, Reply) for reply in replies)
        must(right, f"generate returns a list of judgekit.Reply, not {one_line(repr(replies), 80)}")
        must(len(replies) == len(requests), f"generate returns {len(replies)} replies to {len(requests)} requests")
        failed = [reply.detail for reply in replies if reply.status == "error"]
        must(not failed, f"the request failed: {failed[:1]}")
        return list(replies)

    def _same(self, one: Sequence[Reply], other: Sequence[Reply], how: str) -> None:
        if self.repeatable:
            texts = [[reply.text for reply in replies] for replies in (one, other)]
            must(texts[0] == texts[1], f"the same requests have other replies {how}: {texts[0]} and {texts[1]}")

    def _identity(self, where: Path, **changes: Any) -> str | None:
        """As JSON; None for options that cannot be."""
        try:
            with contextlib.closing(self.build(where, **changes)) as backend:
                identity = backend.identity()
        except (JudgekitError, ValidationError, OSError):
            return None
        try:
            return json.dumps(identity, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"identity() is not JSON: {error}") from None


def _options(contract: Configured) -> dict[str, Any]:
    fields: dict[str, Any] = type(contract).make.Options.model_fields
    return fields


class ExecutorContract(Contract):
    """Tests that every executor passes: `make` is its class, which takes the number of jobs."""

    def build(self, where: Path, **changes: Any) -> Any:
        return type(self).make(4)

    def test_answers_are_those_of_the_work(self, tmp_path: Path) -> None:
        executor, backend = self.build(tmp_path), Parrot()
        works = [_work(tmp_path, number) for number in range(12)]
        try:
            with ThreadPoolExecutor(4) as pool, silent("carry_out"):
                answers = list(pool.map(lambda work: executor.carry_out(work, backend, _quiet), works))
        finally:
            executor.close()
        for work, given in zip(works, answers, strict=True):
            right = all(isinstance(answer, Answer) for answer in given) and [one.name for one in given] == list(
                work.names
            )
            must(
                right,
                f"carry_out returns what work.carry_out returns, an Answer a request, not {one_line(repr(given), 80)}",
            )
            expected = [answer.reply.text for answer in work.carry_out(Parrot())]
            must(
                [answer.reply.text for answer in given] == expected, "the answers are another work's: mind the threads"
            )

    def test_errors_keep_their_type(self, tmp_path: Path) -> None:
        executor = self.build(tmp_path)
        options = Parrot.Options.model_validate({"fail_on": "number"})
        work = _work(tmp_path, 1, options)
        try:
            with typed("a failed call") as caught:
                executor.carry_out(work, Parrot(options), _quiet)
        finally:
            executor.close()
        must(type(caught[0]) is CallError, f"a CallError comes out as {type(caught[0]).__name__}")

    def test_close_waits_for_nothing(self, tmp_path: Path) -> None:
        executor = self.build(tmp_path)
        closing = threading.Thread(target=executor.close, daemon=True)
        closing.start()
        closing.join(10)
        must(not closing.is_alive(), "close() takes longer than ten seconds: it frees, and waits for nothing")


def _work(where: Path, number: int, options: Any = None) -> Work:
    requests = [asking(f"What is number {number}, part {part}?") for part in range(2)]
    names = [f"call-{number}-{part}" for part in range(2)]
    return Work("generate", requests, names, where, Parrot, options or Parrot.Options(), where)


def _quiet(what: str, done: int, total: int, note: str) -> None:
    pass
