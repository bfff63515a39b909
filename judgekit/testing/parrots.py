"""The parrot: a backend that answers from a queue or by rule, without a model; and a trainer that only copies."""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from judgekit.contracts import Backend, Options, Trainer
from judgekit.errors import CallError, Unreachable
from judgekit.files import sha256_of
from judgekit.hookspecs import hookimpl
from judgekit.records import Continuation, Reply, Request
from judgekit.results import CurvePoint


class ParrotOptions(Options):
    """The answers, by a word of the prompt; prompts with the word `fail_on` fail; with `dead`, every call does."""

    answers: dict[str, str] = Field(default_factory=dict)
    fail_on: str = ""
    dead: bool = False


class Parrot(Backend):
    """The backend `parrot`: the next queued reply, else the answer to the first known word in the prompt, else a number
    drawn from the prompt and the seed.

    Queue and history are the class's, since a run builds its backends itself. `Parrot.reset()` empties both:

        Parrot.reset()
        Parrot.enqueue("85", Reply(status="refused"))
        …  # a run with `backend: parrot` and `build_manager(extra=[ParrotPlugin()])`
        assert [request.prompt for request in Parrot.history] == […]
    """

    Options: ClassVar[type[Options]] = ParrotOptions
    options: ParrotOptions
    capabilities = frozenset({"generate", "loglikelihood", "seed"})
    history: ClassVar[list[Request]] = []
    queue: ClassVar[deque[Reply]] = deque()

    @classmethod
    def enqueue(cls, *replies: Reply | str) -> None:
        """Replies to the next calls of `generate`, in their order."""
        Parrot.queue.extend(Reply(text=reply) if isinstance(reply, str) else reply for reply in replies)

    @classmethod
    def reset(cls) -> None:
        """Nothing queued, nothing asked yet."""
        Parrot.queue.clear()
        Parrot.history.clear()

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._say(request) for request in requests]

    def _say(self, request: Request) -> Reply:
        Parrot.history.append(request)
        if self.options.dead:
            raise Unreachable("the parrot is dead")
        if self.options.fail_on and self.options.fail_on in request.prompt:
            raise CallError("the parrot choked")
        if Parrot.queue:
            return Parrot.queue.popleft()
        for word, answer in self.options.answers.items():
            if word in request.prompt:
                return Reply(text=answer)
        digest = hashlib.sha256(f"{request.prompt}{request.sampling.seed}".encode()).digest()
        return Reply(text=str(digest[0] % 101))

    def loglikelihood(self, requests: Sequence[Request]) -> list[Reply]:
        """Likelier the more words of the continuation stand in the prompt."""
        replies = []
        for request in requests:
            Parrot.history.append(request)
            known = set(re.findall(r"\w+", request.prompt))
            continuations = [
                Continuation(token_logprobs=tuple(-1.0 if word in known else -5.0 for word in text.split()))
                for text in request.continuations
            ]
            replies.append(Reply(continuations=tuple(continuations)))
        return replies


class CopyOptions(Options):
    """The file to learn from, and the checkpoint to start at."""

    data: str
    start: str | None = None


class CopyTrainer(Trainer):
    """The trainer `copy`: its checkpoint is a copy of its options. `runs` counts how often it ran."""

    Options: ClassVar[type[Options]] = CopyOptions
    options: CopyOptions
    runs: ClassVar[int] = 0

    def inputs(self) -> list[Path]:
        return [self.path(self.options.data)]

    def check(self) -> None:
        sha256_of(self.inputs()[0])

    def train(self, into: Path, progress: Any) -> None:
        CopyTrainer.runs += 1
        for step in range(3):
            progress(step + 1, 3, f"loss {1 / (step + 1):.2f}")
        (into / "model.json").write_text(json.dumps(self.options.model_dump()), "utf-8")
        points = [CurvePoint(step=step, split="train", loss=1 / (step + 1)) for step in range(3)]
        (into / "training.jsonl").write_text("\n".join(point.model_dump_json() for point in points), "utf-8")


class ParrotPlugin:
    """The plugin with both; registered with `build_manager(extra=[ParrotPlugin()])`."""

    @hookimpl
    def judgekit_backends(self) -> Mapping[str, type[Backend]]:
        return {"parrot": Parrot}

    @hookimpl
    def judgekit_trainers(self) -> Mapping[str, type[Trainer]]:
        return {"copy": CopyTrainer}
