"""Executors for tests: one that works in other processes, and some that break their contract."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property

import judgekit

_backends: dict[str, judgekit.Backend] = {}


def _elsewhere(work: judgekit.Work) -> list[judgekit.Answer]:
    """In a worker process: the work, by a backend that is built once."""
    key = f"{work.backend.__module__}.{work.backend.__qualname__} {work.options!r} {work.where}"
    if key not in _backends:
        _backends[key] = work.build()
    return work.carry_out(_backends[key])


class Processes(judgekit.Executor):
    @cached_property
    def pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def carry_out(self, work: judgekit.Work, backend: judgekit.Backend, report: object) -> list[judgekit.Answer]:
        return self.pool.submit(_elsewhere, work).result()

    def close(self) -> None:
        if "pool" in self.__dict__:
            self.pool.shutdown(wait=False, cancel_futures=True)


class Odd(judgekit.Executor):
    """Carries out the work, and then breaks the contract in the way that its class attribute says."""

    way = ""

    def carry_out(self, work: judgekit.Work, backend: judgekit.Backend, report: object) -> list[judgekit.Answer]:
        answers = work.carry_out(backend, report)
        if self.way == "raises":
            raise RuntimeError("the cluster is gone")
        ways = {
            "loses": answers[:-1],
            "doubles": [*answers, answers[0]],
            "out of order": answers[::-1],
            "another's": [*answers, judgekit.Answer("nobody", answers[0].reply)],
            "no answers": [answer.reply for answer in answers],
        }
        return ways[self.way]  # type: ignore[return-value]


class ExecutorPlugin:
    @judgekit.hookimpl
    def judgekit_executors(self) -> Mapping[str, type[judgekit.Executor]]:
        return {"processes": Processes}
