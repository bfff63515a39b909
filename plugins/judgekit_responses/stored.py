"""`backend: responses`: looks a sample's answer up in a file of instruction items, by the sample's id."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from pydantic import JsonValue

import judgekit


class StoredOptions(judgekit.Options):
    """`path`: instruction items (JSON or JSONL); `field`: the key that holds the answer."""

    path: str
    field: str = "model_response"


class StoredResponses(judgekit.Backend):
    """Answers that were generated already, from a file of instruction items."""

    Options: ClassVar[type[judgekit.Options]] = StoredOptions
    options: StoredOptions
    capabilities = frozenset({"generate", "stored"})
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
        if not known:
            message = f"{self.options.path}: no item has the field {self.options.field!r}"
            return [judgekit.Problem(severity="error", where="responses", message=message)]
        return []

    @cached_property
    def _answers(self) -> dict[str, str]:
        path, field = self.path(self.options.path), self.options.field
        answers = {}
        for item in judgekit.read_instructions(path):
            answer = item.fields.get(field)
            if answer is None:
                continue
            if not isinstance(answer, str):
                raise judgekit.DataError(f"{item.place}: {field!r} is not a text", path=path)
            answers[item.sample.id] = answer
        return answers

    def generate(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        return [self._look_up(request.sample_id) for request in requests]

    def _look_up(self, sample_id: str) -> judgekit.Reply:
        answer = self._answers.get(sample_id)
        if answer is None:
            missing = (
                f"{self.options.path} has no {self.options.field!r} for the sample {sample_id!r} "
                "(matched by id, or by instruction and input)"
            )
            return judgekit.Reply(status="error", detail=missing)
        return judgekit.Reply(text=answer)
