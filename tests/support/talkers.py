"""A plugin for tests: systems that talk by rule and say what they were shown, and a judge that grades what it reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

import judgekit


class TalkerOptions(judgekit.Options):
    """`voice` begins each answer; a user's message with `chokes_on` is refused, and one with `cuts` is cut."""

    voice: str = "I heard"
    chokes_on: str = "CHOKE"
    cuts: str = "CUT"


class Talker(judgekit.Backend):
    """Answers with the last words of what it was asked and how many messages it was shown."""

    Options: ClassVar[type[judgekit.Options]] = TalkerOptions
    options: TalkerOptions
    capabilities = frozenset({"generate", "chat", "seed"})
    asked: ClassVar[list[judgekit.Request]] = []

    def generate(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        return [self._say(request) for request in requests]

    def _say(self, request: judgekit.Request) -> judgekit.Reply:
        Talker.asked.append(request)
        last = request.messages[-1].content
        if self.options.chokes_on in last:
            return judgekit.Reply(status="refused", detail="that is none of my business")
        if self.options.cuts in last:
            return judgekit.Reply(text="half an", status="truncated", detail="no room left")
        said = " ".join(last.split()[-3:])
        return judgekit.Reply(text=f"{self.options.voice} {said!r} among {len(request.messages)}.")


class PlainTalker(Talker):
    """One that reads a single text."""

    capabilities = frozenset({"generate", "loglikelihood", "seed"})
    default_style = "qa"

    def loglikelihood(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        """Each word costs a nat, and half of that if the prompt has it."""
        replies = []
        for request in requests:
            Talker.asked.append(request)
            known = set(request.prompt.split())
            scores = [
                judgekit.Continuation(token_logprobs=tuple(-0.5 if word in known else -1.0 for word in text.split()))
                for text in request.continuations
            ]
            replies.append(judgekit.Reply(continuations=tuple(scores)))
        return replies


class Grader(judgekit.Backend):
    """A judge: 10 points for each turn that it is shown, 90 for a whole conversation; in a comparison the conversation
    with the longer last answer wins. It cannot read a conversation whose last answer has the word MUMBLE."""

    capabilities = frozenset({"generate", "chat", "seed"})
    asked: ClassVar[list[judgekit.Request]] = []

    def generate(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        return [self._grade(request.prompt) for request in requests]

    def _grade(self, prompt: str) -> judgekit.Reply:
        Grader.asked.append(judgekit.Request(messages=(judgekit.Message(role="user", content=prompt),)))
        nonce = re.findall(r"The code of this (?:grading|comparison) is ([0-9a-f]{8})\.", prompt)[0]
        answers = re.findall(r"\[(conversation . )?,? ?turn \d+, assistant [0-9a-f]{16}\]\n(.*)", prompt)
        if "winner" in prompt:
            first, second = (
                re.findall(rf"\[conversation {side}, turn \d+, assistant [0-9a-f]{{16}}\]\n(.*)", prompt)[-1]
                for side in "AB"
            )
            winner = "tie" if len(first) == len(second) else "A" if len(first) > len(second) else "B"
            return judgekit.Reply(text=json.dumps({"rationale": "Longer.", "winner": winner, "nonce": nonce}))
        if "MUMBLE" in answers[-1][1] and "as a whole" not in prompt:
            return judgekit.Reply(text="Mumble.")
        score = 90 if "as a whole" in prompt else 10 * len(answers)
        return judgekit.Reply(text=json.dumps({"rationale": "As I read it.", "score": score, "nonce": nonce}))


class TalkerPlugin:
    @judgekit.hookimpl
    def judgekit_backends(self) -> Mapping[str, type[judgekit.Backend]]:
        return {"talker": Talker, "plain_talker": PlainTalker, "grader": Grader}
