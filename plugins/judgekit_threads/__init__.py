"""The built-in executor, which runs what judgekit asks of backends in threads of this process."""

from __future__ import annotations

from collections.abc import Mapping

import judgekit


@judgekit.hookimpl
def judgekit_executors() -> Mapping[str, type[judgekit.Executor]]:
    from judgekit_threads.executor import Threads

    return {"threads": Threads}
