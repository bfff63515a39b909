"""The executor `threads`: calls are carried out in this process, each by the thread that waits for its replies."""

from __future__ import annotations

from collections.abc import Callable

import judgekit


class Threads(judgekit.Executor):
    """Threads that share the backend which the run has built: its connections, its loaded model."""

    def carry_out(
        self, work: judgekit.Work, backend: judgekit.Backend, report: Callable[[str, int, int, str], None]
    ) -> list[judgekit.Answer]:
        return work.carry_out(backend, report)
