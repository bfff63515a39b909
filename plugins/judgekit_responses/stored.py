"""`backend: responses`: looks a sample's answer up in a file of instruction items, by the sample's id.

Of a file of conversations (ShareGPT, OpenAI messages), the answers are the assistant's turns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field, JsonValue

import judgekit
import judgekit.data

USUAL = ("model_response", "response", "answer", "output", "completion", "generation", "prediction", "choices[0].turns")


class StoredOptions(judgekit.Options):
    """`path`: instruction items or conversations, or answers with the samples' ids alone. `field`: the field of an item
    that holds the answer, or a path such as `choices[0].turns`; answers by id alone may have it by another usual name.
    `mapping` says which of the other fields is what: `{id: question_id, instruction: question}`."""

    path: str
    field: str = "model_response"
    mapping: dict[str, str | judgekit.data.Constant] = Field(default_factory=dict)


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
        own: dict[str, JsonValue] = {"adapter": "responses/1", "sha256": digest, "field": self.options.field}
        mapping = self.options.model_dump(mode="json")["mapping"]
        return own | ({"mapping": mapping} if mapping else {})

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

    @cached_property
    def _by_id(self) -> bool:
        """Whether the file has answers by id alone, and no questions."""
        own = {"instruction", "messages", "conversations", "turns"} & self.options.mapping.keys()
        return not own and not judgekit.data.holds_questions(self.path(self.options.path))

    def known_ids(self) -> Collection[str]:
        if self._conversations:
            return {sample_id for sample_id, _ in self._talks()}
        return self._rows.keys()

    def _talks(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        talks = judgekit.data.read_conversations(self.path(self.options.path), mapping=self.options.mapping)
        return ((talk.sample.id, talk.answers) for talk in talks)

    @cached_property
    def _rows(self) -> dict[str, tuple[judgekit.data.Entry, Mapping[str, Any]]]:
        """Where each sample stands, and its fields, by sample id."""
        path, mapping = self.path(self.options.path), self.options.mapping
        if not self._by_id:
            items = judgekit.data.read_instructions(path, mapping=mapping)
            return {item.sample.id: (item.entry, item.fields) for item in items}
        rows: dict[str, tuple[judgekit.data.Entry, Mapping[str, Any]]] = {}
        name = mapping.get("id")
        for entry in judgekit.data.read_objects(path):
            named = (name,) if isinstance(name, str) else ("id", *judgekit.data.USUAL["id"])
            sample_id = next((value for one in named if (value := entry.fields.get(one)) not in (None, "")), None)
            if sample_id is None:
                raise entry.error(f"no question and no id ({', '.join(named)}): `mapping: {{id: NAME}}` names it")
            if str(sample_id) in rows:
                raise entry.error(f"the id {sample_id!r} is already that of {rows[str(sample_id)][0].place}")
            rows[str(sample_id)] = entry, entry.fields
        return rows

    @cached_property
    def _field(self) -> str:
        """The field of the answer: as it is named, or (of answers by id alone) by another usual name."""
        named = self.options.field
        if "field" in self.options.model_fields_set or not self._by_id:
            return named
        entry, fields = next(iter(self._rows.values()))
        there = [name for name in USUAL if _value(fields, name) is not None]
        if len(there) > 1:
            raise entry.error(f"which of {', '.join(map(repr, there))} is the answer? `field: {there[0]}` says it")
        return there[0] if there else named

    @cached_property
    def _answers(self) -> dict[str, tuple[str, ...]]:
        """The answers to each turn, by sample id."""
        if self._conversations:
            return {sample_id: said for sample_id, said in self._talks() if said}
        answers: dict[str, tuple[str, ...]] = {}
        for sample_id, (entry, fields) in self._rows.items():
            answer = _value(fields, self._field)
            if answer is None:
                continue
            turns = answer if isinstance(answer, list) else [answer]
            if not turns or not all(isinstance(turn, str) for turn in turns):
                raise entry.error(f"{self._field!r} is not a text")
            answers[sample_id] = tuple(turns)
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


def _value(fields: Mapping[str, Any], name: str) -> Any:
    """The field, or what a path leads to; None where it is missing."""
    try:
        return judgekit.data.value_at(fields, name)
    except ValueError:
        return None
