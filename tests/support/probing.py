"""A small plugin for tests: a judge that gives the probabilities of its tokens, writes JSON and evaluation steps."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

import judgekit

STEPS = "1. Read the task.\n2. Compare the response with it.\n3. Give the number."


class ProberOptions(judgekit.Options):
    """`bias` moves every grade; `mass` is what its answers hold of the probability; `mute`: it writes no steps."""

    bias: int = 0
    mass: float = 0.95
    mute: bool = False


class Prober(judgekit.Backend):
    """Grades by the length of the response, modulo the scale; the next level has a quarter of the probability."""

    Options: ClassVar[type[judgekit.Options]] = ProberOptions
    options: ProberOptions
    capabilities = frozenset({"generate", "logprobs", "schema", "seed"})
    calls: ClassVar[list[judgekit.Request]] = []

    def generate(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        return [self._say(request) for request in requests]

    def _say(self, request: judgekit.Request) -> judgekit.Reply:
        Prober.calls.append(request)
        if "Write the evaluation steps" in request.prompt:
            return judgekit.Reply(text="I would rather not." if self.options.mute else STEPS)
        grade = sum(map(len, shown(request.prompt))) + self.options.bias
        if request.json_schema is not None:
            return judgekit.Reply(text=self._json(request.json_schema, request.prompt, grade))
        if not request.top_logprobs:
            return judgekit.Reply(text=str(grade % 5 + 1))
        answers = ["Yes", "No"] if "Yes or No" in request.prompt else ["A", "B"]
        if "number from" in request.prompt:
            answers = [str(grade % 5 + 1), str((grade + 1) % 5 + 1)]
        shares = [0.75 * self.options.mass, 0.25 * self.options.mass, 1 - self.options.mass]
        top = [(text, math.log(share)) for text, share in zip([*answers, "Well"], shares, strict=True) if share > 0]
        text, logprob = max(top, key=lambda pair: pair[1])
        token = judgekit.Token(text=text, logprob=logprob, top=tuple(top))
        return judgekit.Reply(text=text, status="truncated", detail="cut at the token limit", tokens=(token,))

    def _json(self, schema: Mapping[str, object], prompt: str, grade: int) -> str:
        names = schema["required"]
        assert isinstance(names, list)
        found: dict[str, object] = {}
        for place, name in enumerate(names):
            found[name] = "A" if name == "winner" else grade % (place + 3) + 1
        nonce = re.search(r"code of this \w+ is (\w+)\.", prompt)
        return json.dumps(found | {"rationale": "So it seems.", "nonce": nonce[1] if nonce else ""})


def shown(prompt: str) -> list[str]:
    """The responses that a prompt fences."""
    return re.findall(r"\[response[ AB]* \w+\]\n(.*?)\n\[end", prompt, re.DOTALL)


class Mute(Prober):
    """As the prober, without probabilities."""

    capabilities = frozenset({"generate", "seed"})


class ProberPlugin:
    """Registered with `build_manager(extra=[ProberPlugin()])`."""

    @judgekit.hookimpl
    def judgekit_backends(self) -> Mapping[str, type[judgekit.Backend]]:
        return {"prober": Prober, "mute": Mute}
