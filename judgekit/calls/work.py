"""Calls on their way to a backend, and its answers: what crosses to an executor, all of it picklable."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from judgekit.calls.ledger import Kind
from judgekit.contracts import Backend, Errand, Options
from judgekit.errors import JudgekitError, PluginError
from judgekit.plugins import exit_of, plugin_of
from judgekit.records import Reply, Request
from judgekit.secrets import know_environment, one_line
from judgekit.text import counted

Report = Callable[[str, int, int, str], None]  # of work that takes long: what, done, total, note


class Answer(NamedTuple):
    """A reply, and the name of the call that it is for."""

    name: str
    reply: Reply


@dataclass(frozen=True)
class Work:
    """Calls that go to a backend together, and how the backend is built where it is not at hand.

    `names` and `folder` are those of an Errand: one name a request, and the folder for notes on work under way.
    """

    kind: Kind
    requests: Sequence[Request]
    names: Sequence[str]
    folder: Path
    backend: type[Backend]
    options: Options
    where: Path

    def build(self) -> Backend:
        """The backend, from its class and options; in another process it is built once and kept."""
        know_environment()  # keys must not stand in what this process reports either
        return self.backend(self.options, self.where)

    def carry_out(self, backend: Backend, report: Report = Errand.report) -> list[Answer]:
        """One answer a request, in order. Raises what the backend raises; PluginError where it breaks its contract."""
        requests = list(self.requests)
        with named(f"the backend {name_of(backend)}"):
            if self.kind == "generate":
                replies = backend.carry_out(requests, Errand(list(self.names), self.folder, report))
            else:
                replies = backend.loglikelihood(requests)
        return [Answer(*pair) for pair in zip(self.names, self._checked(backend, replies), strict=True)]

    def _checked(self, backend: Backend, replies: object) -> Sequence[Reply]:
        """The replies, if they are what the contract says."""
        name, kind = name_of(backend), self.kind
        if not isinstance(replies, list | tuple) or not all(isinstance(reply, Reply) for reply in replies):
            got = one_line(repr(replies), 80)
            raise PluginError(f"the backend {name} must return a list of replies from {kind}(), not {got}")
        if len(replies) != len(self.requests):
            few, asked = counted(len(replies), "reply", "replies"), counted(len(self.requests), "request")
            raise PluginError(f"the backend {name} returned {few} to {asked} from {kind}()")
        for request, reply in zip(self.requests, replies, strict=True):
            read, wanted = len(reply.continuations), len(request.continuations)
            if kind == "loglikelihood" and reply.status == "complete" and read != wanted:
                raise PluginError(f"the backend {name} returned {read} log-likelihoods of {wanted} continuations")
        return replies


def name_of(part: object) -> str:
    """The class of a plugin's part, with its module: who wrote it."""
    return f"{type(part).__module__}.{type(part).__qualname__}"


@contextmanager
def named(who: str) -> Iterator[None]:
    """In the block, what a plugin should not have raised becomes a PluginError with its name and the place."""
    try:
        yield
    except (JudgekitError, KeyboardInterrupt):
        raise
    except BaseException as error:  # sys.exit, too
        if not isinstance(error, Exception) and plugin_of(error):
            raise exit_of(error) from error
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        raise PluginError(f"{who} raised {type(error).__name__}: {one_line(str(error))} ({where})") from error
