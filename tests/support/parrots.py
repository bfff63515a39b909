"""A small plugin for tests: backends that answer and judge by rule, without a model."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

import judgekit
import judgekit.data


class ParrotOptions(judgekit.Options):
    """`answers`: what to say, by a word of the prompt; `fail_on`: prompts with this word fail as a call."""

    answers: dict[str, str] = Field(default_factory=dict)
    fail_on: str = ""
    dead: bool = False


class Parrot(judgekit.Backend):
    """Says the answer of the first known word in the prompt, else a number drawn from the prompt and the seed."""

    Options: ClassVar[type[judgekit.Options]] = ParrotOptions
    options: ParrotOptions
    capabilities = frozenset({"generate", "loglikelihood", "seed"})
    calls: ClassVar[list[judgekit.Request]] = []

    def generate(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        return [self._say(request) for request in requests]

    def _say(self, request: judgekit.Request) -> judgekit.Reply:
        Parrot.calls.append(request)
        if self.options.dead:
            raise judgekit.Unreachable("the parrot is dead")
        if self.options.fail_on and self.options.fail_on in request.prompt:
            raise judgekit.CallError("the parrot choked")
        for word, answer in self.options.answers.items():
            if word in request.prompt:
                return judgekit.Reply(text=answer)
        digest = hashlib.sha256(f"{request.prompt}{request.sampling.seed}".encode()).digest()
        return judgekit.Reply(text=str(digest[0] % 101))

    def loglikelihood(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        """Likelier the more words of the continuation stand in the prompt."""
        replies = []
        for request in requests:
            Parrot.calls.append(request)
            known = set(re.findall(r"\w+", request.prompt))
            continuations = [
                judgekit.Continuation(token_logprobs=tuple(-1.0 if word in known else -5.0 for word in text.split()))
                for text in request.continuations
            ]
            replies.append(judgekit.Reply(continuations=tuple(continuations)))
        return replies


class CopyTrainer(judgekit.Trainer):
    """ "Trains" by copying its options; counts how often it ran."""

    class Options(judgekit.Options):
        data: str
        start: str | None = None

    runs: ClassVar[int] = 0

    def inputs(self) -> list[Path]:
        return [self.path(self.options.data)]

    def train(self, into: Path, progress: Any) -> None:
        CopyTrainer.runs += 1
        for step in range(3):
            progress(step + 1, 3, f"loss {1 / (step + 1):.2f}")
        (into / "model.json").write_text(json.dumps(self.options.model_dump()))
        points = [judgekit.data.CurvePoint(step=step, split="train", loss=1 / (step + 1)) for step in range(3)]
        (into / "training.jsonl").write_text("\n".join(point.model_dump_json() for point in points))


class ParrotPlugin:
    """Registered with `build_manager(extra=[ParrotPlugin()])`."""

    @judgekit.hookimpl
    def judgekit_backends(self) -> Mapping[str, type[judgekit.Backend]]:
        return {"parrot": Parrot}

    @judgekit.hookimpl
    def judgekit_trainers(self) -> Mapping[str, type[judgekit.Trainer]]:
        return {"copy": CopyTrainer}
