"""`backend: responses`: looks a sample's answer up in a file of instruction items, by the sample's id.

Of a file of conversations (ShareGPT, OpenAI messages), the answers are the assistant's turns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import ClassVar

from pydantic import JsonValue

import judgekit
import judgekit.data


class StoredOptions(judgekit.Options):
    """`path`: instruction items or conversations, JSON or JSONL; `field`: the key of an item that holds the answer."""

    path: str
    field: str = "model_response"


class StoredResponses(judgekit.Backend):
    """Answers that were generated already, from a file of instruction items or of conversations."""

    Options: ClassVar[type[judgekit.Options]] = StoredOptions
    options: StoredOptions
    capabilities = frozenset({"generate", "chat", "stored"})
    free = True
    max_batch = 1000
    max_concurrency = 1

    def identity(self) -> dict[str, JsonValue]:
        path = self.path(self.options.path)
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise judgekit.DataError(f"cannot be read: {error.strerror}", path=path) from None
        return {"adapter": "responses/1", "sha256": digest, "field": self.options.field}

    def check(self) -> list[judgekit.Problem]:
        try:
            known = len(self._answers)
        except judgekit.DataError as error:
            return [judgekit.Problem(severity="error", where="responses", message=str(error))]
        none = (
            "no conversation has an answer" if self._conversations else f"no item has the field {self.options.field!r}"
        )
        message = f"{self.options.path}: {none}"
        return [] if known else [judgekit.Problem(severity="error", where="responses", message=message)]

    @cached_property
    def _conversations(self) -> bool:
        return judgekit.data.holds_conversations(self.path(self.options.path))

    def known_ids(self) -> Collection[str]:
        if self._conversations:
            return {talk.sample.id for talk in judgekit.data.read_conversations(self.path(self.options.path))}
        return {item.sample.id for item in judgekit.data.read_instructions(self.path(self.options.path))}

    @cached_property
    def _answers(self) -> dict[str, tuple[str, ...]]:
        """The answers to each turn, by sample id."""
        path, field = self.path(self.options.path), self.options.field
        if self._conversations:
            return {talk.sample.id: talk.answers for talk in judgekit.data.read_conversations(path) if talk.answers}
        answers: dict[str, tuple[str, ...]] = {}
        for item in judgekit.data.read_instructions(path):
            answer = item.fields.get(field)
            if answer is None:
                continue
            if not isinstance(answer, str):
                raise judgekit.DataError(f"{item.place}: {field!r} is not a text", path=path)
            answers[item.sample.id] = (answer,)
        return answers

    def generate(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        return [self._look_up(request) for request in requests]

    def _look_up(self, request: judgekit.Request) -> judgekit.Reply:
        """The answer to the user's last message; in a conversation, to its last turn."""
        sample_id, turn = request.sample_id, sum(message.role == "user" for message in request.messages)
        answers = self._answers.get(sample_id)
        if answers is not None and len(answers) < turn:
            said = f"{self.options.path} answers {len(answers)} of the turns of the sample {sample_id!r}"
            return judgekit.Reply(status="error", detail=f"{said}, and not turn {turn}")
        if answers is None:
            missing = (
                f"{self.options.path} has no {self.options.field!r} for the sample {sample_id!r} "
                "(matched by id, or by instruction and input)"
            )
            return judgekit.Reply(status="error", detail=missing)
        return judgekit.Reply(text=answers[turn - 1])
